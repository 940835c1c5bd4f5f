//! Payment attempts: claims, leases, takeover, declined payments and missing answers.

use crate::common::*;
use engine::command::{Command, PlaceOrder, Verdict};
use engine::ids::{NodeId, OrderId, Timestamp};
use engine::order::{PaymentMethod, Status};
use engine::outcome::Outcome;

fn machine_with_order(attempts: u32) -> (Machine, OrderId) {
    let mut machine = Machine::default();
    machine.product("2.50", 10);
    let order = PlaceOrder { payment_attempts_max: attempts, ..mock_order(&[(1, 2)]) };
    let id = machine.place(order);
    (machine, id)
}

#[test]
fn a_paid_order_sells_its_units() {
    let (mut machine, id) = machine_with_order(1);
    let due = machine.state.due_payments(PaymentMethod::Mock, Timestamp(0), None, 10);
    assert_eq!((due.len(), due[0].order, due[0].attempt), (1, id, 1));
    assert_eq!(
        machine.state.due_payments(PaymentMethod::Mock, Timestamp(0), Some((due[0].due, id)), 10),
        []
    );
    assert_eq!(machine.state.next_payment_due(), Some(Timestamp(0)));
    machine.events();
    match machine.run(claim(1, vec![(id, 1)])) {
        Outcome::Claimed(claimed) => {
            assert_eq!(claimed.len(), 1);
            assert_eq!((claimed[0].amount.0, claimed[0].unanswered), (500, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(machine.order(id).status, Status::Processing);
    assert_eq!(machine.settle(id, 1, Verdict::Succeeded), 1);
    assert_eq!(machine.events(), ["order.processing", "order.paid"]);
    let product = machine.stock(engine::ids::ProductId(1));
    let stock = product.stock;
    assert_eq!((stock.on_hand, stock.reserved, stock.sold, stock.total()), (8, 0, 2, 10));
    assert_eq!(machine.state.next_payment_due(), None);
    assert_eq!(machine.order(id).task, None);
    assert_eq!(machine.settle(id, 1, Verdict::Succeeded), 0, "not twice");
    assert_eq!(machine.state.totals().units_sold, 2);
    assert_eq!(machine.state.totals().revenue_minor, 500);
}

#[test]
fn only_an_expired_lease_can_be_taken_over() {
    let (mut machine, id) = machine_with_order(1);
    machine.claim(&[id]);
    assert_eq!(machine.run(claim(2, vec![(id, 1)])), Outcome::Claimed(vec![]));
    assert_eq!(machine.state.due_payments(PaymentMethod::Mock, Timestamp(9_999), None, 10), []);
    assert_eq!(machine.state.next_payment_due(), Some(Timestamp(10_000)));
    machine.now = 10_000;
    match machine.run(claim(2, vec![(id, 1)])) {
        Outcome::Claimed(claimed) => assert_eq!(claimed[0].attempt, 1, "the same attempt"),
        other => panic!("{other:?}"),
    }
    let task = machine.order(id).task.expect("still open");
    assert_eq!(task.claim.expect("claimed").node, NodeId(2));
    assert_eq!(machine.order(id).history.len(), 2, "taking over is not a move");
    // The first worker's late answer is for the same attempt, hence as good as the second's.
    assert_eq!(machine.settle(id, 1, Verdict::Succeeded), 1);
    assert_eq!(machine.settle(id, 1, declined()), 0);
    assert_eq!(machine.order(id).status, Status::Paid);
}

#[test]
fn a_task_is_claimed_once_within_a_command() {
    let (mut machine, id) = machine_with_order(1);
    let claims = vec![(id, 1), (id, 1), (id, 2), (OrderId(9), 1), (OrderId(0), 1)];
    match machine.run(claim(1, claims)) {
        Outcome::Claimed(claimed) => assert_eq!(claimed.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_last_refusal_fails_the_order() {
    let (mut machine, id) = machine_with_order(2);
    machine.claim(&[id]);
    assert_eq!(machine.settle(id, 1, declined()), 1);
    let task = machine.order(id).task.expect("one attempt left");
    assert_eq!((task.attempt, task.unanswered, task.due), (2, 0, Timestamp(500)));
    assert_eq!(machine.order(id).status, Status::Processing);
    assert_eq!(machine.settle(id, 1, Verdict::Succeeded), 0, "that attempt is over");
    assert_eq!(machine.run(claim(1, vec![(id, 2)])), Outcome::Claimed(vec![]), "not due yet");
    machine.now = 500;
    let claimed = machine.run(claim(1, vec![(id, 2)]));
    assert!(matches!(claimed, Outcome::Claimed(claims) if claims.len() == 1));
    assert_eq!(machine.settle(id, 2, declined()), 1);
    assert_eq!(machine.order(id).status, Status::Failed);
    assert_eq!(machine.order(id).failure_reason.as_deref(), Some("card refused"));
    assert_eq!(machine.stock(engine::ids::ProductId(1)).stock.available(), 10);
}

#[test]
fn a_missing_answer_is_retried_under_the_same_attempt() {
    let (mut machine, id) = machine_with_order(1);
    machine.claim(&[id]);
    for unanswered in 1..=3 {
        let verdict = Verdict::NoAnswer { retry_in_ms: 100 };
        assert_eq!(machine.settle(id, 1, verdict), 1);
        let task = machine.order(id).task.expect("open");
        assert_eq!((task.attempt, task.unanswered, task.claim), (1, unanswered, None));
        machine.now += 100;
        match machine.run(claim(1, vec![(id, 1)])) {
            Outcome::Claimed(claimed) => assert_eq!(claimed[0].unanswered, unanswered),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(machine.settle(id, 1, Verdict::Succeeded), 1);
    assert_eq!(machine.state.totals().payment_no_answers, 3);
}

#[test]
fn a_result_for_an_order_that_nobody_claimed_is_passed_over() {
    let (mut machine, id) = machine_with_order(1);
    assert_eq!(machine.settle(id, 1, Verdict::Succeeded), 0);
    assert_eq!(machine.order(id).status, Status::Pending);
    let unpaid = machine.place(order(&[(1, 1)]));
    assert_eq!(machine.run(claim(1, vec![(unpaid, 1)])), Outcome::Claimed(vec![]));
    assert_eq!(machine.settle(unpaid, 1, Verdict::Succeeded), 0);
    assert_eq!(machine.state.totals().payment_results_stale, 2);
}

#[test]
fn a_long_reason_is_truncated_between_characters() {
    let (mut machine, id) = machine_with_order(1);
    machine.claim(&[id]);
    let verdict = Verdict::Declined { reason: "é".repeat(200).into(), retry_in_ms: 0 };
    machine.settle(id, 1, verdict);
    assert_eq!(machine.order(id).failure_reason.as_deref(), Some("é".repeat(127).as_str()));
}

#[test]
fn times_saturate_at_the_maximum() {
    let (mut machine, id) = machine_with_order(1);
    machine.claim(&[id]);
    let verdict = Verdict::NoAnswer { retry_in_ms: u64::MAX };
    machine.settle(id, 1, verdict);
    assert_eq!(machine.state.next_payment_due(), Some(Timestamp(u64::MAX)));
    machine.run(Command::Tick);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn tasks_of_one_gateway_do_not_hide_those_of_another() {
    let mut machine = Machine::default();
    machine.product("2.50", 10);
    let mock = machine.place(mock_order(&[(1, 1)]));
    let gateway = PlaceOrder { payment_method: PaymentMethod::Gateway, ..mock_order(&[(1, 1)]) };
    let gateway = machine.place(gateway);
    let due = |machine: &Machine, method| {
        let due = machine.state.due_payments(method, Timestamp(0), None, 1);
        due.into_iter().map(|task| task.order).collect::<Vec<_>>()
    };
    assert_eq!(due(&machine, PaymentMethod::Mock), [mock]);
    assert_eq!(due(&machine, PaymentMethod::Gateway), [gateway]);
    assert_eq!(machine.state.payment_tasks(), 2);
    machine.claim(&[gateway]);
    machine.settle(gateway, 1, Verdict::Succeeded);
    assert_eq!(machine.order(gateway).status, Status::Paid);
    assert_eq!(due(&machine, PaymentMethod::Gateway), []);
    assert_eq!(due(&machine, PaymentMethod::Mock), [mock]);
}

#[test]
fn a_claim_says_whether_an_earlier_one_may_have_been_sent_and_since_when() {
    let (mut machine, id) = machine_with_order(2);
    let claimed = |machine: &mut Machine, attempt| match machine.run(claim(1, vec![(id, attempt)]))
    {
        Outcome::Claimed(claimed) => (claimed[0].maybe_sent, claimed[0].age_ms),
        other => panic!("{other:?}"),
    };
    machine.pass(100);
    assert_eq!(claimed(&mut machine, 1), (false, 0));
    // Its lease ends without a result: the call may have been made.
    machine.pass(60_000);
    assert_eq!(claimed(&mut machine, 1), (true, 60_000));
    machine.settle(id, 1, Verdict::NoAnswer { retry_in_ms: 0 });
    assert_eq!(claimed(&mut machine, 1), (true, 60_000));
    machine.settle(id, 1, Verdict::Declined { reason: "no".into(), retry_in_ms: 0 });
    assert_eq!(claimed(&mut machine, 2), (false, 60_000), "a new attempt has a new key");
}

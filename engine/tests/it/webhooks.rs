//! Payment webhooks: recorded once, then applied, parked, or reported as a conflict.

use engine::command::{Command, PaymentWebhook, PlaceOrder, Verdict};
use engine::event::Kind;
use engine::ids::{OrderId, Timestamp, WebhookId};
use engine::money::Money;
use engine::order::{Cause, PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::state::{Lookup, State};
use engine::store::memory::MemoryStore;
use engine::webhook::{Conflict, Fate, Report};

use crate::common::*;

const YES: Report = Report::Succeeded;
const NO: Report = Report::Failed;

/// A product of ten units at 10.00 each.
fn machine() -> Machine {
    let mut machine = Machine::default();
    machine.product("10", 10);
    machine
}

fn waiting() -> PlaceOrder {
    PlaceOrder { payment_method: PaymentMethod::Webhook, user: user_id(7), ..order(&[(1, 2)]) }
}

fn tell(machine: &mut Machine, webhook: PaymentWebhook) -> Outcome {
    machine.run(Command::PaymentWebhook(webhook))
}

/// The same under the rules of before.
fn tell_parking(machine: &mut Machine, webhook: PaymentWebhook) -> Outcome {
    machine.run_parking(Command::PaymentWebhook(webhook))
}

fn place_parking(machine: &mut Machine, order: PlaceOrder) -> OrderId {
    match machine.run_parking(Command::PlaceOrder(order)) {
        Outcome::Placed(id) => id,
        other => panic!("not placed: {other:?}"),
    }
}

fn applied(order: OrderId, status: Status) -> Outcome {
    Outcome::Reported { order, fate: Fate::Applied, status: Some(status), duplicate: false }
}

fn conflict(order: OrderId, status: Status, conflict: Conflict) -> Outcome {
    let fate = Fate::Conflict(conflict);
    Outcome::Reported { order, fate, status: Some(status), duplicate: false }
}

fn parked(order: u64) -> Outcome {
    let order = OrderId(order);
    Outcome::Reported { order, fate: Fate::Parked, status: None, duplicate: false }
}

fn unmatched(order: u64) -> Outcome {
    let order = OrderId(order);
    Outcome::Reported { order, fate: Fate::Unmatched, status: None, duplicate: false }
}

/// The same, told before, about an order that stands there now.
fn again(outcome: Outcome, now: Option<Status>) -> Outcome {
    match outcome {
        Outcome::Reported { order, fate, .. } => {
            Outcome::Reported { order, fate, status: now, duplicate: true }
        }
        other => other,
    }
}

fn path(machine: &Machine, id: OrderId) -> Vec<(Status, Cause)> {
    machine.order(id).history.iter().map(|row| (row.to, row.cause)).collect()
}

#[test]
fn a_success_takes_an_order_to_paid_in_one_entry() {
    let mut machine = machine();
    for key in ["a", "b", "c"] {
        let id = machine.place(waiting());
        machine.events();
        let report = PaymentWebhook { amount: Some(Money(2_000)), ..webhook(key, id.0, YES) };
        assert_eq!(tell(&mut machine, report), applied(id, Status::Paid));
        assert_eq!(
            path(&machine, id)[1..],
            [(Status::Processing, Cause::PaymentReported), (Status::Paid, Cause::PaymentSucceeded)]
        );
        let history = &machine.order(id).history;
        assert_eq!(history[1].position, history[2].position);
        assert_eq!(machine.events(), ["order.processing", "order.paid"]);
    }
    let stock = machine.stock(engine::ids::ProductId(1)).stock;
    assert_eq!((stock.sold, stock.reserved), (6, 0));
    assert_eq!((machine.state.next_deadline(), machine.state.next_payment_due()), (None, None));
    assert_eq!(machine.state.totals().payment_successes, 3);
}

#[test]
fn a_report_decides_only_an_order_that_waits_for_one() {
    let mut machine = machine();
    for (key, payment_method) in [("a", PaymentMethod::None), ("b", PaymentMethod::Mock)] {
        let id = machine.place(PlaceOrder { payment_method, ..waiting() });
        let before = machine.order(id);
        machine.events();
        let amount = Some(Money(2_000));
        for report in
            [webhook(key, id.0, YES), PaymentWebhook { amount, ..webhook(key, id.0, YES) }]
        {
            let key = format!("{key}{}", report.amount.is_some());
            let report = PaymentWebhook { key: key.into(), ..report };
            let expected = conflict(id, Status::Pending, Conflict::Method);
            assert_eq!(tell(&mut machine, report), expected);
            assert_eq!(machine.events(), ["payment.conflict"]);
        }
        assert_eq!(machine.order(id), before);
        // Under the rules of before it decided whatever was PENDING.
        let report = webhook(key, id.0, YES);
        assert_eq!(tell_parking(&mut machine, report), applied(id, Status::Paid));
    }
    // The worker that saw the task has nothing to charge any more.
    assert_eq!(machine.claim(&[OrderId(2)]), []);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn a_failure_gives_the_units_back() {
    let mut machine = machine();
    let id = machine.place(waiting());
    assert_eq!(tell(&mut machine, webhook("k", id.0, NO)), applied(id, Status::Failed));
    let order = machine.order(id);
    assert_eq!(
        (order.status, order.failure_reason.as_deref()),
        (Status::Failed, Some("payment failed"))
    );
    assert_eq!(path(&machine, id).last(), Some(&(Status::Failed, Cause::PaymentDeclined)));
    assert_eq!(machine.stock(engine::ids::ProductId(1)).stock.available(), 10);
}

#[test]
fn a_webhook_key_is_recorded_once_for_good() {
    let mut machine = machine();
    let id = machine.place(waiting());
    let report = || webhook("k", id.0, YES);
    assert_eq!(tell(&mut machine, report()), applied(id, Status::Paid));
    machine.pass(1_000_000);
    // The payload may differ between deliveries, and settings are not part of its meaning.
    let other = PaymentWebhook { payload: Some("{\"try\":2}".into()), parked_max: 0, ..report() };
    let duplicate = again(applied(id, Status::Paid), Some(Status::Paid));
    assert_eq!(tell(&mut machine, other), duplicate);
    for other in [
        webhook("k", id.0, NO),
        webhook("k", id.0 + 1, YES),
        PaymentWebhook { amount: Some(Money(2_000)), ..report() },
    ] {
        assert_eq!(tell(&mut machine, other), Outcome::Rejected(Rejection::KeyReused));
    }
    assert_eq!(machine.order(id).status, Status::Paid);
    assert_eq!(machine.state.webhook_by_key("k"), Some(WebhookId(1)));
    assert_eq!(machine.state.webhook(WebhookId(2)), Lookup::Absent);
    let totals = machine.state.totals();
    assert_eq!((totals.webhooks_applied, totals.webhooks_duplicate), (1, 1));
    // Keys of orders are other keys.
    machine.place(keyed("k", &[(1, 1)]));
}

#[test]
fn a_late_or_contradictory_report_is_recorded_and_changes_nothing() {
    let mut machine = machine();
    for (n, end) in [Status::Paid, Status::Failed, Status::Cancelled].into_iter().enumerate() {
        let id = machine.place(waiting());
        match end {
            Status::Paid => drop(tell(&mut machine, webhook(&format!("a{n}"), id.0, YES))),
            Status::Failed => drop(tell(&mut machine, webhook(&format!("a{n}"), id.0, NO))),
            _ => drop(machine.run(cancel(id))),
        }
        let before = machine.order(id);
        for report in [YES, NO] {
            machine.events();
            let late = webhook(&format!("{}{n}", report.as_str()), id.0, report);
            let expected = conflict(id, end, Conflict::Late);
            assert_eq!(tell(&mut machine, late.clone()), expected.clone());
            assert_eq!(machine.events(), ["payment.conflict"]);
            // Told again it is answered the same, and told on no more.
            assert_eq!(tell(&mut machine, late), again(expected, Some(end)));
            assert!(machine.events().is_empty());
            assert_eq!(machine.order(id), before, "never reopened");
        }
    }
    let totals = machine.state.totals();
    assert_eq!((totals.payment_conflicts, totals.webhooks_duplicate), (6, 6));
    match machine.state.webhook(WebhookId(2)) {
        Lookup::Resident(row) => assert_eq!(row.fate, Fate::Conflict(Conflict::Late)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_amount_is_a_conflict_and_the_order_goes_on_waiting() {
    let mut machine = machine();
    let id = machine.place(waiting());
    for (key, amount) in [("a", 1_999), ("b", 0), ("c", -2_000)] {
        let wrong = PaymentWebhook { amount: Some(Money(amount)), ..webhook(key, id.0, YES) };
        assert_eq!(tell(&mut machine, wrong), conflict(id, Status::Pending, Conflict::Amount));
    }
    let told = machine.recorder.events.last().expect("told").kind.clone();
    let Kind::PaymentConflict { order, amount, conflict, webhook: report, .. } = told else {
        panic!("{told:?}");
    };
    assert_eq!((order, amount, conflict), (id, Some(Money(-2_000)), Conflict::Amount));
    assert_eq!(report, WebhookId(3));
    let right = PaymentWebhook { amount: Some(Money(2_000)), ..webhook("d", id.0, YES) };
    assert_eq!(tell(&mut machine, right), applied(id, Status::Paid));
}

#[test]
fn a_report_does_not_settle_an_order_that_the_worker_charges() {
    let mut machine = machine();
    let id = machine.place(PlaceOrder {
        payment_method: PaymentMethod::Mock,
        payment_attempts_max: 2,
        ..waiting()
    });
    machine.claim(&[id]);
    let under_way = conflict(id, Status::Processing, Conflict::UnderWay);
    assert_eq!(tell(&mut machine, webhook("a", id.0, YES)), under_way.clone());
    // Also between two attempts, and while nobody knows what became of one.
    machine.settle(id, 1, declined());
    assert_eq!(tell(&mut machine, webhook("b", id.0, NO)), under_way);
    machine.now += 500;
    machine.run(claim(2, vec![(id, 2)]));
    machine.settle(id, 2, Verdict::Succeeded);
    assert_eq!(machine.order(id).status, Status::Paid);
    // The same report as before is answered as before, but for where the order stands now.
    let paid = again(conflict(id, Status::Processing, Conflict::UnderWay), Some(Status::Paid));
    assert_eq!(tell(&mut machine, webhook("a", id.0, YES)), paid);
}

#[test]
fn a_report_past_the_deadline_is_late_before_and_after_the_sweep() {
    let mut machine = Machine::default();
    machine.product("10", 5_000);
    machine.run_all(vec![Command::PlaceOrder(waiting()); 1_500]);
    machine.now = 1_000;
    // The head of the entry sweeps a thousand; the last order is not among them.
    let last = OrderId(1_500);
    let late = conflict(last, Status::Cancelled, Conflict::Late);
    assert_eq!(tell(&mut machine, webhook("k", last.0, YES)), late);
    assert_eq!(path(&machine, last).last(), Some(&(Status::Cancelled, Cause::PaymentTimeout)));
    // In time by a millisecond.
    machine.run(Command::Tick);
    let id = machine.place(waiting());
    machine.now = 1_999;
    assert_eq!(tell(&mut machine, webhook("l", id.0, YES)), applied(id, Status::Paid));
}

#[test]
fn a_report_about_an_order_that_does_not_exist_never_decides_anything() {
    let mut machine = machine();
    for report in [YES, NO] {
        let early = || webhook(report.as_str(), 1, report);
        assert_eq!(tell(&mut machine, early()), unmatched(1));
        assert_eq!(tell(&mut machine, early()), again(unmatched(1), None));
    }
    assert_eq!(machine.events(), ["product.created", "payment.unmatched", "payment.unmatched"]);
    assert_eq!((machine.state.parked_webhooks(), machine.state.next_deadline()), (0, None));
    let id = machine.place(waiting());
    machine.come_back();
    // Another order has the id now, also when the report is delivered again.
    let pending = Some(Status::Pending);
    assert_eq!(tell(&mut machine, webhook("success", 1, YES)), again(unmatched(1), pending));
    assert_eq!(tell(&mut machine, webhook("success", 1, NO)), {
        Outcome::Rejected(Rejection::KeyReused)
    });
    assert_eq!(machine.order(id).status, Status::Pending);
    assert_eq!(tell(&mut machine, webhook("new", 1, YES)), applied(id, Status::Paid));
    let totals = machine.state.totals();
    assert_eq!((totals.webhooks_unmatched, totals.webhooks_duplicate), (2, 3));
    machine.state.check_invariants().expect("sound");
}

#[test]
fn reports_that_wait_since_before_decide_nothing_any_more() {
    let mut machine = machine();
    for order in 1..=3 {
        let key = order.to_string();
        assert_eq!(tell_parking(&mut machine, webhook(&key, order, YES)), parked(order));
    }
    machine.come_back();
    // The order comes: the report for it is told as unmatched, and the order waits.
    machine.events();
    let id = machine.place(waiting());
    assert_eq!(machine.events(), ["order.placed", "payment.unmatched"]);
    assert_eq!(machine.order(id).status, Status::Pending);
    let pending = Some(Status::Pending);
    assert_eq!(tell(&mut machine, webhook("1", 1, YES)), again(unmatched(1), pending));
    // The report comes again first: that ends its waiting, too.
    assert_eq!(tell(&mut machine, webhook("2", 2, YES)), again(unmatched(2), None));
    // Orders of a batch are orders.
    machine.run(batch(true, vec![waiting(), waiting()]));
    assert_eq!(machine.order(OrderId(2)).status, Status::Pending);
    assert_eq!(machine.order(OrderId(3)).status, Status::Pending);
    assert_eq!(machine.state.parked_webhooks(), 0);
    assert_eq!(machine.state.totals().webhooks_unmatched, 3);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn a_log_of_before_lets_a_report_wait_for_its_order() {
    let mut machine = machine();
    let early = || PaymentWebhook { amount: Some(Money(2_000)), ..webhook("k", 2, YES) };
    assert_eq!(tell_parking(&mut machine, early()), parked(2));
    assert_eq!(tell_parking(&mut machine, early()), again(parked(2), None));
    assert_eq!(machine.state.next_deadline(), Some(Timestamp(1_000)));
    let other = place_parking(&mut machine, waiting());
    assert_eq!(machine.order(other).status, Status::Pending, "it waits for another");
    // A contradiction waits too; whichever came first decides.
    assert_eq!(tell_parking(&mut machine, webhook("l", 2, NO)), parked(2));
    machine.events();
    let id = place_parking(&mut machine, waiting());
    assert_eq!(id, OrderId(2));
    assert_eq!(machine.order(id).status, Status::Paid);
    let history = &machine.order(id).history;
    assert!(history.iter().all(|row| row.position == history[0].position) && history.len() == 3);
    assert_eq!(
        machine.events(),
        ["order.placed", "order.processing", "order.paid", "payment.conflict"]
    );
    let paid = Some(Status::Paid);
    assert_eq!(tell(&mut machine, early()), again(applied(id, Status::Paid), paid));
    let late = again(conflict(id, Status::Paid, Conflict::Late), paid);
    assert_eq!(tell(&mut machine, webhook("l", 2, NO)), late);
    assert_eq!(machine.state.parked_webhooks(), 0);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn in_a_log_of_before_a_parked_failure_ends_the_order_that_it_waited_for() {
    let mut machine = machine();
    tell_parking(&mut machine, webhook("k", 1, NO));
    let mock = PlaceOrder { payment_method: PaymentMethod::Mock, ..waiting() };
    let id = place_parking(&mut machine, mock);
    assert_eq!(machine.order(id).status, Status::Failed);
    assert_eq!(machine.stock(engine::ids::ProductId(1)).stock.available(), 10);
    assert_eq!(machine.state.payment_tasks(), 0);
}

#[test]
fn in_a_log_of_before_a_report_that_finds_no_order_in_time_may_come_again() {
    let mut machine = machine();
    tell_parking(&mut machine, webhook("k", 1, YES));
    machine.events();
    machine.pass(999);
    assert!(machine.events().is_empty());
    machine.pass(1);
    assert_eq!(machine.events(), ["payment.unmatched"]);
    assert_eq!(machine.state.parked_webhooks(), 0);
    let id = machine.place(waiting());
    assert_eq!(machine.order(id).status, Status::Pending);
    // Nothing came of it, so the provider's next try counts.
    let reused = Outcome::Rejected(Rejection::KeyReused);
    assert_eq!(tell_parking(&mut machine, webhook("k", 1, NO)), reused);
    assert_eq!(tell_parking(&mut machine, webhook("k", 1, YES)), applied(id, Status::Paid));
    assert_eq!(machine.state.webhook_by_key("k"), Some(WebhookId(2)));
    assert_eq!(machine.state.totals().webhooks_unmatched, 1);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn in_a_log_of_before_room_for_reports_that_wait_is_bounded() {
    let mut machine = machine();
    let full = Outcome::Rejected(Rejection::TooManyParked);
    for n in 0..20 {
        let outcome = tell_parking(&mut machine, webhook(&format!("{n}"), 9, YES));
        assert_eq!(outcome == full, n >= 16, "{n}: {outcome:?}");
    }
    let bounded = |key: &str| PaymentWebhook { parked_max: 17, ..webhook(key, 8, YES) };
    assert_eq!(tell_parking(&mut machine, bounded("a")), parked(8));
    assert_eq!(tell_parking(&mut machine, bounded("b")), full);
    // One that was refused is not taken down; one for an order that is there always is.
    assert_eq!(machine.state.webhook_by_key("b"), None);
    let id = machine.place(waiting());
    let now = PaymentWebhook { order: id, parked_max: 0, ..bounded("b") };
    assert_eq!(tell_parking(&mut machine, now), applied(id, Status::Paid));
}

#[test]
fn a_report_keeps_its_bounds() {
    let mut machine = machine();
    for (webhook, field) in [
        (webhook("", 1, YES), "idempotency_key"),
        (webhook(&"k".repeat(256), 1, YES), "idempotency_key"),
        (webhook("a\nb", 1, YES), "idempotency_key"),
        (webhook("k", 0, YES), "order_id"),
        (
            PaymentWebhook { payload: Some("x".repeat(4_097).into()), ..webhook("k", 1, YES) },
            "payload",
        ),
    ] {
        let refusal = Outcome::Rejected(Rejection::Invalid(field));
        assert_eq!(tell(&mut machine, webhook), refusal);
    }
    assert_eq!(machine.state.webhook(WebhookId(1)), Lookup::Absent);
    let longest =
        PaymentWebhook { payload: Some("x".repeat(4_096).into()), ..webhook("k", u64::MAX, YES) };
    assert_eq!(tell(&mut machine, longest), unmatched(u64::MAX));
}

#[test]
fn reports_come_back_from_a_checkpoint() {
    let mut machine = machine();
    machine.state.set_resident_chunks_max(0);
    for n in 1..=40_u64 {
        let id = machine.place(PlaceOrder { lines: lines(&[(1, 1)]), ..waiting() });
        let payload = Some(format!("{{\"n\":{n}}}").into());
        let report = PaymentWebhook { payload, ..webhook(&format!("{n}"), id.0, NO) };
        assert_eq!(tell(&mut machine, report), applied(id, Status::Failed));
    }
    tell_parking(&mut machine, webhook("early", 41, YES));
    tell_parking(&mut machine, webhook("never", 1_000, YES));
    let store = MemoryStore::new();
    let written = machine.state.freeze().write(&store).expect("written");
    machine.state.release(&written);
    let digest = machine.state.digest();
    assert_eq!(machine.state.webhook(WebhookId(3)), Lookup::Stored);
    let read = engine::checkpoint::read_webhook(&store, WebhookId(3)).expect("readable");
    assert_eq!(read.expect("stored").payload.as_deref(), Some("{\"n\":3}"));
    assert_eq!(engine::checkpoint::read_webhook(&store, WebhookId(43)).expect("readable"), None);
    machine.state = State::open(&store).expect("opened");
    machine.state.set_resident_chunks_max(0);
    assert_eq!(machine.state.digest(), digest);
    // The row is not in memory, its key and its fate are.
    let failed = Some(Status::Failed);
    let duplicate = again(applied(OrderId(3), Status::Failed), failed);
    assert_eq!(tell(&mut machine, webhook("3", 3, NO)), duplicate);
    let id = place_parking(&mut machine, waiting());
    assert_eq!(machine.order(id).status, Status::Paid, "it waited through the restart");
    machine.pass(1_000);
    assert_eq!(machine.state.totals().webhooks_unmatched, 1);
    machine.state.check_invariants().expect("sound");
}

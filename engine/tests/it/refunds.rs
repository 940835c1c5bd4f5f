//! Refunds: money and units that go back, of orders in memory and on disk.

use engine::command::{
    ClaimRefunds, Command, PlaceOrder, RefundResult, RequestRefund, SettleRefunds, Verdict,
};
use engine::ids::{NodeId, OrderId, Quantity, RefundId};
use engine::money::Money;
use engine::order::PaymentMethod;
use engine::outcome::{Outcome, Rejection};
use engine::refund::{Facts, Line, Status};
use engine::state::Lookup;

use crate::common::*;

/// A paid order of two and one units, at 2.50 and 4.00.
fn paid(machine: &mut Machine) -> OrderId {
    if machine.state.product(engine::ids::ProductId(1)).is_none() {
        machine.product("2.50", 10);
        machine.product("4.00", 10);
    }
    let order = mock_order(&[(1, 2), (2, 1)]);
    let user = user_id(7);
    let gateway = PlaceOrder { payment_method: PaymentMethod::Gateway, user, ..order };
    let id = machine.place(gateway);
    machine.claim(&[id]);
    machine.settle(id, 1, Verdict::Succeeded);
    id
}

fn request(machine: &Machine, order: OrderId) -> RequestRefund {
    RequestRefund {
        order,
        facts: Facts::of(&machine.order(order)),
        amount: None,
        lines: Vec::new(),
        reason: "returned".into(),
        actor: "ann".into(),
        key: None,
        refunds_open_max: 1_000,
    }
}

fn line(line: u32, quantity: u32, restock: bool) -> Line {
    Line { line, quantity: Quantity(quantity), restock }
}

fn refund(machine: &mut Machine, request: RequestRefund) -> Result<RefundId, Rejection> {
    match machine.run(Command::RequestRefund(request)) {
        Outcome::RefundRequested(id) => Ok(id),
        Outcome::Rejected(rejection) => Err(rejection),
        other => panic!("{other:?}"),
    }
}

fn settle(machine: &mut Machine, refund: RefundId, verdict: Verdict) -> Outcome {
    let results = vec![RefundResult { refund, verdict }];
    machine.run(Command::SettleRefunds(SettleRefunds { results }))
}

fn row(machine: &Machine, id: RefundId) -> engine::refund::Refund {
    match machine.state.refund(id) {
        Lookup::Resident(row) => row.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn units_come_back_at_once_and_money_counts_until_it_fails() {
    let mut machine = Machine::default();
    let order = paid(&mut machine);
    machine.events();
    let lines = vec![line(1, 1, true), line(2, 1, false)];
    let of_lines = RequestRefund { lines, ..request(&machine, order) };
    let first = refund(&mut machine, of_lines).expect("650 of 900 is left");
    assert_eq!(machine.events(), ["refund.requested"]);
    assert_eq!(
        (row(&machine, first).amount, row(&machine, first).status),
        (Money(650), Status::Requested)
    );
    let stock = |machine: &Machine, id| {
        let stock = &machine.stock(engine::ids::ProductId(id)).stock;
        (stock.on_hand, stock.sold)
    };
    assert_eq!((stock(&machine, 1), stock(&machine, 2)), ((9, 1), (9, 1)));
    let more = |amount| RequestRefund { amount: Some(Money(amount)), ..request(&machine, order) };
    let (too_much, rest) = (more(251), more(250));
    let left = Money(250);
    assert_eq!(refund(&mut machine, too_much), Err(Rejection::RefundExceedsPaid { order, left }));
    let rest = refund(&mut machine, rest).expect("250 is left");
    let nothing_left = request(&machine, order);
    assert!(refund(&mut machine, nothing_left).is_err());
    // A refund that fails gives its money back to what can be refunded, but keeps the units.
    let no = Verdict::Declined { reason: "card closed".into(), retry_in_ms: 0 };
    assert_eq!(settle(&mut machine, first, no.clone()), Outcome::RefundsSettled(1));
    assert_eq!(settle(&mut machine, first, Verdict::Succeeded), Outcome::RefundsSettled(0));
    assert_eq!(row(&machine, first).failure_reason.as_deref(), Some("card closed"));
    assert_eq!(stock(&machine, 1), (9, 1));
    settle(&mut machine, rest, Verdict::Succeeded);
    assert_eq!(machine.state.refunds_of(order), (vec![first, rest], Money(250)));
    machine.come_back();
    assert_eq!(machine.state.refunds_of(order), (vec![first, rest], Money(250)));
    let again = RequestRefund { lines: vec![line(1, 2, true)], ..request(&machine, order) };
    assert_eq!(
        refund(&mut machine, again),
        Err(Rejection::ReturnExceedsSold { order, line: 1 }),
        "one of the two came back before"
    );
}

#[test]
fn a_key_makes_one_refund_and_facts_must_agree() {
    let mut machine = Machine::default();
    let order = paid(&mut machine);
    let keyed = RequestRefund {
        key: Some("rma-1".into()),
        amount: Some(Money(100)),
        ..request(&machine, order)
    };
    let id = refund(&mut machine, keyed.clone()).expect("refunded");
    machine.come_back();
    assert_eq!(machine.run(Command::RequestRefund(keyed.clone())), Outcome::RefundReplayed(id));
    let other = RequestRefund { amount: Some(Money(101)), ..keyed };
    assert_eq!(refund(&mut machine, other), Err(Rejection::KeyReused));
    let mut forged = request(&machine, order);
    forged.facts.total = Money(1_000_000);
    assert_eq!(refund(&mut machine, forged), Err(Rejection::Invalid("facts")));
    let placed = machine.place(mock_order(&[(1, 1)]));
    let too_soon = request(&machine, placed);
    assert!(matches!(refund(&mut machine, too_soon), Err(Rejection::NotRefundable { .. })));
}

#[test]
fn units_that_came_back_can_be_bought_again_by_their_customer() {
    let mut machine = Machine::default();
    let limited = engine::command::CreateProduct {
        name: "thing".into(),
        price: Money(100),
        stock: 10,
        max_per_user: Some(2),
        ..engine::command::CreateProduct::default()
    };
    machine.run(Command::CreateProduct(limited));
    let buy = PlaceOrder {
        payment_method: PaymentMethod::Gateway,
        user: user_id(7),
        ..mock_order(&[(1, 2)])
    };
    let order = machine.place(buy.clone());
    machine.claim(&[order]);
    machine.settle(order, 1, Verdict::Succeeded);
    let one = PlaceOrder { user: user_id(7), ..mock_order(&[(1, 1)]) };
    let place = |machine: &mut Machine| machine.run(Command::PlaceOrder(one.clone()));
    assert!(matches!(place(&mut machine), Outcome::Rejected(Rejection::UserLimitExceeded { .. })));
    let back = RequestRefund { lines: vec![line(1, 1, true)], ..request(&machine, order) };
    refund(&mut machine, back).expect("refunded");
    machine.come_back();
    assert!(matches!(place(&mut machine), Outcome::Placed(_)));
    assert!(matches!(place(&mut machine), Outcome::Rejected(Rejection::UserLimitExceeded { .. })));
}

#[test]
fn a_refund_is_claimed_by_one_worker_until_its_lease_ends() {
    let mut machine = Machine::default();
    let order = paid(&mut machine);
    let whole = request(&machine, order);
    let id = refund(&mut machine, whole).expect("refunded");
    let due =
        |machine: &Machine, method| machine.state.due_refunds(method, machine.state.clock(), 9);
    assert_eq!(due(&machine, PaymentMethod::Gateway), [id]);
    assert_eq!(due(&machine, PaymentMethod::Mock), []);
    let claim = |machine: &mut Machine| {
        let claim = ClaimRefunds { node: NodeId(1), lease_ms: 1_000, refunds: vec![id] };
        match machine.run(Command::ClaimRefunds(claim)) {
            Outcome::RefundsClaimed(claimed) => {
                claimed.iter().map(|claim| (claim.amount, claim.maybe_sent)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(claim(&mut machine), [(Money(900), false)]);
    assert_eq!(claim(&mut machine), []);
    machine.pass(1_000);
    assert_eq!(claim(&mut machine), [(Money(900), true)], "the first may have been sent");
    settle(&mut machine, id, Verdict::NoAnswer { retry_in_ms: 10 });
    machine.come_back();
    assert_eq!(due(&machine, PaymentMethod::Gateway), []);
    machine.pass(10);
    assert_eq!(claim(&mut machine), [(Money(900), true)]);
}

#[test]
fn an_order_that_no_gateway_charged_has_its_refund_recorded_as_done() {
    let mut machine = Machine::default();
    machine.product("2.50", 10);
    let order =
        machine.place(PlaceOrder { payment_method: PaymentMethod::Webhook, ..order(&[(1, 1)]) });
    let report = webhook("w", order.0, engine::webhook::Report::Succeeded);
    machine.run(Command::PaymentWebhook(report));
    machine.events();
    let whole = request(&machine, order);
    let id = refund(&mut machine, whole).expect("refunded");
    assert_eq!(machine.events(), ["refund.requested", "refund.succeeded"]);
    assert_eq!(row(&machine, id).status, Status::Succeeded);
    assert_eq!(machine.state.open_refunds(), 0);
}

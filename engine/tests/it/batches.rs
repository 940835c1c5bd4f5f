//! Batches of orders: each by itself, or all or none.

use engine::command::{Command, CreateHold, CreateProduct, PlaceBatch, PlaceOrder};
use engine::ids::{OrderId, ProductId, Timestamp};
use engine::order::{PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::webhook::Report;

use crate::common::*;

fn outcomes(outcome: Outcome) -> Vec<Outcome> {
    match outcome {
        Outcome::Batch(outcomes) => outcomes,
        other => panic!("no batch: {other:?}"),
    }
}

fn refused_all(outcome: Outcome) -> Vec<(usize, Rejection)> {
    match outcome {
        Outcome::Rejected(Rejection::BatchRefused { items }) => items.into_vec(),
        other => panic!("not refused: {other:?}"),
    }
}

fn refused(outcome: Outcome) -> (usize, Rejection) {
    let mut all = refused_all(outcome);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn lacking(requested: u64, available: i64) -> Rejection {
    Rejection::InsufficientStock {
        product: ProductId(1),
        requested,
        available,
        also: Box::default(),
    }
}

#[test]
fn orders_of_an_independent_batch_succeed_or_fail_alone() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.place(keyed("old", &[(1, 1)]));
    machine.events();
    let told = outcomes(machine.run(batch(
        false,
        vec![
            order(&[(1, 2)]),
            order(&[(1, 3)]),
            keyed("old", &[(1, 1)]),
            keyed("old", &[(1, 2)]),
            keyed("new", &[(1, 1)]),
            keyed("new", &[(1, 1)]),
            order(&[]),
            order(&[(9, 1)]),
        ],
    )));
    assert_eq!(
        told,
        [
            Outcome::Placed(OrderId(2)),
            Outcome::Rejected(lacking(3, 2)),
            Outcome::Replayed(OrderId(1)),
            Outcome::Rejected(Rejection::KeyReused),
            Outcome::Placed(OrderId(3)),
            Outcome::Replayed(OrderId(3)),
            Outcome::Rejected(Rejection::Invalid("items")),
            Outcome::Rejected(Rejection::ProductNotFound(ProductId(9))),
        ]
    );
    assert_eq!(machine.events(), ["order.placed", "order.rejected", "order.placed"]);
    let totals = machine.state.totals();
    assert_eq!((totals.orders_created, totals.orders_replayed), (3, 2));
    assert_eq!((totals.rejected_insufficient_stock, totals.rejected_key_reused), (1, 1));
    assert_eq!(machine.order(OrderId(2)).version, machine.order(OrderId(3)).version, "one place");
}

#[test]
fn an_atomic_batch_is_placed_whole_or_not_at_all() {
    let mut machine = Machine::default();
    let product = machine.product("1", 5);
    machine.product("1", 5);
    let before = machine.state.digest();
    // Each of them alone would fit.
    let three = vec![order(&[(1, 2)]), order(&[(2, 5)]), order(&[(1, 2)]), order(&[(1, 2)])];
    assert_eq!(refused(machine.run(batch(true, three))), (3, lacking(2, 1)));
    assert_eq!(machine.stock(product).ledger_rows, 1, "nothing was touched");
    assert_eq!(machine.state.open_orders(), 0);
    assert_ne!(machine.state.digest(), before, "but the refusal is counted");
    let fits = vec![order(&[(1, 2)]), order(&[(2, 5)]), order(&[(1, 3)])];
    let placed = outcomes(machine.run(batch(true, fits)));
    assert_eq!(placed, [1, 2, 3].map(|id| Outcome::Placed(OrderId(id))));
    assert_eq!(machine.stock(product).stock.available(), 0);
    assert_eq!(machine.state.totals().rejected_insufficient_stock, 1);
}

#[test]
fn a_refused_atomic_batch_reports_every_fault() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.events();
    let orders = vec![
        order(&[(1, 3)]),
        order(&[(1, 3)]),
        order(&[(9, 1)]),
        // The refused order takes nothing.
        order(&[(1, 2)]),
        order(&[(1, 1)]),
    ];
    let all = refused_all(machine.run(batch(true, orders)));
    let missing = Rejection::ProductNotFound(ProductId(9));
    assert_eq!(all, [(1, lacking(3, 2)), (2, missing), (4, lacking(1, 0))]);
    let words = Rejection::BatchRefused { items: all.into() }.to_string();
    assert!(words.starts_with("The order at index 1 of the batch: Insufficient"), "{words}");
    assert!(words.ends_with("(and 2 more orders)"), "{words}");
    assert_eq!(machine.events(), ["order.rejected", "order.rejected"]);
    let totals = machine.state.totals();
    assert_eq!((totals.rejected_insufficient_stock, totals.rejected_other), (2, 1));
    assert_eq!(machine.state.open_orders(), 0);
}

#[test]
fn keys_within_an_atomic_batch_are_keys() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.place(keyed("old", &[(1, 1)]));
    machine.run(fence("fenced"));
    let placed = outcomes(machine.run(batch(
        true,
        vec![keyed("new", &[(1, 2)]), keyed("old", &[(1, 1)]), keyed("new", &[(1, 2)])],
    )));
    let new = OrderId(2);
    let expected = [Outcome::Placed(new), Outcome::Replayed(OrderId(1)), Outcome::Replayed(new)];
    assert_eq!(placed, expected);
    assert_eq!(machine.stock(ProductId(1)).stock.reserved, 3);
    for (orders, refusal) in [
        (vec![keyed("a", &[(1, 1)]), keyed("a", &[(1, 2)])], (1, Rejection::KeyReused)),
        (vec![keyed("a", &[(1, 1)]), keyed("old", &[(1, 2)])], (1, Rejection::KeyReused)),
        (vec![keyed("fenced", &[(1, 1)])], (0, Rejection::KeyFenced)),
    ] {
        assert_eq!(refused(machine.run(batch(true, orders))), refusal);
    }
    assert_eq!(machine.state.order_by_key("a"), None, "what was not placed has no key");
    assert_eq!(machine.state.totals().orders_replayed, 2);
}

#[test]
fn limits_and_rooms_are_shared_by_an_atomic_batch() {
    let mut machine = Machine::default();
    machine.product("1", 100);
    let product = CreateProduct {
        name: "limited".into(),
        stock: 100,
        max_per_user: Some(3),
        ..CreateProduct::default()
    };
    machine.run(Command::CreateProduct(product));
    let of = |user, units| PlaceOrder { user: user_id(user), ..order(&[(2, units)]) };
    let (limit, product) = (3, ProductId(2));
    let refusal = Rejection::UserLimitExceeded { product, limit, requested: 2, taken: 2 };
    assert_eq!(refused(machine.run(batch(true, vec![of(1, 2), of(2, 3), of(1, 2)]))), (2, refusal));
    outcomes(machine.run(batch(true, vec![of(1, 2), of(2, 3), of(1, 1)])));
    let full = PlaceOrder { open_orders_max: 4, ..order(&[(1, 1)]) };
    let refusal = refused(machine.run(batch(true, vec![full.clone(), full.clone()])));
    assert_eq!(refusal, (1, Rejection::TooManyOpenOrders));
    outcomes(machine.run(batch(true, vec![full])));
}

#[test]
fn a_batch_consumes_a_hold_once() {
    let mut machine = Machine::default();
    let product = machine.product("1", 2);
    let held = machine.make_hold(hold(&[(1, 2)]));
    let twice = vec![order_from(held), order_from(held)];
    let refusal = refused(machine.run(batch(true, twice.clone())));
    assert_eq!(refusal, (1, Rejection::HoldNamedTwice(held)));
    assert_eq!(machine.stock(product).stock.held, 2);
    let id = OrderId(1);
    let told = outcomes(machine.run(batch(false, twice)));
    let consumed = Rejection::HoldConsumed { hold: held, order: id };
    assert_eq!(told, [Outcome::Placed(id), Outcome::Rejected(consumed)]);
}

#[test]
fn in_a_log_of_before_a_report_that_waited_is_applied_within_the_batch() {
    let mut machine = Machine::default();
    let product = machine.product("1", 3);
    machine.run_parking(Command::PaymentWebhook(webhook("a", 1, Report::Failed)));
    machine.run_parking(Command::PaymentWebhook(webhook("b", 2, Report::Succeeded)));
    let waiting = PlaceOrder { payment_method: PaymentMethod::Webhook, ..order(&[(1, 2)]) };
    // The units that the first will give back are promised to nobody within an atomic batch.
    let refusal = refused(machine.run_parking(batch(true, vec![waiting.clone(), waiting.clone()])));
    assert_eq!(refusal, (1, lacking(2, 1)));
    let placed = outcomes(machine.run_parking(batch(false, vec![waiting.clone(), waiting])));
    assert_eq!(placed, [1, 2].map(|id| Outcome::Placed(OrderId(id))));
    assert_eq!(machine.order(OrderId(1)).status, Status::Failed);
    assert_eq!(machine.order(OrderId(2)).status, Status::Paid);
    let stock = machine.stock(product).stock;
    assert_eq!((stock.available(), stock.sold), (1, 2));
}

#[test]
fn a_batch_has_one_to_a_thousand_orders() {
    let mut machine = Machine::default();
    let product = machine.product("1", 2_000);
    for atomic in [false, true] {
        for size in [0, 1_001] {
            let outcome = machine.run(batch(atomic, vec![order(&[(1, 1)]); size]));
            assert_eq!(outcome, Outcome::Rejected(Rejection::Invalid("orders")));
        }
        let placed = outcomes(machine.run(batch(atomic, vec![order(&[(1, 1)]); 1_000])));
        assert_eq!(placed.len(), 1_000);
    }
    assert_eq!(machine.stock(product).stock.reserved, 2_000);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn a_batch_that_lacks_stock_is_refused_without_an_entry() {
    let mut machine = Machine::default();
    machine.product("1", 2);
    machine.product("1", 5);
    machine.place(keyed("old", &[(2, 1)]));
    let lacks = |machine: &Machine, atomic, orders: &[PlaceOrder], now| {
        let batch = PlaceBatch { atomic, orders: orders.to_vec() };
        machine.state.refusal_of_batch(&batch, Timestamp(now))
    };
    let (three, two, one) = (order(&[(1, 3)]), order(&[(1, 2)]), order(&[(1, 1)]));
    // The refusal is the one that the log would give.
    let each = [three.clone(), keyed("new", &[(1, 4)])];
    let together = [two.clone(), keyed("old", &[(2, 1)]), one.clone()];
    for (atomic, orders) in [(false, &each[..]), (true, &each[..]), (true, &together[..])] {
        let told = lacks(&machine, atomic, orders, 0);
        assert!(told.is_some(), "{orders:?}");
        assert_eq!(told, Some(machine.run(batch(atomic, orders.to_vec()))));
    }
    let decided_by_the_log = [
        // It would place an order.
        (false, vec![three.clone(), two.clone()]),
        (true, vec![two.clone(), order(&[(2, 4)])]),
        // Something else is wrong, too.
        (false, vec![three.clone(), order(&[(9, 1)])]),
        (true, vec![three.clone(), order(&[(9, 1)])]),
        // A key is known.
        (false, vec![three.clone(), keyed("old", &[(2, 1)])]),
        (true, vec![three.clone(), keyed("old", &[(2, 2)])]),
        (true, Vec::new()),
        (false, vec![three.clone(); 1_001]),
    ];
    for (atomic, orders) in &decided_by_the_log {
        assert_eq!(lacks(&machine, *atomic, orders, 0), None, "{orders:?}");
    }
    // A hold that ends at 100 would give units back.
    machine.make_hold(CreateHold { ttl_ms: 100, ..hold(&[(1, 2)]) });
    for atomic in [false, true] {
        assert!(lacks(&machine, atomic, std::slice::from_ref(&one), 99).is_some());
        assert_eq!(lacks(&machine, atomic, std::slice::from_ref(&one), 100), None);
    }
}

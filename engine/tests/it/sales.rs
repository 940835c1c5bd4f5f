//! The rules of a sale: windows, bounds, prices that a hold keeps, expected totals.

use engine::command::{Command, CreateHold, CreateProduct, OrderTerms, PlaceOrder, UpdateProduct};
use engine::hold::Status;
use engine::ids::{ProductId, Quantity, Timestamp};
use engine::money::Money;
use engine::order::Item;
use engine::outcome::{Outcome, Rejection};
use engine::sale::{PerWindow, Sale, SaleChange};

use crate::common::*;
use crate::level::raise;

const PRODUCT: ProductId = ProductId(1);

/// A cluster of level 1 with a product of 1.00.
fn selling(stock: i64, sale: Sale) -> Machine {
    let mut machine = Machine::default();
    machine.run(raise(1));
    let price = Money(100);
    let product =
        CreateProduct { name: "x".into(), price, stock, sale: sale.into(), ..Default::default() };
    assert_eq!(machine.run(Command::CreateProduct(product)), Outcome::ProductCreated(PRODUCT));
    machine
}

fn expecting(total: i64, order: PlaceOrder) -> Command {
    let terms = OrderTerms { expected_total: Some(Money(total)), reference: None };
    Command::PlaceOrder(PlaceOrder { terms: terms.into(), ..order })
}

fn at(machine: &mut Machine, now: u64, command: Command) -> Outcome {
    machine.now = now;
    machine.run(command)
}

fn refused(outcome: Outcome) -> Rejection {
    match outcome {
        Outcome::Rejected(rejection) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

fn price(minor: i64) -> Command {
    let price = Some(Money(minor));
    Command::UpdateProduct(UpdateProduct { product: PRODUCT, price, ..Default::default() })
}

#[test]
fn an_order_with_another_total_than_expected_is_refused_with_the_right_one() {
    let mut machine = selling(10, Sale::default());
    let digest = machine.state.digest();
    let items = [Item { product: PRODUCT, quantity: Quantity(2), unit_price: Money(100) }];
    assert_eq!(
        refused(machine.run(expecting(199, keyed("k", &[(1, 2)])))),
        Rejection::TotalMismatch { expected: Money(199), actual: Money(200), items: items.into() }
    );
    assert_ne!(machine.state.digest(), digest, "the refusal is counted");
    assert!(matches!(machine.run(expecting(200, keyed("k", &[(1, 2)]))), Outcome::Placed(_)));
    // It is a check like that of a version, not part of what the key means.
    assert!(matches!(machine.run(expecting(7, keyed("k", &[(1, 2)]))), Outcome::Replayed(_)));
    // Stock comes first, so that a sale that is over is refused for that.
    let lacks = refused(machine.run(expecting(7, order(&[(1, 9)]))));
    assert!(matches!(lacks, Rejection::InsufficientStock { .. }), "{lacks:?}");
    machine.come_back();
}

#[test]
fn an_order_pays_the_prices_of_its_hold_also_when_the_product_is_archived() {
    let mut machine = selling(10, Sale::default());
    let [first, second] = [2, 3].map(|units| machine.make_hold(hold(&[(1, units)])));
    machine.run(price(999));
    machine.come_back();
    assert_eq!(machine.held(first).unit_prices.as_deref(), Some(&[Money(100)][..]));
    let mismatch = refused(machine.run(expecting(1998, order_from(first))));
    let is_frozen = matches!(mismatch, Rejection::TotalMismatch { actual: Money(200), .. });
    assert!(is_frozen, "{mismatch:?}");
    assert!(matches!(machine.run(expecting(200, order_from(first))), Outcome::Placed(_)));
    machine.run(archive(PRODUCT));
    let batch = engine::command::PlaceBatch { atomic: true, orders: vec![order_from(second)] };
    let placed = machine.run(Command::PlaceBatch(batch));
    let Outcome::Batch(outcomes) = &placed else { panic!("refused: {placed:?}") };
    let [Outcome::Placed(id)] = outcomes[..] else { panic!("refused: {outcomes:?}") };
    assert_eq!(machine.order(id).total, Money(300));
    machine.come_back();
}

#[test]
fn a_hold_of_level_0_has_no_prices_and_its_order_pays_those_of_its_moment() {
    let mut machine = Machine::default();
    machine.product("1.00", 10);
    let [first, second] = [(); 2].map(|()| machine.make_hold(hold(&[(1, 2)])));
    machine.run(raise(1));
    machine.run(price(150));
    assert_eq!(machine.held(first).unit_prices, None);
    machine.come_back();
    assert!(matches!(machine.run(expecting(300, order_from(first))), Outcome::Placed(_)));
    machine.run(archive(PRODUCT));
    let refusal = refused(machine.run(Command::PlaceOrder(order_from(second))));
    assert_eq!(refusal, Rejection::ProductNotFound(PRODUCT));
}

#[test]
fn a_sale_opens_and_closes_at_its_instants() {
    let window = |opens, closes| Sale {
        opens_at: Some(Timestamp(opens)),
        closes_at: Some(Timestamp(closes)),
        ..Sale::default()
    };
    let mut machine = selling(10, window(1_000, 2_000));
    let ask = || [Command::PlaceOrder(order(&[(1, 1)])), Command::CreateHold(hold(&[(1, 1)]))];
    for command in ask() {
        let (opens_at, clock) = (Timestamp(1_000), Timestamp(999));
        let expected = Rejection::SaleNotOpen { product: PRODUCT, opens_at, clock };
        assert_eq!(refused(at(&mut machine, 999, command)), expected);
    }
    machine.now = 1_000;
    assert!(ask().into_iter().all(|ask| !matches!(machine.run(ask), Outcome::Rejected(_))));
    machine.now = 1_999;
    let last = machine.make_hold(hold(&[(1, 1)]));
    let extend = |hold| {
        Command::ExtendHold(engine::command::ExtendHold { hold, ttl_ms: 500, ttl_max_ms: 1_000 })
    };
    assert_eq!(machine.run(extend(last)), Outcome::HoldExtended(last));
    machine.come_back();
    machine.now = 2_000;
    let closed = Rejection::SaleClosed { product: PRODUCT, closes_at: Timestamp(2_000) };
    for command in ask().into_iter().chain([extend(last)]) {
        assert_eq!(refused(machine.run(command)), closed);
    }
    // What was held before may become an order until its own deadline.
    assert!(matches!(machine.run(Command::PlaceOrder(order_from(last))), Outcome::Placed(_)));
    // Opened again by a change.
    let sale = SaleChange { closes_at: Some(None), ..SaleChange::default() };
    let update = UpdateProduct { product: PRODUCT, sale: sale.into(), ..Default::default() };
    machine.run(Command::UpdateProduct(update));
    assert!(matches!(machine.run(Command::PlaceOrder(order(&[(1, 1)]))), Outcome::Placed(_)));
}

#[test]
fn an_order_requests_the_minimum_of_each_product_over_all_its_lines() {
    let mut machine = selling(10, Sale { min_per_order: Some(2), ..Sale::default() });
    for command in [Command::PlaceOrder(order(&[(1, 1)])), Command::CreateHold(hold(&[(1, 1)]))] {
        let expected = Rejection::MinimumNotMet { product: PRODUCT, minimum: 2, requested: 1 };
        assert_eq!(refused(machine.run(command)), expected);
    }
    machine.place(order(&[(1, 1), (1, 1)]));
}

#[test]
fn held_units_of_a_user_are_bounded_and_given_back_once() {
    let mut machine = selling(100, Sale { max_held_per_user: Some(3), ..Sale::default() });
    let hold_of = |user, units| CreateHold { user: user_id(user), ..hold(&[(1, units)]) };
    let ask = |machine: &mut Machine, units| machine.run(Command::CreateHold(hold_of(7, units)));
    let anonymous = Command::CreateHold(hold(&[(1, 1)]));
    assert_eq!(refused(machine.run(anonymous)), Rejection::UserRequired);
    let over = |requested, held| Rejection::HeldLimitExceeded {
        product: PRODUCT,
        limit: 3,
        requested,
        held,
    };
    let first = machine.make_hold(hold_of(7, 2));
    machine.make_hold(hold_of(8, 3));
    assert_eq!(refused(ask(&mut machine, 2)), over(2, 2));
    machine.come_back();
    assert_eq!(refused(ask(&mut machine, 2)), over(2, 2), "also from a checkpoint");
    // An order from the hold no longer holds them, a released and an expired hold neither.
    let order = PlaceOrder { user: user_id(7), ..order_from(first) };
    machine.place(order);
    let second = machine.make_hold(hold_of(7, 3));
    machine.run(release(second));
    let third = machine.make_hold(hold_of(7, 3));
    assert_eq!(refused(ask(&mut machine, 1)), over(1, 3));
    machine.pass(100);
    assert_eq!(machine.held(third).status, Status::Expired);
    machine.make_hold(hold_of(7, 3));
    machine.come_back();
}

#[test]
fn rules_without_sense_are_refused() {
    let mut machine = selling(1, Sale { opens_at: Some(Timestamp(5)), ..Sale::default() });
    let none = SaleChange::default;
    for (sale, expected) in [
        (
            SaleChange { closes_at: Some(Some(Timestamp(5))), ..none() },
            Rejection::ClosesBeforeOpening,
        ),
        (
            SaleChange { min_per_order: Some(Some(0)), ..none() },
            Rejection::Invalid("min_per_order"),
        ),
        (
            SaleChange { max_held_per_user: Some(Some(0)), ..none() },
            Rejection::Invalid("max_held_per_user"),
        ),
    ] {
        let change = UpdateProduct { product: PRODUCT, sale: sale.into(), ..Default::default() };
        assert_eq!(refused(machine.run(Command::UpdateProduct(change))), expected);
    }
}

#[test]
fn a_minimum_above_a_maximum_is_refused_from_either_side() {
    let above = |field| Rejection::MinimumAboveMaximum { minimum: 3, field, maximum: 2 };
    let sale = Sale { min_per_order: Some(3), ..Sale::default() };
    let mut machine = selling(9, sale);
    let create =
        |sale: Sale| CreateProduct { name: "x".into(), sale: sale.into(), ..Default::default() };
    let update = || UpdateProduct { product: PRODUCT, ..Default::default() };
    let held = SaleChange { max_held_per_user: Some(Some(2)), ..SaleChange::default() };
    for (command, field) in [
        (
            Command::CreateProduct(CreateProduct { max_per_order: Some(2), ..create(sale) }),
            "max_per_order",
        ),
        (
            Command::CreateProduct(create(Sale { max_held_per_user: Some(2), ..sale })),
            "max_held_per_user",
        ),
        (
            Command::UpdateProduct(UpdateProduct { max_per_order: Some(Some(2)), ..update() }),
            "max_per_order",
        ),
        (
            Command::UpdateProduct(UpdateProduct { max_per_user: Some(Some(2)), ..update() }),
            "max_per_user",
        ),
        (
            Command::UpdateProduct(UpdateProduct { sale: held.into(), ..update() }),
            "max_held_per_user",
        ),
    ] {
        assert_eq!(refused(machine.run(command)), above(field));
    }
    // Both at once are fine, as is a maximum that equals the minimum.
    let lower = SaleChange { min_per_order: Some(Some(2)), ..SaleChange::default() };
    let both = UpdateProduct { sale: lower.into(), max_per_order: Some(Some(2)), ..update() };
    assert_eq!(machine.run(Command::UpdateProduct(both)), Outcome::ProductUpdated(PRODUCT));
}

#[test]
fn commands_with_new_fields_need_level_1() {
    let sale = Sale { min_per_order: Some(1), ..Sale::default() };
    let change = SaleChange { opens_at: Some(None), ..SaleChange::default() };
    let create = CreateProduct { sale: sale.into(), ..Default::default() };
    let update = UpdateProduct { sale: change.into(), ..Default::default() };
    let Command::PlaceOrder(placed) = expecting(1, order(&[(1, 1)])) else { unreachable!() };
    let batch = |order| engine::command::PlaceBatch { atomic: false, orders: vec![order] };
    for (new, command) in [
        (1, Command::PlaceOrder(placed.clone())),
        (1, Command::PlaceBatch(batch(placed))),
        (1, Command::CreateProduct(create)),
        (1, Command::UpdateProduct(update)),
        (0, Command::PlaceOrder(order(&[(1, 1)]))),
        (0, Command::PlaceBatch(batch(order(&[(1, 1)])))),
        (0, Command::CreateHold(hold(&[(1, 1)]))),
        (0, Command::CreateProduct(CreateProduct::default())),
        (0, Command::UpdateProduct(UpdateProduct::default())),
    ] {
        assert_eq!(command.level(), new, "{command:?}");
    }
}

fn named(reference: &str, order: PlaceOrder) -> PlaceOrder {
    let terms = OrderTerms { reference: Some(reference.into()), ..OrderTerms::default() };
    PlaceOrder { terms: terms.into(), ..order }
}

#[test]
fn a_reference_belongs_to_one_order_as_long_as_that_is_stored() {
    let mut machine = selling(10, Sale::default());
    let first = machine.place(named("cart 7", keyed("k", &[(1, 1)])));
    let taken = |order| Rejection::ReferenceTaken { order };
    let again = Command::PlaceOrder(named("cart 7", order(&[(1, 1)])));
    assert_eq!(refused(machine.run(again.clone())), taken(Some(first)));
    machine.run(cancel(first));
    machine.come_back();
    assert_eq!(refused(machine.run(again.clone())), taken(Some(first)), "a cancelled one too");
    assert_eq!(machine.state.order_by_reference("cart 7"), Some(first));
    assert_eq!(machine.state.order_by_reference("cart 8"), None);
    assert_eq!(machine.order(first).reference.as_deref(), Some("cart 7"));
    // The meaning of the key includes it.
    let same = Command::PlaceOrder(named("cart 7", keyed("k", &[(1, 1)])));
    assert_eq!(machine.run(same), Outcome::Replayed(first));
    for other in [keyed("k", &[(1, 1)]), named("cart 8", keyed("k", &[(1, 1)]))] {
        assert_eq!(refused(machine.run(Command::PlaceOrder(other))), Rejection::KeyReused);
    }
    // Stock comes after it, and an order without units does not use it up.
    let many = |reference| Command::PlaceOrder(named(reference, order(&[(1, 99)])));
    assert_eq!(refused(machine.run(many("cart 7"))), taken(Some(first)));
    assert!(matches!(refused(machine.run(many("cart 8"))), Rejection::InsufficientStock { .. }));
    machine.place(named("cart 8", order(&[(1, 1)])));
    for bad in ["", "caf\u{e9}", "a\nb", &"x".repeat(65)] {
        let refusal = refused(machine.run(Command::PlaceOrder(named(bad, order(&[(1, 1)])))));
        assert_eq!(refusal, Rejection::Invalid("client_reference"), "{bad:?}");
    }
}

#[test]
fn of_two_orders_of_a_batch_with_one_reference_the_second_is_refused() {
    let mut machine = selling(10, Sale::default());
    let orders = || [(); 2].map(|()| named("cart", order(&[(1, 1)]))).to_vec();
    let batch =
        |atomic| Command::PlaceBatch(engine::command::PlaceBatch { atomic, orders: orders() });
    let Rejection::BatchRefused { items } = refused(machine.run(batch(true))) else { panic!() };
    assert_eq!(items[..], [(1, Rejection::ReferenceTaken { order: None })]);
    let Outcome::Batch(outcomes) = machine.run(batch(false)) else { panic!() };
    let [Outcome::Placed(first), Outcome::Rejected(second)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(*second, Rejection::ReferenceTaken { order: Some(*first) });
    machine.come_back();
}

#[test]
fn a_refusal_before_opening_needs_no_entry_and_one_after_closing_needs_the_replicated_clock() {
    let window = Sale {
        opens_at: Some(Timestamp(1_000)),
        closes_at: Some(Timestamp(2_000)),
        ..Sale::default()
    };
    let mut machine = selling(1, window);
    let refusal = |machine: &Machine, now| {
        let order = machine.state.refusal_of_order(&order(&[(1, 1)]), Timestamp(now));
        let hold = machine.state.refusal_of_hold(&hold(&[(1, 1)]), Timestamp(now));
        assert_eq!(order, hold);
        order
    };
    let not_open = |clock| {
        let (opens_at, clock) = (Timestamp(1_000), Timestamp(clock));
        Some(Rejection::SaleNotOpen { product: PRODUCT, opens_at, clock })
    };
    assert_eq!(refusal(&machine, 999), not_open(999), "by the leader's clock");
    assert_eq!(refusal(&machine, 1_000), None, "the log decides");
    machine.now = 500;
    machine.run(Command::Tick);
    assert_eq!(refusal(&machine, 0), not_open(500), "the clock does not go back");
    // The next leader's clock may be behind the one that says it is over.
    assert_eq!(refusal(&machine, 2_000), None);
    machine.now = 2_000;
    machine.run(Command::Tick);
    let closed = Rejection::SaleClosed { product: PRODUCT, closes_at: Timestamp(2_000) };
    assert_eq!(refusal(&machine, 2_000), Some(closed));
    // A known key is answered by the log, and a deadline elsewhere hinders only refusals for stock.
    let mut machine = selling(1, Sale::default());
    machine.product("1.00", 5);
    machine.make_hold(hold(&[(2, 1)]));
    machine.place(keyed("k", &[(1, 1)]));
    let lacks = |machine: &Machine, order, now| {
        machine.state.refusal_of_order(&order, Timestamp(now)).is_some()
    };
    assert!(lacks(&machine, order(&[(1, 1)]), 99) && !lacks(&machine, order(&[(1, 1)]), 100));
    assert!(!lacks(&machine, keyed("k", &[(1, 1)]), 0));
}

#[test]
fn a_dry_run_gives_the_answer_of_the_next_command() {
    use engine::actor::Actor;
    use engine::apply::Would;
    let mut machine = selling(5, Sale { min_per_order: Some(2), ..Sale::default() });
    let known = machine.place(keyed("k", &[(1, 2)]));
    let rehearse = |machine: &Machine, command: &Command| {
        let outcome = machine.state.rehearse(command, Actor::System, Timestamp(0));
        outcome.expect("an order, a batch or a hold")
    };
    let commands = [
        Command::PlaceOrder(order(&[(1, 2)])),
        Command::PlaceOrder(order(&[(1, 1)])),
        Command::PlaceOrder(order(&[(1, 4)])),
        Command::PlaceOrder(keyed("k", &[(1, 2)])),
        Command::PlaceOrder(keyed("k", &[(1, 3)])),
        Command::CreateHold(hold(&[(1, 3)])),
        Command::CreateHold(hold(&[(1, 4)])),
        Command::CreateHold(hold(&[(9, 4)])),
        batch(true, vec![order(&[(1, 2)]), order(&[(1, 2)])]),
        batch(false, vec![order(&[(1, 2)]), order(&[(1, 2)]), keyed("k", &[(1, 2)])]),
    ];
    for command in commands {
        let (digest, told) = (machine.state.digest(), rehearse(&machine, &command));
        assert_eq!(machine.state.digest(), digest, "nothing changed");
        // A copy of the machine runs the command itself.
        let outcome = machine.try_on_a_copy(command.clone());
        let agrees = match (&told, &outcome) {
            (Err(told), Outcome::Rejected(rejection)) => told == rejection,
            (Ok(Would::Place { total, .. }), Outcome::Placed(_)) => *total == Money(200),
            (Ok(Would::ReplayOrder(id)), Outcome::Replayed(_)) => *id == Some(known),
            (Ok(Would::Hold { total, .. }), Outcome::HoldCreated(_)) => *total == Some(Money(300)),
            (Ok(Would::Batch(each)), Outcome::Batch(outcomes)) => {
                each.iter().zip(outcomes).all(|(told, outcome)| match (told, outcome) {
                    (Ok(Would::Place { .. }), Outcome::Placed(_))
                    | (Ok(Would::ReplayOrder(_)), Outcome::Replayed(_)) => true,
                    (Err(told), Outcome::Rejected(rejection)) => told == rejection,
                    _ => false,
                })
            }
            _ => false,
        };
        assert!(agrees, "{command:?}: {told:?}, {outcome:?}");
    }
}

#[test]
fn a_rolling_limit_counts_until_the_window_has_passed_and_gives_back_once() {
    let limit = PerWindow { units: 3, ms: 1_000 };
    let rolling = |limit| Sale { per_window: Some(limit), ..Sale::default() };
    let mut machine = selling(100, rolling(limit));
    let of = |units| PlaceOrder { user: user_id(7), ..order(&[(1, units)]) };
    let ask = |machine: &mut Machine, now, units| at(machine, now, Command::PlaceOrder(of(units)));
    let over = |requested, taken, allowed: Option<u64>| Rejection::WindowLimitExceeded {
        product: PRODUCT,
        limit,
        requested,
        taken,
        allowed_at: allowed.map(Timestamp),
    };
    let anonymous = Command::PlaceOrder(order(&[(1, 1)]));
    assert_eq!(refused(machine.run(anonymous)), Rejection::UserRequired);
    let Outcome::Placed(first) = ask(&mut machine, 100, 2) else { panic!("refused") };
    machine.now = 400;
    // A hold that ends with its order counts anew from then.
    let held = machine.make_hold(CreateHold { user: user_id(7), ..hold(&[(1, 1)]) });
    machine.now = 450;
    machine.place(PlaceOrder { user: user_id(7), ..order_from(held) });
    assert_eq!(refused(ask(&mut machine, 1_099, 1)), over(1, 3, Some(1_100)));
    assert_eq!(refused(ask(&mut machine, 1_099, 3)), over(3, 3, Some(1_450)));
    assert_eq!(refused(ask(&mut machine, 1_099, 4)), over(4, 3, None));
    assert!(matches!(ask(&mut machine, 1_100, 2), Outcome::Placed(_)));
    // What has run out comes back for nothing, what counts comes back at once.
    machine.run(cancel(first));
    assert_eq!(refused(ask(&mut machine, 1_100, 1)), over(1, 3, Some(1_450)));
    let orders = vec![of(1), of(1)];
    let Outcome::Batch(outcomes) = at(&mut machine, 1_450, batch(false, orders)) else { panic!() };
    assert!(matches!(outcomes[..], [Outcome::Placed(_), Outcome::Rejected(_)]), "{outcomes:?}");
    // A longer window does not bring back what had left the shorter one.
    let longer = PerWindow { units: 3, ms: 9_000 };
    let sale = SaleChange { per_window: Some(Some(longer)), ..SaleChange::default() };
    let update = UpdateProduct { product: PRODUCT, sale: sale.into(), ..Default::default() };
    machine.run(Command::UpdateProduct(update));
    machine.come_back();
    let refusal = refused(ask(&mut machine, 1_500, 1));
    let Rejection::WindowLimitExceeded { taken, allowed_at, .. } = refusal else { panic!() };
    assert_eq!((taken, allowed_at), (3, Some(Timestamp(10_100))));
}

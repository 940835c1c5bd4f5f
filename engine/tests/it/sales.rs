//! The rules of a sale: windows, bounds, prices that a hold keeps, expected totals.

use engine::command::{Command, CreateHold, CreateProduct, OrderTerms, PlaceOrder, UpdateProduct};
use engine::hold::Status;
use engine::ids::{ProductId, Quantity, Timestamp};
use engine::money::Money;
use engine::order::Item;
use engine::outcome::{Outcome, Rejection};
use engine::sale::{Sale, SaleChange};

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
    let terms = OrderTerms { expected_total: Some(Money(total)) };
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
    for (sale, field) in [
        (SaleChange { closes_at: Some(Some(Timestamp(5))), ..Default::default() }, "closes_at"),
        (SaleChange { min_per_order: Some(Some(0)), ..Default::default() }, "min_per_order"),
        (
            SaleChange { max_held_per_user: Some(Some(0)), ..Default::default() },
            "max_held_per_user",
        ),
    ] {
        let change = UpdateProduct { product: PRODUCT, sale: sale.into(), ..Default::default() };
        let refusal = refused(machine.run(Command::UpdateProduct(change)));
        assert_eq!(refusal, Rejection::Invalid(field));
    }
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

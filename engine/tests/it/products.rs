//! Products through their commands: creation, changes, stock, archiving.

use crate::common::*;
use engine::adjustment::Change;
use engine::command::{
    AdjustStock, ArchiveProduct, Command, CreateProduct, UpdateProduct, Verdict,
};
use engine::ids::{AdjustmentId, Position, ProductId};
use engine::money::Money;
use engine::order::Status;
use engine::outcome::{Outcome, Rejection};
use engine::product::STOCK_MAX;
use engine::state::Lookup;

fn update(machine: &mut Machine, change: UpdateProduct) -> Result<(), Rejection> {
    let command = UpdateProduct { product: ProductId(1), ..change };
    match machine.run(Command::UpdateProduct(command)) {
        Outcome::ProductUpdated(id) => {
            assert_eq!(id, ProductId(1));
            Ok(())
        }
        Outcome::Rejected(rejection) => Err(rejection),
        other => panic!("{other:?}"),
    }
}

fn with_sku(sku: &str) -> Command {
    Command::CreateProduct(CreateProduct {
        name: "thing".into(),
        sku: Some(sku.into()),
        price: Money(1),
        stock: 1,
        max_per_order: None,
        ..CreateProduct::default()
    })
}

#[test]
fn setting_the_stock_never_erases_reserved_units() {
    let mut machine = Machine::default();
    let id = machine.product("1", 10);
    let first = machine.place(mock_order(&[(1, 4)]));
    update(&mut machine, UpdateProduct { stock: Some(0), ..Default::default() }).expect("taken");
    let stock = machine.stock(id).stock;
    assert_eq!((stock.available(), stock.reserved, stock.on_hand), (0, 4, 4));
    update(&mut machine, UpdateProduct { stock: Some(7), ..Default::default() }).expect("taken");
    assert_eq!(machine.stock(id).stock.on_hand, 11);
    machine.claim(&[first]);
    machine.settle(first, 1, Verdict::Succeeded);
    let product = machine.stock(id);
    assert_eq!((product.stock.available(), product.stock.sold, product.brought_in), (7, 4, 11));
    // Setting what is there already moves nothing.
    let rows = product.ledger_rows;
    update(&mut machine, UpdateProduct { stock: Some(7), ..Default::default() }).expect("taken");
    assert_eq!(machine.stock(id).ledger_rows, rows);
}

#[test]
fn stock_has_an_upper_bound() {
    let mut machine = Machine::default();
    machine.product("1", STOCK_MAX);
    let set = |stock| UpdateProduct { stock: Some(stock), ..Default::default() };
    let invalid = Err(Rejection::Invalid("stock"));
    assert_eq!(update(&mut machine, set(STOCK_MAX + 1)), invalid);
    assert_eq!(update(&mut machine, set(i64::MAX)), invalid);
    assert_eq!(update(&mut machine, set(-1)), invalid);
    machine.place(order(&[(1, 1)]));
    assert_eq!(update(&mut machine, set(STOCK_MAX)), Err(Rejection::StockOverflow));
    assert_eq!(update(&mut machine, set(STOCK_MAX - 1)), Ok(()));
}

#[test]
fn a_price_change_leaves_placed_orders_alone() {
    let mut machine = Machine::default();
    machine.product("1", 10);
    let id = machine.place(order(&[(1, 2)]));
    update(&mut machine, UpdateProduct { price: Some(Money(900)), ..Default::default() })
        .expect("taken");
    assert_eq!(machine.order(id).total, Money(200));
    let later = machine.place(order(&[(1, 2)]));
    assert_eq!(machine.order(later).total, Money(1800));
}

#[test]
fn a_change_is_all_or_nothing() {
    let mut machine = Machine::default();
    machine.product("1", 10);
    machine.run(with_sku("taken"));
    let before = machine.stock(ProductId(1)).clone();
    let base = || UpdateProduct { name: Some("new".into()), ..Default::default() };
    for (change, refusal) in [
        (UpdateProduct { name: Some("".into()), ..base() }, Rejection::Invalid("name")),
        (
            UpdateProduct { name: Some("n".repeat(256).into()), ..base() },
            Rejection::Invalid("name"),
        ),
        (UpdateProduct { price: Some(Money(-1)), ..base() }, Rejection::Invalid("price")),
        (
            UpdateProduct { price: Some(Money(Money::PRICE_MAX.0 + 1)), ..base() },
            Rejection::Invalid("price"),
        ),
        (
            UpdateProduct { max_per_order: Some(Some(0)), ..base() },
            Rejection::Invalid("max_per_order"),
        ),
        (UpdateProduct { sku: Some(Some("".into())), ..base() }, Rejection::Invalid("sku")),
        (
            UpdateProduct { sku: Some(Some("s".repeat(65).into())), ..base() },
            Rejection::Invalid("sku"),
        ),
        (UpdateProduct { sku: Some(Some("taken".into())), ..base() }, Rejection::SkuTaken),
        (
            UpdateProduct { expected_version: Some(Position(1)), ..base() },
            Rejection::VersionMismatch { current: before.version },
        ),
    ] {
        assert_eq!(update(&mut machine, change), Err(refusal));
        assert_eq!(*machine.stock(ProductId(1)), before);
    }
    let change = UpdateProduct { expected_version: Some(before.version), ..base() };
    update(&mut machine, change).expect("the version matches");
    assert_eq!(&*machine.stock(ProductId(1)).name, "new");
    assert_eq!(machine.state.totals().rejected_other, 9);
}

#[test]
fn a_creation_keeps_its_bounds() {
    let mut machine = Machine::default();
    let base = || CreateProduct {
        name: "n".into(),
        sku: None,
        price: Money(1),
        stock: 1,
        max_per_order: None,
        ..CreateProduct::default()
    };
    for (create, field) in [
        (CreateProduct { name: "".into(), ..base() }, "name"),
        (CreateProduct { price: Money(-1), ..base() }, "price"),
        (CreateProduct { stock: -1, ..base() }, "stock"),
        (CreateProduct { stock: STOCK_MAX + 1, ..base() }, "stock"),
        (CreateProduct { max_per_order: Some(0), ..base() }, "max_per_order"),
        (CreateProduct { sku: Some("".into()), ..base() }, "sku"),
    ] {
        let outcome = machine.run(Command::CreateProduct(create));
        assert_eq!(outcome, Outcome::Rejected(Rejection::Invalid(field)));
    }
    assert_eq!(machine.state.products(ProductId(0)).count(), 0);
}

#[test]
fn an_archived_product_still_settles_its_open_orders() {
    let mut machine = Machine::default();
    let id = machine.product("1", 10);
    let orders: Vec<_> = (0..3).map(|_| machine.place(mock_order(&[(1, 1)]))).collect();
    assert_eq!(machine.run(archive(id)), Outcome::ProductArchived(id));
    assert_eq!(machine.run(archive(id)), Outcome::ProductArchived(id), "again changes nothing");
    assert_eq!(machine.state.product(id), None);
    assert_eq!(machine.state.products(ProductId(0)).count(), 0);
    let refusal = machine.run(Command::PlaceOrder(order(&[(1, 1)])));
    assert_eq!(refusal, Outcome::Rejected(Rejection::ProductNotFound(id)));
    let change = UpdateProduct { stock: Some(5), ..Default::default() };
    assert_eq!(update(&mut machine, change), Err(Rejection::ProductNotFound(id)));
    machine.claim(&orders[..2]);
    machine.settle(orders[0], 1, Verdict::Succeeded);
    machine.settle(orders[1], 1, declined());
    machine.run(cancel(orders[2]));
    assert_eq!(machine.order(orders[0]).status, Status::Paid);
    machine.state.check_invariants().expect("sound");
    assert_eq!(machine.state.open_orders(), 0);
}

#[test]
fn archiving_respects_the_version_and_frees_the_sku() {
    let mut machine = Machine::default();
    machine.run(with_sku("a"));
    assert_eq!(machine.run(with_sku("a")), Outcome::Rejected(Rejection::SkuTaken));
    let stale = ArchiveProduct { product: ProductId(1), expected_version: Some(Position(7)) };
    let outcome = machine.run(Command::ArchiveProduct(stale));
    assert!(matches!(outcome, Outcome::Rejected(Rejection::VersionMismatch { .. })));
    machine.run(archive(ProductId(1)));
    assert_eq!(machine.run(with_sku("a")), Outcome::ProductCreated(ProductId(2)));
    let unknown = machine.run(archive(ProductId(9)));
    assert_eq!(unknown, Outcome::Rejected(Rejection::ProductNotFound(ProductId(9))));
    let ids: Vec<_> = machine.state.products(ProductId(0)).map(|product| product.id.0).collect();
    assert_eq!(ids, [2]);
    assert_eq!(machine.state.products(ProductId(2)).count(), 0);
    assert_eq!(machine.state.products(ProductId(u64::MAX)).count(), 0);
}

#[test]
fn a_sku_can_be_renamed_and_dropped() {
    let mut machine = Machine::default();
    machine.run(with_sku("a"));
    let sku =
        |sku: Option<&str>| UpdateProduct { sku: Some(sku.map(Into::into)), ..Default::default() };
    update(&mut machine, sku(Some("a"))).expect("its own sku is not taken");
    update(&mut machine, sku(Some("b"))).expect("free");
    machine.run(with_sku("a"));
    assert_eq!(update(&mut machine, sku(Some("a"))), Err(Rejection::SkuTaken));
    update(&mut machine, sku(None)).expect("dropped");
    machine.run(with_sku("b"));
    machine.state.check_invariants().expect("sound");
}

#[test]
fn setting_the_stock_to_zero_announces_sold_out_once() {
    let mut machine = Machine::default();
    machine.product("1", 3);
    machine.events();
    update(&mut machine, UpdateProduct { stock: Some(0), ..Default::default() }).expect("taken");
    update(&mut machine, UpdateProduct { stock: Some(0), ..Default::default() }).expect("taken");
    assert_eq!(machine.events(), ["product.updated", "stock.sold_out", "product.updated"]);
}

#[test]
fn an_adjustment_moves_the_stock_and_says_why() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    machine.place(order(&[(1, 4)]));
    machine.make_hold(hold(&[(1, 1)]));
    machine.events();
    let by = |units| adjust(product, Change::By(units));
    let adjusted = |n| Outcome::StockAdjusted { adjustment: AdjustmentId(n), product };
    assert_eq!(machine.run(Command::AdjustStock(by(3))), adjusted(1));
    let stock = machine.stock(product).stock;
    assert_eq!((stock.on_hand, stock.available()), (13, 8));
    assert_eq!(machine.run(Command::AdjustStock(by(-8))), adjusted(2));
    assert_eq!(machine.stock(product).stock.available(), 0, "to nothing, but no further");
    assert_eq!(machine.events(), ["stock.adjusted", "stock.adjusted", "stock.sold_out"]);
    let refusal = Rejection::StockBelowZero { product, delta: -1, available: 0 };
    assert_eq!(machine.run(Command::AdjustStock(by(-1))), Outcome::Rejected(refusal));
    // Held and reserved units are not part of the counted stock.
    let to = AdjustStock { reason: "stocktaking".into(), ..adjust(product, Change::To(7)) };
    assert_eq!(machine.run(Command::AdjustStock(to.clone())), adjusted(3));
    let stock = machine.stock(product).stock;
    assert_eq!((stock.on_hand, stock.held, stock.reserved, stock.available()), (12, 1, 4, 7));
    let (_, row) = machine.state.ledger(product).last().expect("a row");
    assert_eq!((row.cause.as_str(), row.cause.adjustment()), ("adjustment", Some(AdjustmentId(3))));
    let Lookup::Resident(kept) = machine.state.adjustment(AdjustmentId(3)) else {
        panic!("it is in memory");
    };
    assert_eq!((&*kept.reason, kept.delta, kept.available), ("stocktaking", 7, 7));
    // Counting again finds the same: recorded all the same.
    assert_eq!(machine.run(Command::AdjustStock(to)), adjusted(4));
    assert_eq!(machine.stock(product).stock, stock);
    assert_eq!(machine.state.totals().stock_adjustments, 4);
}

#[test]
fn an_adjustment_may_expect_what_it_finds() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let expecting = |expected, change| {
        let expected = Some(expected);
        Command::AdjustStock(AdjustStock { expected, ..adjust(product, change) })
    };
    let refusal = Rejection::StockMismatch { product, expected: 9, available: 10 };
    assert_eq!(machine.run(expecting(9, Change::By(1))), Outcome::Rejected(refusal));
    machine.run(expecting(10, Change::To(3)));
    assert_eq!(machine.stock(product).stock.available(), 3);
}

#[test]
fn a_key_adjusts_once() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let keyed = || AdjustStock { key: Some("k".into()), ..adjust(product, Change::By(5)) };
    machine.run(Command::AdjustStock(keyed()));
    let replayed = Outcome::AdjustmentReplayed { adjustment: AdjustmentId(1), product };
    assert_eq!(machine.run(Command::AdjustStock(keyed())), replayed);
    assert_eq!(machine.stock(product).stock.available(), 15);
    for other in [
        AdjustStock { change: Change::By(6), ..keyed() },
        AdjustStock { change: Change::To(5), ..keyed() },
        AdjustStock { expected: Some(15), ..keyed() },
        AdjustStock { reason: "other".into(), ..keyed() },
        AdjustStock { product: ProductId(2), ..keyed() },
    ] {
        let outcome = machine.run(Command::AdjustStock(other));
        assert_eq!(outcome, Outcome::Rejected(Rejection::KeyReused));
    }
    // An order and a hold may have keys of the same text.
    machine.place(crate::common::keyed("k", &[(1, 1)]));
    machine.make_hold(engine::command::CreateHold { key: Some("k".into()), ..hold(&[(1, 1)]) });
}

#[test]
fn an_adjustment_keeps_its_bounds() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let by = |units| adjust(product, Change::By(units));
    for (adjustment, refusal) in [
        (by(0), Rejection::Invalid("delta")),
        (by(STOCK_MAX + 1), Rejection::Invalid("delta")),
        (by(i64::MIN), Rejection::Invalid("delta")),
        (by(i64::MAX), Rejection::Invalid("delta")),
        (by(STOCK_MAX), Rejection::StockOverflow),
        (adjust(product, Change::To(-1)), Rejection::Invalid("set")),
        (adjust(product, Change::To(i64::MAX)), Rejection::Invalid("set")),
        (AdjustStock { reason: "".into(), ..by(1) }, Rejection::Invalid("reason")),
        (AdjustStock { reason: "x".repeat(256).into(), ..by(1) }, Rejection::Invalid("reason")),
        (AdjustStock { key: Some("".into()), ..by(1) }, Rejection::Invalid("idempotency_key")),
        (adjust(ProductId(9), Change::By(1)), Rejection::ProductNotFound(ProductId(9))),
    ] {
        let outcome = machine.run(Command::AdjustStock(adjustment));
        assert_eq!(outcome, Outcome::Rejected(refusal));
    }
    machine.run(Command::AdjustStock(adjust(product, Change::To(STOCK_MAX))));
    machine.run(archive(product));
    let refusal = Rejection::ProductNotFound(product);
    assert_eq!(machine.run(Command::AdjustStock(by(-1))), Outcome::Rejected(refusal));
    assert_eq!(machine.state.adjustment(AdjustmentId(2)), Lookup::Absent);
    assert_eq!(machine.state.adjustment(AdjustmentId(0)), Lookup::Absent);
}

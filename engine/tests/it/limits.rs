//! Limits per user, and the event when stock runs low.

use engine::command::{Command, CreateHold, CreateProduct, PlaceOrder, UpdateProduct, Verdict};
use engine::event::Kind;
use engine::ids::{HoldId, ProductId};
use engine::outcome::{Outcome, Rejection};

use crate::common::*;

fn limited(machine: &mut Machine, stock: i64, limit: u32) -> ProductId {
    let mut command = create("1", stock);
    if let Command::CreateProduct(product) = &mut command {
        product.max_per_user = Some(limit);
    }
    match machine.run(command) {
        Outcome::ProductCreated(id) => id,
        other => panic!("not created: {other:?}"),
    }
}

fn order_of(user: u64, units: u32) -> PlaceOrder {
    PlaceOrder { user: user_id(user), ..mock_order(&[(1, units)]) }
}

fn hold_of(user: u64, units: u32) -> CreateHold {
    CreateHold { user: user_id(user), ..hold(&[(1, units)]) }
}

/// How many units a user is told to have, by asking for more than anybody may.
fn taken(machine: &mut Machine, user: u64) -> u64 {
    match machine.run(Command::PlaceOrder(order_of(user, 999))) {
        Outcome::Rejected(Rejection::UserLimitExceeded { taken, .. }) => taken,
        other => panic!("not refused for the limit: {other:?}"),
    }
}

#[test]
fn held_open_and_paid_units_count_and_returned_ones_do_not() {
    let mut machine = Machine::default();
    let product = limited(&mut machine, 100, 5);
    let paid = machine.place(order_of(1, 1));
    machine.claim(&[paid]);
    machine.settle(paid, 1, Verdict::Succeeded);
    let open = machine.place(order_of(1, 1));
    let held = machine.make_hold(hold_of(1, 2));
    assert_eq!(taken(&mut machine, 1), 4);
    let outcome = machine.run(Command::CreateHold(hold_of(1, 2)));
    let refusal = Rejection::UserLimitExceeded { product, limit: 5, requested: 2, taken: 4 };
    assert_eq!(outcome, Outcome::Rejected(refusal));
    assert_eq!(taken(&mut machine, 2), 0, "somebody else");
    // A hold that becomes an order counts once.
    let from_hold = machine.place(order_from(held));
    assert_eq!(taken(&mut machine, 1), 4);
    machine.run(cancel(from_hold));
    assert_eq!(taken(&mut machine, 1), 2);
    machine.claim(&[open]);
    machine.settle(open, 1, declined());
    assert_eq!(taken(&mut machine, 1), 1);
    let released = machine.make_hold(hold_of(1, 1));
    machine.make_hold(hold_of(1, 3));
    assert_eq!(taken(&mut machine, 1), 5);
    machine.run(release(released));
    assert_eq!(taken(&mut machine, 1), 4);
    machine.pass(100);
    assert_eq!(taken(&mut machine, 1), 1, "the other hold ran out");
    assert!(machine.state.totals().rejected_purchase_limit >= 5);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn lines_of_one_order_count_together() {
    let mut machine = Machine::default();
    let product = limited(&mut machine, 100, 3);
    let twice = PlaceOrder { user: user_id(1), ..order(&[(1, 2), (1, 2)]) };
    let outcome = machine.run(Command::PlaceOrder(twice));
    let refusal = Rejection::UserLimitExceeded { product, limit: 3, requested: 4, taken: 0 };
    assert_eq!(outcome, Outcome::Rejected(refusal));
}

#[test]
fn a_product_with_a_limit_is_sold_to_users_only() {
    let mut machine = Machine::default();
    limited(&mut machine, 100, 3);
    for outcome in [
        machine.run(Command::PlaceOrder(order(&[(1, 1)]))),
        machine.run(Command::CreateHold(hold(&[(1, 1)]))),
    ] {
        assert_eq!(outcome, Outcome::Rejected(Rejection::UserRequired));
    }
    assert_eq!(machine.stock(ProductId(1)).stock.available(), 100);
}

#[test]
fn a_limit_counts_from_the_command_that_first_sets_one() {
    let mut machine = Machine::default();
    let product = machine.product("1", 100);
    let before = machine.place(order_of(1, 4));
    let held_before = machine.make_hold(hold_of(1, 1));
    let anonymous = machine.make_hold(hold(&[(1, 1)]));
    let set = |limit| {
        Command::UpdateProduct(UpdateProduct {
            product,
            max_per_user: Some(limit),
            ..UpdateProduct::default()
        })
    };
    machine.run(set(Some(3)));
    assert_eq!(taken(&mut machine, 1), 0);
    machine.place(order_of(1, 2));
    // Units sold before the limit existed are not subtracted from its count.
    machine.run(cancel(before));
    assert_eq!(taken(&mut machine, 1), 2);
    // A hold of before becomes an order of now, and counts from now on.
    machine.place(order_from(held_before));
    assert_eq!(taken(&mut machine, 1), 3);
    let nobody = machine.run(Command::PlaceOrder(order_from(anonymous)));
    assert_eq!(nobody, Outcome::Rejected(Rejection::UserRequired));
    let too_many = PlaceOrder { user: user_id(1), ..order_from(anonymous) };
    let refusal = Rejection::UserLimitExceeded { product, limit: 3, requested: 1, taken: 3 };
    assert_eq!(machine.run(Command::PlaceOrder(too_many)), Outcome::Rejected(refusal));
    machine.place(PlaceOrder { user: user_id(2), ..order_from(anonymous) });
    assert_eq!(taken(&mut machine, 2), 1);
    // Taken away and set again, the limit finds everything counted that happened meanwhile.
    machine.run(set(None));
    machine.place(order_of(1, 7));
    machine.run(set(Some(11)));
    assert_eq!(taken(&mut machine, 1), 10);
    let zero = machine.run(set(Some(0)));
    assert_eq!(zero, Outcome::Rejected(Rejection::Invalid("max_per_user")));
}

#[test]
fn a_hold_within_the_limit_of_its_time_becomes_an_order() {
    let mut machine = Machine::default();
    let product = limited(&mut machine, 100, 5);
    let held = machine.make_hold(hold_of(1, 4));
    machine.run(Command::UpdateProduct(UpdateProduct {
        product,
        max_per_user: Some(Some(2)),
        ..UpdateProduct::default()
    }));
    machine.place(order_from(held));
    assert_eq!(taken(&mut machine, 1), 4);
}

#[test]
fn units_taken_by_users_come_back_from_a_checkpoint() {
    let mut machine = Machine::default();
    limited(&mut machine, 1_000, 500);
    machine.state.set_resident_chunks_max(0);
    for n in 0..200_u64 {
        let id = machine.place(order_of(n % 2, 1));
        machine.claim(&[id]);
        machine.settle(id, 1, if n % 5 == 0 { declined() } else { Verdict::Succeeded });
    }
    machine.make_hold(hold_of(1, 3));
    machine.come_back();
    machine.state.set_resident_chunks_max(0);
    assert_eq!(taken(&mut machine, 0), 80);
    assert_eq!(taken(&mut machine, 1), 83);
    machine.run(release(HoldId(1)));
    assert_eq!(taken(&mut machine, 1), 80);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn low_stock_is_announced_once_on_the_way_down() {
    let mut machine = Machine::default();
    let product = CreateProduct {
        name: "thing".into(),
        stock: 10,
        low_stock: Some(4),
        ..CreateProduct::default()
    };
    machine.run(Command::CreateProduct(product));
    machine.events();
    let place = |machine: &mut Machine, units| {
        machine.place(order(&[(1, units)]));
        machine.events()
    };
    assert_eq!(place(&mut machine, 5), ["order.placed"]);
    machine.place(order(&[(1, 1)]));
    let told = machine.recorder.events.last().expect("told").kind.clone();
    assert_eq!(told, Kind::LowStock { product: ProductId(1), available: 4, threshold: 4 });
    assert_eq!(machine.events(), ["order.placed", "stock.low"]);
    assert_eq!(place(&mut machine, 1), ["order.placed"]);
    assert_eq!(place(&mut machine, 3), ["order.placed", "stock.sold_out"]);
    // Set by hand counts as well, and a jump to nothing is one event.
    let set = |stock| {
        Command::UpdateProduct(UpdateProduct {
            product: ProductId(1),
            stock: Some(stock),
            ..UpdateProduct::default()
        })
    };
    machine.run(set(5));
    machine.run(set(2));
    machine.run(set(50));
    machine.run(set(0));
    let updated = "product.updated";
    assert_eq!(
        machine.events(),
        [updated, updated, "stock.low", updated, updated, "stock.sold_out"]
    );
}

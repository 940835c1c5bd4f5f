//! Holds through their commands: units set aside, deadlines, extensions, and orders made from them.

use engine::command::{Command, CreateHold, PlaceOrder, Verdict};
use engine::hold::Status;
use engine::ids::{HoldId, OrderId, Position, ProductId, Timestamp, UserId};
use engine::order::PaymentMethod;
use engine::outcome::{Outcome, Rejection};
use engine::state::{Lookup, State, Unobserved};
use engine::store::memory::MemoryStore;

use crate::common::*;

fn rejected(outcome: Outcome) -> Rejection {
    match outcome {
        Outcome::Rejected(rejection) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_hold_sets_units_aside_and_emits_an_event() {
    let mut machine = Machine::default();
    let product = machine.product("0.10", 3);
    machine.events();
    machine.now = 5;
    let id = machine.make_hold(hold(&[(1, 1), (1, 2)]));
    assert_eq!(id, HoldId(1));
    let made = machine.held(id);
    assert_eq!(
        (made.status, made.created_at, made.expires_at.0),
        (Status::Active, Timestamp(5), 105)
    );
    assert_eq!((made.created, made.version), (Position::new(2, 0), Position::new(2, 0)));
    let stock = machine.stock(product).stock;
    assert_eq!((stock.on_hand, stock.held, stock.reserved, stock.available()), (3, 3, 0, 0));
    assert_eq!(machine.events(), ["hold.created", "stock.sold_out"]);
    assert_eq!(machine.state.active_holds(), 1);
    // Held units cannot be sold or held again.
    for outcome in [
        machine.run(Command::PlaceOrder(order(&[(1, 1)]))),
        machine.run(Command::CreateHold(hold(&[(1, 1)]))),
    ] {
        let refusal = Rejection::InsufficientStock {
            product,
            requested: 1,
            available: 0,
            also: Box::default(),
        };
        assert_eq!(rejected(outcome), refusal);
    }
    let totals = machine.state.totals();
    assert_eq!((totals.rejected_insufficient_stock, totals.holds_rejected), (1, 1));
}

#[test]
fn a_hold_is_usable_until_its_deadline_and_never_after() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let in_time = machine.make_hold(hold(&[(1, 1)]));
    let late = machine.make_hold(hold(&[(1, 2)]));
    assert_eq!(machine.state.next_deadline(), Some(Timestamp(100)));
    machine.events();
    machine.now = 99;
    machine.place(order_from(in_time));
    assert_eq!(machine.events(), ["hold.consumed", "order.placed"]);
    machine.now = 100;
    assert_eq!(
        rejected(machine.run(Command::PlaceOrder(order_from(late)))),
        Rejection::HoldExpired(late)
    );
    // The units came back at the head of that very entry.
    assert_eq!(machine.events(), ["hold.expired"]);
    assert_eq!(machine.held(late).version, Position::new(5, 0));
    let stock = machine.stock(product).stock;
    assert_eq!((stock.held, stock.reserved, stock.available()), (0, 1, 9));
    assert_eq!(machine.state.next_deadline(), None);
    for outcome in [machine.run(release(late)), machine.run(extend(late, 100))] {
        assert_eq!(rejected(outcome), Rejection::HoldExpired(late));
    }
    // A hold that was consumed never expires.
    machine.pass(1_000_000);
    assert_eq!(machine.held(in_time).status, Status::Consumed(OrderId(1)));
    assert_eq!(machine.stock(product).stock.reserved, 1);
}

#[test]
fn units_of_an_expired_hold_can_be_sold_in_the_same_entry() {
    let mut machine = Machine::default();
    machine.product("1", 1);
    machine.make_hold(hold(&[(1, 1)]));
    machine.now = 99;
    rejected(machine.run(Command::PlaceOrder(order(&[(1, 1)]))));
    machine.now = 100;
    machine.place(order(&[(1, 1)]));
}

#[test]
fn a_hold_becomes_one_order() {
    let mut machine = Machine::default();
    let product = machine.product("10", 10);
    let held = machine.make_hold(CreateHold { user: user_id(7), ..hold(&[(1, 2), (1, 1)]) });
    let place = PlaceOrder {
        payment_method: PaymentMethod::Mock,
        key: Some("k".into()),
        ..order_from(held)
    };
    let id = machine.place(place.clone());
    let placed = machine.order(id);
    assert_eq!(
        (placed.hold, placed.user, placed.total.to_string()),
        (Some(held), user_id(7), "30.00".into())
    );
    assert_eq!(placed.items.len(), 2, "the lines as the hold had them");
    let stock = machine.stock(product).stock;
    assert_eq!((stock.held, stock.reserved, stock.available()), (0, 3, 7));
    let row = machine.state.ledger(product).last().expect("moved").1;
    assert_eq!((row.cause.as_str(), row.cause.order()), ("hold_consume", Some(id)));
    // The second try names the order; the same request under its key is answered with it.
    let refusal = Rejection::HoldConsumed { hold: held, order: id };
    assert_eq!(rejected(machine.run(Command::PlaceOrder(order_from(held)))), refusal);
    assert_eq!(rejected(machine.run(release(held))), refusal);
    assert_eq!(rejected(machine.run(extend(held, 500))), refusal);
    assert_eq!(machine.run(Command::PlaceOrder(place.clone())), Outcome::Replayed(id));
    let named = PlaceOrder { user: user_id(7), ..place };
    assert_eq!(rejected(machine.run(Command::PlaceOrder(named))), Rejection::KeyReused);
    machine.claim(&[id]);
    machine.settle(id, 1, declined());
    assert_eq!(machine.stock(product).stock.available(), 10, "a failed order gives all back");
    assert_eq!(machine.held(held).status, Status::Consumed(id));
}

#[test]
fn an_order_from_a_hold_is_refused_before_anything_moves() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let held = machine.make_hold(CreateHold { user: user_id(1), ..hold(&[(1, 1)]) });
    let before = machine.stock(product).stock;
    for (place, refusal) in [
        (PlaceOrder { lines: lines(&[(1, 1)]), ..order_from(held) }, Rejection::Invalid("items")),
        (order_from(HoldId(0)), Rejection::HoldNotFound(HoldId(0))),
        (order_from(HoldId(2)), Rejection::HoldNotFound(HoldId(2))),
        (order_from(HoldId(u64::MAX)), Rejection::HoldNotFound(HoldId(u64::MAX))),
        (PlaceOrder { user: user_id(2), ..order_from(held) }, Rejection::HoldOfAnotherUser(held)),
        (PlaceOrder { open_orders_max: 0, ..order_from(held) }, Rejection::TooManyOpenOrders),
        (PlaceOrder { require_user: true, ..order_from(held) }, Rejection::UserNotFound(UserId(1))),
    ] {
        assert_eq!(rejected(machine.run(Command::PlaceOrder(place))), refusal);
    }
    assert_eq!(machine.held(held).status, Status::Active);
    assert_eq!(machine.stock(product).stock, before);
    // A product that is archived is sold to nobody any more; its hold runs out.
    machine.run(archive(product));
    let refusal = Rejection::ProductNotFound(product);
    assert_eq!(rejected(machine.run(Command::PlaceOrder(order_from(held)))), refusal);
    machine.pass(100);
    assert_eq!(machine.held(held).status, Status::Expired);
}

#[test]
fn an_order_from_a_hold_pays_the_price_of_the_order() {
    let mut machine = Machine::default();
    machine.product("1", 10);
    let held = machine.make_hold(hold(&[(1, 2)]));
    let update = engine::command::UpdateProduct {
        product: ProductId(1),
        price: Some("3.50".parse().expect("a price")),
        ..Default::default()
    };
    machine.run(Command::UpdateProduct(update));
    let id = machine.place(order_from(held));
    assert_eq!(machine.order(id).total.to_string(), "7.00");
}

#[test]
fn a_refused_hold_leaves_nothing() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.product("1", 1);
    let mut limited = create("1", 5);
    if let Command::CreateProduct(product) = &mut limited {
        product.max_per_order = Some(2);
    }
    machine.run(limited);
    let base = || hold(&[(1, 1)]);
    for (hold, refusal) in [
        (hold(&[]), Rejection::Invalid("items")),
        (hold(&[(1, 1); 101]), Rejection::Invalid("items")),
        (hold(&[(1, 0)]), Rejection::Invalid("quantity")),
        (hold(&[(1, 1_000_001)]), Rejection::Invalid("quantity")),
        (CreateHold { key: Some("".into()), ..base() }, Rejection::Invalid("idempotency_key")),
        (CreateHold { ttl_ms: 0, ..base() }, Rejection::Invalid("ttl_seconds")),
        (CreateHold { ttl_max_ms: 0, ..base() }, Rejection::Invalid("ttl_seconds")),
        (CreateHold { require_user: true, ..base() }, Rejection::UserRequired),
        (CreateHold { active_holds_max: 0, ..base() }, Rejection::TooManyHolds),
        (hold(&[(1, 1), (9, 1)]), Rejection::ProductNotFound(ProductId(9))),
        (
            hold(&[(3, 1), (3, 2)]),
            Rejection::PurchaseLimitExceeded { product: ProductId(3), limit: 2, requested: 3 },
        ),
        (
            hold(&[(1, 2), (2, 2)]),
            Rejection::InsufficientStock {
                product: ProductId(2),
                requested: 2,
                available: 1,
                also: Box::default(),
            },
        ),
    ] {
        assert_eq!(rejected(machine.run(Command::CreateHold(hold))), refusal);
    }
    assert_eq!(machine.state.active_holds(), 0);
    assert_eq!(machine.stock(ProductId(1)).ledger_rows, 1);
    assert_eq!(machine.state.hold(HoldId(1)), Lookup::Absent);
    assert_eq!(machine.state.totals().holds_rejected, 12);
}

#[test]
fn a_key_makes_one_hold_and_stays_free_for_an_order() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    let keyed_hold = || CreateHold { key: Some("k".into()), ..hold(&[(1, 1)]) };
    let id = machine.make_hold(keyed_hold());
    assert_eq!(machine.run(Command::CreateHold(keyed_hold())), Outcome::HoldReplayed(id));
    for other in [
        CreateHold { ttl_ms: 99, ..keyed_hold() },
        CreateHold { user: user_id(1), ..keyed_hold() },
        CreateHold { lines: lines(&[(1, 2)]), ..keyed_hold() },
    ] {
        assert_eq!(rejected(machine.run(Command::CreateHold(other))), Rejection::KeyReused);
    }
    assert_eq!(machine.state.order_by_key("k"), None);
    let order = machine.place(keyed("k", &[(1, 1)]));
    assert_eq!(machine.state.order_by_key("k"), Some(order));
    // The key lives as long as the hold, whatever became of it.
    machine.run(release(id));
    assert_eq!(machine.run(Command::CreateHold(keyed_hold())), Outcome::HoldReplayed(id));
    assert_eq!(machine.state.totals().holds_replayed, 2);
}

#[test]
fn releasing_gives_back_once() {
    let mut machine = Machine::default();
    let product = machine.product("1", 2);
    let id = machine.make_hold(hold(&[(1, 1)]));
    assert_eq!(machine.run(release(id)), Outcome::HoldReleased { hold: id, already: false });
    let version = machine.held(id).version;
    for _ in 0..3 {
        assert_eq!(machine.run(release(id)), Outcome::HoldReleased { hold: id, already: true });
    }
    assert_eq!(machine.stock(product).stock.available(), 2);
    assert_eq!(machine.held(id).version, version);
    machine.pass(1_000);
    assert_eq!(machine.held(id).status, Status::Released);
    assert_eq!(rejected(machine.run(extend(id, 10))), Rejection::HoldReleased(id));
    assert_eq!(
        rejected(machine.run(Command::PlaceOrder(order_from(id)))),
        Rejection::HoldReleased(id)
    );
    assert_eq!(rejected(machine.run(release(HoldId(9)))), Rejection::HoldNotFound(HoldId(9)));
    assert_eq!(rejected(machine.run(extend(HoldId(9), 1))), Rejection::HoldNotFound(HoldId(9)));
}

#[test]
fn extending_moves_the_deadline_up_to_the_cap_and_never_back() {
    let mut machine = Machine::default();
    machine.product("1", 2);
    let id = machine.make_hold(hold(&[(1, 1)]));
    machine.events();
    machine.now = 90;
    assert_eq!(machine.run(extend(id, 400)), Outcome::HoldExtended(id));
    assert_eq!(machine.held(id).expires_at, Timestamp(490));
    assert_eq!(machine.state.next_deadline(), Some(Timestamp(490)));
    let version = machine.held(id).version;
    assert_eq!(machine.run(extend(id, 10)), Outcome::HoldExtended(id));
    assert_eq!((machine.held(id).expires_at, machine.held(id).version), (Timestamp(490), version));
    assert_eq!(machine.run(extend(id, u64::MAX)), Outcome::HoldExtended(id));
    assert_eq!(machine.held(id).expires_at, Timestamp(1_000), "a second after it was made");
    assert_eq!(rejected(machine.run(extend(id, 0))), Rejection::Invalid("ttl_seconds"));
    assert_eq!(machine.events(), ["hold.extended", "hold.extended"]);
    machine.now = 999;
    machine.run(extend(id, 500));
    assert_eq!(machine.held(id).status_at(machine.state.clock()), Status::Active);
    machine.pass(1);
    assert_eq!(machine.held(id).status, Status::Expired);
    let longest = machine.make_hold(CreateHold { ttl_ms: u64::MAX, ..hold(&[(1, 1)]) });
    assert_eq!(machine.held(longest).expires_at, Timestamp(2_000), "cut to the cap");
}

#[test]
fn ten_thousand_expired_holds_are_swept_a_thousand_per_entry() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10_000);
    for _ in 0..10 {
        machine.run_all(vec![Command::CreateHold(hold(&[(1, 1)])); 1_000]);
    }
    assert_eq!(machine.stock(product).stock.available(), 0);
    machine.now = 100;
    // The first entry at the deadline sweeps a thousand; the others are unusable all the same, and
    // their units are not for sale yet.
    let last = HoldId(10_000);
    let refusal = rejected(machine.run(Command::PlaceOrder(order_from(last))));
    assert_eq!(refusal, Rejection::HoldExpired(last));
    assert_eq!(rejected(machine.run(extend(last, 500))), Rejection::HoldExpired(last));
    assert_eq!(rejected(machine.run(release(last))), Rejection::HoldExpired(last));
    let hold = machine.held(last);
    assert_eq!(hold.status, Status::Active, "not swept yet");
    assert_eq!(hold.status_at(machine.state.clock()), Status::Expired);
    assert_eq!(machine.stock(product).stock.available(), 3_000);
    assert_eq!(machine.state.totals().holds_expired, 3_000);
    // Nothing refuses for lack of stock while units may come back.
    let too_many = order(&[(1, 3_001)]);
    assert_eq!(machine.state.refusal_of_order(&too_many, Timestamp(0)), None);
    for expired in (4..=10).map(|entries| entries * 1_000) {
        assert_eq!(machine.state.next_deadline(), Some(Timestamp(100)));
        machine.run(Command::Tick);
        assert_eq!(machine.state.totals().holds_expired, expired);
    }
    assert_eq!(machine.state.next_deadline(), None);
    assert_eq!(machine.stock(product).stock.available(), 10_000);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn a_hold_that_lacks_stock_is_refused_without_an_entry() {
    let mut machine = Machine::default();
    let product = machine.product("1", 1);
    let known = CreateHold { key: Some("k".into()), ..hold(&[(1, 1)]) };
    machine.make_hold(known.clone());
    let lacks = |hold: CreateHold, now| machine.state.refusal_of_hold(&hold, Timestamp(now));
    let refusal =
        Rejection::InsufficientStock { product, requested: 1, available: 0, also: Box::default() };
    assert_eq!(lacks(hold(&[(1, 1)]), 99), Some(refusal.clone()));
    assert_eq!(machine.state.refusal_of_order(&order(&[(1, 1)]), Timestamp(99)), Some(refusal));
    assert_eq!(lacks(hold(&[(1, 1)]), 100), None, "the unit may come back");
    assert_eq!(machine.state.refusal_of_order(&order(&[(1, 1)]), Timestamp(100)), None);
    assert_eq!(lacks(hold(&[(9, 1)]), 0), None, "refused for something else");
    assert_eq!(lacks(known, 0), None, "its key is known");
}

#[test]
fn holds_come_back_from_a_checkpoint() {
    let mut machine = Machine::default();
    machine.product("1", 1_000);
    let store = MemoryStore::new();
    machine.state.set_resident_chunks_max(0);
    for n in 0..200_u64 {
        let key = (n % 2 == 0).then(|| format!("key-{n}").into());
        let id = machine.make_hold(CreateHold { key, user: user_id(n % 3), ..hold(&[(1, 1)]) });
        match n % 4 {
            0 => drop(machine.run(release(id))),
            1 => drop(machine.place(order_from(id))),
            _ if n < 192 => machine.now += 100,
            _ => {}
        }
    }
    let seventh = machine.held(HoldId(7));
    let written = machine.state.freeze().write(&store).expect("written");
    machine.state.release(&written);
    assert_eq!(machine.state.hold(HoldId(7)), Lookup::Stored, "final holds leave memory");
    let read = engine::checkpoint::read_hold(&store, HoldId(7)).expect("readable");
    assert_eq!(read, Some(seventh));
    assert_eq!(engine::checkpoint::read_hold(&store, HoldId(201)).expect("readable"), None);
    let mut reopened = State::open(&store).expect("opened");
    reopened.set_resident_chunks_max(0);
    for (index, payload) in (1..).zip(&machine.log) {
        if index > reopened.applied_index() {
            reopened.apply(index, 1, payload, &mut Unobserved).expect("well formed");
        }
    }
    assert_eq!(reopened.digest(), machine.state.digest());
    // The end of each is known without its row, and so is its key.
    machine.state = reopened;
    let order = OrderId(1);
    let refusal = Rejection::HoldConsumed { hold: HoldId(2), order };
    assert_eq!(rejected(machine.run(Command::PlaceOrder(order_from(HoldId(2))))), refusal);
    assert_eq!(rejected(machine.run(extend(HoldId(1), 5))), Rejection::HoldReleased(HoldId(1)));
    let again = CreateHold { key: Some("key-0".into()), user: user_id(0), ..hold(&[(1, 1)]) };
    assert_eq!(machine.run(Command::CreateHold(again)), Outcome::HoldReplayed(HoldId(1)));
    // Those that were active go on, and end on time.
    let active = machine.state.active_holds();
    assert!(active > 0);
    let live = HoldId(200);
    assert_eq!(machine.held(live).status, Status::Active);
    machine.pass(100);
    assert_eq!(machine.held(live).status, Status::Expired);
    assert_eq!(machine.state.active_holds(), 0);
    machine.state.check_invariants().expect("sound");
}

#[test]
fn a_paid_order_from_a_hold_is_sold() {
    let mut machine = Machine::default();
    let product = machine.product("2", 3);
    let held = machine.make_hold(hold(&[(1, 2)]));
    let id = machine.place(PlaceOrder { payment_method: PaymentMethod::Mock, ..order_from(held) });
    machine.claim(&[id]);
    machine.settle(id, 1, Verdict::Succeeded);
    let stock = machine.stock(product).stock;
    assert_eq!((stock.on_hand, stock.held, stock.reserved, stock.sold), (1, 0, 0, 2));
}

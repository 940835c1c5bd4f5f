//! Orders through their commands: checks, reservations, keys, moves and lists.

use crate::common::*;
use engine::actor::Actor;
use engine::command::{
    CancelOrder, Command, Envelope, PlaceBatch, PlaceOrder, UpdateProduct, Verdict,
};
use engine::fence::KeyState;
use engine::ids::{NodeId, OrderId, Position, ProductId, Quantity, RequestId, Timestamp, UserId};
use engine::order::{Cause, Line, PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::query::{Listing, OrderFilter, Page};
use engine::state::{OrderLookup, State, Unobserved};
use engine::trace::TraceId;

fn rejected(outcome: Outcome) -> Rejection {
    match outcome {
        Outcome::Rejected(rejection) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_order_reserves_units_has_a_total_and_emits_an_event() {
    let mut machine = Machine::default();
    let product = machine.product("0.10", 3);
    machine.events();
    machine.now = 5;
    let id = machine.place(order(&[(1, 3)]));
    assert_eq!(id, OrderId(1));
    let placed = machine.order(id);
    assert_eq!(placed.total.to_string(), "0.30");
    assert_eq!((placed.status, placed.created_at), (Status::Pending, Timestamp(5)));
    assert_eq!(placed.version, Position::new(2, 0));
    let stock = machine.stock(product).stock;
    assert_eq!((stock.on_hand, stock.reserved, stock.available()), (3, 3, 0));
    assert_eq!(machine.events(), ["order.placed", "stock.sold_out"]);
    assert_eq!(machine.state.open_orders(), 1);
}

#[test]
fn lines_of_one_product_are_summed_before_the_check() {
    let mut machine = Machine::default();
    let product = machine.product("1", 1);
    let refusal = rejected(machine.run(Command::PlaceOrder(order(&[(1, 1), (1, 1)]))));
    assert_eq!(
        refusal,
        Rejection::InsufficientStock { product, requested: 2, available: 1, also: Box::default() }
    );
    assert_eq!(machine.stock(product).stock.available(), 1);
    assert_eq!(machine.state.totals().rejected_insufficient_stock, 1);
    assert_eq!(machine.events().last(), Some(&"order.rejected"));
}

#[test]
fn a_refused_line_leaves_the_others_untouched() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.product("1", 1);
    rejected(machine.run(Command::PlaceOrder(order(&[(1, 2), (2, 2)]))));
    assert_eq!(machine.stock(ProductId(1)).stock.reserved, 0);
    assert_eq!(machine.stock(ProductId(1)).ledger_rows, 1);
    assert_eq!(machine.state.order(OrderId(1)), OrderLookup::Absent);
}

#[test]
fn checks_run_in_a_fixed_order() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    let mut limited = create("1", 5);
    if let Command::CreateProduct(product) = &mut limited {
        product.max_per_order = Some(2);
    }
    machine.run(limited);
    let place = |machine: &mut Machine, order: PlaceOrder| {
        rejected(machine.run(Command::PlaceOrder(order)))
    };
    let lines = |count| PlaceOrder {
        lines: vec![Line { product: ProductId(1), quantity: Quantity(1) }; count],
        ..order(&[])
    };
    let base = || order(&[(1, 1)]);
    for (order, refusal) in [
        (order(&[]), Rejection::Invalid("items")),
        (lines(101), Rejection::Invalid("items")),
        (order(&[(1, 0)]), Rejection::Invalid("quantity")),
        (order(&[(1, 1_000_001)]), Rejection::Invalid("quantity")),
        (keyed("", &[(1, 1)]), Rejection::Invalid("idempotency_key")),
        (keyed(&"k".repeat(256), &[(1, 1)]), Rejection::Invalid("idempotency_key")),
        (keyed("a\nb", &[(1, 1)]), Rejection::Invalid("idempotency_key")),
        (
            PlaceOrder { metadata: Some("x".repeat(4097).into()), ..base() },
            Rejection::Invalid("metadata"),
        ),
        (PlaceOrder { payment_attempts_max: 0, ..base() }, Rejection::Invalid("payment_attempts")),
        (PlaceOrder { require_user: true, ..base() }, Rejection::UserRequired),
        (
            PlaceOrder { require_user: true, user: user_id(9), ..base() },
            Rejection::UserNotFound(UserId(9)),
        ),
        (PlaceOrder { open_orders_max: 0, ..base() }, Rejection::TooManyOpenOrders),
        (order(&[(1, 9), (7, 1), (8, 1)]), Rejection::ProductNotFound(ProductId(7))),
        (order(&[(0, 1)]), Rejection::ProductNotFound(ProductId(0))),
        (order(&[(u64::MAX, 1)]), Rejection::ProductNotFound(ProductId(u64::MAX))),
        (
            order(&[(1, 9), (2, 2), (2, 1)]),
            Rejection::PurchaseLimitExceeded { product: ProductId(2), limit: 2, requested: 3 },
        ),
    ] {
        assert_eq!(place(&mut machine, order), refusal);
    }
    assert_eq!(machine.state.open_orders(), 0);
    assert_eq!(machine.stock(ProductId(1)).stock.available(), 5);
    let longest = "k".repeat(255);
    machine.place(keyed(&longest, &[(1, 1)]));
    assert_eq!(machine.state.order_by_key(&longest), Some(OrderId(1)));
}

#[test]
fn an_order_may_name_a_user_without_a_row() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.place(PlaceOrder { user: user_id(77), ..order(&[(1, 1)]) });
    assert_eq!(machine.run(user("a@example.org")), Outcome::UserCreated(UserId(1)));
    assert_eq!(rejected(machine.run(user("a@example.org"))), Rejection::EmailTaken);
    assert_eq!(rejected(machine.run(user(""))), Rejection::Invalid("email"));
    let strict = PlaceOrder { require_user: true, user: user_id(1), ..order(&[(1, 1)]) };
    machine.place(strict);
    let filter = OrderFilter { user: user_id(77), ..OrderFilter::default() };
    let page = machine.state.list_orders(&filter, Page::Number { page: 1, per_page: 10 });
    assert_eq!(page.ids, [OrderId(1)]);
}

#[test]
fn a_key_makes_one_order() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    let id = machine.place(keyed("k", &[(1, 1)]));
    let again = machine.run(Command::PlaceOrder(keyed("k", &[(1, 1)])));
    assert_eq!(again, Outcome::Replayed(id));
    // Settings are not part of the meaning, and the key comes before every other check.
    let other_settings = PlaceOrder {
        payment_attempts_max: 0,
        open_orders_max: 0,
        require_user: true,
        ..keyed("k", &[(1, 1)])
    };
    assert_eq!(machine.run(Command::PlaceOrder(other_settings)), Outcome::Replayed(id));
    for other in [
        keyed("k", &[(1, 2)]),
        keyed("k", &[(2, 1)]),
        keyed("k", &[(1, 1), (1, 1)]),
        PlaceOrder { user: user_id(1), ..keyed("k", &[(1, 1)]) },
        PlaceOrder { metadata: Some("{}".into()), ..keyed("k", &[(1, 1)]) },
        PlaceOrder { payment_method: PaymentMethod::Mock, ..keyed("k", &[(1, 1)]) },
        PlaceOrder { payment_method: PaymentMethod::Webhook, ..keyed("k", &[(1, 1)]) },
    ] {
        assert_eq!(rejected(machine.run(Command::PlaceOrder(other))), Rejection::KeyReused);
    }
    assert_eq!(machine.stock(ProductId(1)).stock.reserved, 1);
    assert_eq!(machine.state.totals().orders_replayed, 2);
    // A key lives as long as its order, whatever became of it.
    machine.run(cancel(id));
    let again = machine.run(Command::PlaceOrder(keyed("k", &[(1, 1)])));
    assert_eq!(again, Outcome::Replayed(id));
}

#[test]
fn a_refusal_does_not_use_the_key_up() {
    let mut machine = Machine::default();
    machine.product("1", 0);
    rejected(machine.run(Command::PlaceOrder(keyed("k", &[(1, 1)]))));
    assert_eq!(machine.state.order_by_key("k"), None);
    let stock = UpdateProduct { product: ProductId(1), stock: Some(9), ..Default::default() };
    machine.run(Command::UpdateProduct(stock));
    machine.place(keyed("k", &[(1, 2)]));
}

#[test]
fn a_fenced_key_never_makes_an_order() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    let fenced = |already| Outcome::KeyFenced { already };
    assert_eq!(machine.state.key_state("k"), KeyState::Unused);
    assert_eq!(machine.run(fence("k")), fenced(false));
    assert_eq!(machine.run(fence("k")), fenced(true));
    assert_eq!(machine.state.key_state("k"), KeyState::Fenced);
    assert_eq!(machine.state.order_by_key("k"), None);
    for late in [keyed("k", &[(1, 1)]), keyed("k", &[(1, 9)])] {
        let refusal = rejected(machine.run(Command::PlaceOrder(late.clone())));
        assert_eq!(refusal, Rejection::KeyFenced);
        assert_eq!(machine.state.refusal_of_order(&late, Timestamp(0)), None, "the log decides");
    }
    // A key that was used is answered with its order, and stays what it was.
    let id = machine.place(keyed("used", &[(1, 1)]));
    assert_eq!(machine.run(fence("used")), Outcome::KeyApplied(id));
    assert_eq!(machine.state.key_state("used"), KeyState::Applied(id));
    let again = machine.run(Command::PlaceOrder(keyed("used", &[(1, 1)])));
    assert_eq!(again, Outcome::Replayed(id));
    // One that was refused is unused still.
    rejected(machine.run(Command::PlaceOrder(keyed("refused", &[(1, 9)]))));
    assert_eq!(machine.run(fence("refused")), fenced(false));
    for bad in ["", "a\nb", &"k".repeat(256)] {
        assert_eq!(rejected(machine.run(fence(bad))), Rejection::Invalid("idempotency_key"));
    }
    // A hold may have a key of the same text.
    let held = engine::command::CreateHold { key: Some("k".into()), ..hold(&[(1, 1)]) };
    machine.make_hold(held);
    assert_eq!(machine.state.totals().keys_fenced, 2);
}

#[test]
fn fences_come_back_from_a_checkpoint() {
    let mut machine = Machine::default();
    machine.product("1", 5);
    machine.run_all((0..200).map(|n| fence(&format!("{n}"))).collect());
    machine.come_back();
    for key in ["0", "63", "64", "199"] {
        let refusal = rejected(machine.run(Command::PlaceOrder(keyed(key, &[(1, 1)]))));
        assert_eq!(refusal, Rejection::KeyFenced);
    }
    machine.place(keyed("200", &[(1, 1)]));
}

#[test]
fn cancelling_gives_back_once() {
    let mut machine = Machine::default();
    let product = machine.product("1", 2);
    let id = machine.place(order(&[(1, 1), (1, 1)]));
    let reason = Some("changed my mind".into());
    let outcome = machine.run(Command::CancelOrder(CancelOrder { order: id, reason }));
    assert_eq!(outcome, Outcome::Cancelled { order: id, already: false });
    assert_eq!(machine.stock(product).stock.available(), 2);
    let version = machine.order(id).version;
    for _ in 0..3 {
        let outcome = machine.run(cancel(id));
        assert_eq!(outcome, Outcome::Cancelled { order: id, already: true });
    }
    assert_eq!(machine.stock(product).stock.available(), 2);
    assert_eq!(machine.order(id).version, version);
    assert_eq!(machine.order(id).failure_reason.as_deref(), Some("changed my mind"));
    assert_eq!(rejected(machine.run(cancel(OrderId(9)))), Rejection::OrderNotFound);
    assert_eq!(rejected(machine.run(cancel(OrderId(0)))), Rejection::OrderNotFound);
}

/// Brings a new order into a status.
fn order_in(machine: &mut Machine, status: Status) -> OrderId {
    let id = machine.place(mock_order(&[(1, 1)]));
    match status {
        Status::Pending => {}
        Status::Processing => {
            machine.claim(&[id]);
        }
        Status::Paid => {
            machine.claim(&[id]);
            machine.settle(id, 1, Verdict::Succeeded);
        }
        Status::Failed => {
            machine.claim(&[id]);
            machine.settle(id, 1, declined());
        }
        Status::Cancelled => {
            machine.run(cancel(id));
        }
    }
    assert_eq!(machine.order(id).status, status);
    id
}

#[test]
fn only_legal_moves_are_accepted() {
    for from in Status::ALL {
        for to in Status::ALL {
            let mut machine = Machine::default();
            machine.product("1", 10);
            let id = order_in(&mut machine, from);
            let before = machine.order(id);
            let stock = machine.stock(ProductId(1)).stock;
            match to {
                // No command leads back to PENDING.
                Status::Pending => machine.run(Command::Tick),
                Status::Processing => machine.run(claim(1, vec![(id, 1)])),
                Status::Paid => machine.run(settle(id, 1, Verdict::Succeeded)),
                Status::Failed => machine.run(settle(id, 1, declined())),
                Status::Cancelled => machine.run(cancel(id)),
            };
            if from.can_become(to) {
                assert_eq!(machine.order(id).status, to, "{from} to {to}");
            } else {
                assert_eq!(machine.order(id), before, "{from} to {to}");
                assert_eq!(machine.stock(ProductId(1)).stock, stock, "{from} to {to}");
            }
            machine.state.check_invariants().expect("sound");
        }
    }
}

#[test]
fn only_a_pending_order_can_be_cancelled() {
    let mut machine = Machine::default();
    machine.product("1", 10);
    for status in [Status::Processing, Status::Paid, Status::Failed] {
        let order = order_in(&mut machine, status);
        let refusal = rejected(machine.run(cancel(order)));
        assert_eq!(refusal, Rejection::NotCancellable { order, status });
    }
}

#[test]
fn history_records_every_move() {
    let mut machine = Machine::default();
    machine.product("1", 10);
    let id = order_in(&mut machine, Status::Paid);
    let moves: Vec<_> =
        machine.order(id).history.iter().map(|row| (row.from, row.to, row.cause)).collect();
    assert_eq!(
        moves,
        [
            (None, Status::Pending, Cause::Placed),
            (Some(Status::Pending), Status::Processing, Cause::PaymentClaimed),
            (Some(Status::Processing), Status::Paid, Cause::PaymentSucceeded),
        ]
    );
}

#[test]
fn an_unpaid_webhook_order_ends_at_its_deadline() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let webhook = PlaceOrder { payment_method: PaymentMethod::Webhook, ..order(&[(1, 1)]) };
    let id = machine.place(webhook.clone());
    assert_eq!(machine.state.next_deadline(), Some(Timestamp(1000)));
    machine.events();
    machine.pass(999);
    assert_eq!(machine.order(id).status, Status::Pending);
    machine.pass(1);
    assert_eq!(machine.order(id).status, Status::Cancelled);
    assert_eq!(machine.order(id).history.last().expect("moved").cause, Cause::PaymentTimeout);
    assert_eq!(machine.stock(product).stock.available(), 10);
    assert_eq!(machine.state.next_deadline(), None);
    assert_eq!(machine.events(), ["order.cancelled"]);
    assert_eq!(machine.state.totals().orders_timed_out, 1);
    // One that is cancelled in time has no deadline any more.
    let id = machine.place(webhook);
    machine.run(cancel(id));
    machine.pass(5000);
    assert_eq!(machine.state.totals().orders_timed_out, 1);
}

#[test]
fn a_flood_of_deadlines_is_swept_a_thousand_per_entry() {
    let mut machine = Machine::default();
    machine.product("1", 10_000);
    let webhook = PlaceOrder { payment_method: PaymentMethod::Webhook, ..order(&[(1, 1)]) };
    machine.run_all(vec![Command::PlaceOrder(webhook); 1500]);
    machine.now = 2000;
    // The last one was not swept, but its deadline passed, so a cancel finds it cancelled.
    let late = OrderId(1500);
    let outcome = machine.run(cancel(late));
    assert_eq!(outcome, Outcome::Cancelled { order: late, already: true });
    assert_eq!(machine.order(late).history.last().expect("moved").cause, Cause::PaymentTimeout);
    assert_eq!(machine.state.totals().orders_timed_out, 1001);
    assert_eq!(machine.state.next_deadline(), Some(Timestamp(1000)));
    machine.run(Command::Tick);
    assert_eq!(machine.state.totals().orders_timed_out, 1500);
    assert_eq!(machine.state.next_deadline(), None);
}

#[test]
fn requests_are_applied_once() {
    use engine::command::Envelope;
    use engine::ids::{NodeId, RequestId};
    use engine::trace::TraceId;
    let mut machine = Machine::default();
    let envelope = |boot, seq, command| Envelope {
        request: RequestId { node: NodeId(2), boot, seq },
        trace: TraceId::NONE,
        actor: Actor::Nobody,
        command,
    };
    let outcomes = machine.run_envelopes(vec![
        envelope(2, 1, create("1", 9)),
        envelope(2, 1, create("1", 9)),
        envelope(1, 5, create("1", 9)),
        envelope(2, 2, Command::PlaceOrder(order(&[(1, 10)]))),
    ]);
    assert_eq!(outcomes[0], Outcome::ProductCreated(ProductId(1)));
    assert_eq!(outcomes[1..3], [Outcome::Ignored, Outcome::Ignored]);
    assert!(matches!(outcomes[3], Outcome::Rejected(_)));
    // A refusal is final for its request id: a late duplicate must not succeed after the answer.
    let stock = UpdateProduct { product: ProductId(1), stock: Some(99), ..Default::default() };
    let outcomes = machine.run_envelopes(vec![
        envelope(2, 3, Command::UpdateProduct(stock)),
        envelope(2, 2, Command::PlaceOrder(order(&[(1, 10)]))),
        envelope(3, 1, Command::Tick),
        envelope(2, 4, Command::Tick),
    ]);
    assert_eq!(outcomes[1..], [Outcome::Ignored, Outcome::Ticked, Outcome::Ignored]);
    assert_eq!(machine.state.open_orders(), 0);
}

#[test]
fn an_entry_that_does_not_follow_the_last_stops_the_node() {
    let mut state = State::new();
    state.apply(1, 1, &[], &mut Unobserved).expect("raft's own entry");
    assert_eq!((state.applied_index(), state.applied_term()), (1, 1));
    assert_eq!(state.position(), Position::new(1, 0));
    for index in [0, 1, 3, 1 << 33] {
        let error = state.apply(index, 1, &[], &mut Unobserved).expect_err("not the next entry");
        assert_eq!(error.to_string(), format!("entry {index} cannot follow entry 1"));
    }
}

#[test]
fn bytes_that_encode_no_command_have_no_effect_on_any_node() {
    let mut machine = Machine { now: 5, ..Machine::default() };
    machine.product("1", 9);
    let before = machine.state.digest();
    let index = machine.state.applied_index() + 1;
    machine.state.apply(index, 1, &[9, 9], &mut machine.recorder).expect("it is left out");
    assert_eq!(machine.recorder.undecodable, [Position::new(index, 0)]);
    assert_eq!((machine.state.applied_index(), machine.state.digest()), (index, before));

    let envelope = |seq| {
        let request = RequestId { node: NodeId(1), boot: 9, seq };
        let command = Command::PlaceOrder(order(&[(1, 1)]));
        Envelope { request, trace: TraceId::NONE, actor: Actor::System, command }.encode()
    };
    let mut builder = engine::entry::Builder::new(Timestamp(7));
    // The number of a command that no build knows, and a version of envelopes that none knows.
    let unknown = [&envelope(3)[..6], &[250]].concat();
    for bytes in [&envelope(1)[..], b"noise", &envelope(2), &unknown, &[99]] {
        builder.push(bytes);
    }
    let payload = builder.finish();
    let mut other = State::new();
    for (index, payload) in (1..).zip(&machine.log) {
        other.apply(index, 1, payload, &mut Unobserved).expect("well formed");
    }
    other.apply(index, 1, &[9, 9], &mut Unobserved).expect("it is left out");
    machine.recorder.outcomes.clear();
    for state in [&mut machine.state, &mut other] {
        state.apply(index + 1, 1, &payload, &mut machine.recorder).expect("some is left out");
        let positions: Vec<_> = machine.recorder.outcomes.drain(..).map(|row| row.0).collect();
        assert_eq!(positions, [0, 2].map(|n| Position::new(index + 1, n)));
        let skipped = [1, 3, 4].map(|n| Position::new(index + 1, n));
        assert!(machine.recorder.undecodable.ends_with(&skipped));
        machine.recorder.events.clear();
    }
    assert_eq!(machine.state.digest(), other.digest());
    assert_eq!((machine.state.clock(), machine.state.open_orders()), (Timestamp(7), 2));
}

#[test]
fn the_clock_never_runs_backwards() {
    let mut machine = Machine { now: 100, ..Machine::default() };
    machine.run(Command::Tick);
    machine.now = 50;
    machine.run(Command::Tick);
    assert_eq!(machine.state.clock(), Timestamp(100));
}

#[test]
fn lists_are_exact_at_their_edges() {
    let mut machine = Machine::default();
    machine.product("1", 1000);
    machine.product("1", 1000);
    for n in 0..10_u64 {
        let lines: &[_] = if n % 2 == 0 { &[(1, 1)] } else { &[(1, 1), (2, 1)] };
        let id = machine.place(PlaceOrder { user: user_id(n % 3), ..order(lines) });
        if n % 5 == 0 {
            machine.run(cancel(id));
        }
    }
    let list = |filter: OrderFilter, page| {
        let page = machine.state.list_orders(&filter, page);
        (page.ids.iter().map(|id| id.0).collect::<Vec<_>>(), page.total, page.has_more)
    };
    let all = OrderFilter::default();
    let numbered = |page| Page::Number { page, per_page: 4 };
    assert_eq!(list(all, numbered(1)), (vec![10, 9, 8, 7], Some(10), true));
    assert_eq!(list(all, numbered(0)), (vec![10, 9, 8, 7], Some(10), true));
    assert_eq!(list(all, numbered(3)), (vec![2, 1], Some(10), false));
    assert_eq!(list(all, numbered(4)), (vec![], Some(10), false));
    assert_eq!(list(all, numbered(u64::MAX)), (vec![], Some(10), false));
    assert!(!list(all, Page::Number { page: 1, per_page: 10 }).2);
    assert_eq!(list(all, Page::Before { id: None, limit: 2 }), (vec![10, 9], None, true));
    let before = |id, limit| Page::Before { id: Some(OrderId(id)), limit };
    assert_eq!(list(all, before(9, 2)), (vec![8, 7], None, true));
    assert_eq!(list(all, before(3, 2)), (vec![2, 1], None, false));
    assert_eq!(list(all, before(1, 2)), (vec![], None, false));
    assert_eq!(list(all, before(0, 2)), (vec![], None, false));
    assert_eq!(list(all, before(99, 0)), (vec![], None, true));
    let cancelled = OrderFilter { status: Some(Status::Cancelled), ..all };
    assert_eq!(list(cancelled, numbered(1)), (vec![6, 1], Some(2), false));
    assert_eq!(list(cancelled, before(6, 1)), (vec![1], None, false));
    let second = OrderFilter { product: Some(ProductId(2)), ..all };
    assert_eq!(list(second, numbered(2)), (vec![2], Some(5), false));
    let user = OrderFilter { user: user_id(0), ..all };
    assert_eq!(list(user, numbered(1)), (vec![10, 7, 4, 1], Some(4), false));
    let both = OrderFilter { user: user_id(0), product: Some(ProductId(2)), ..all };
    assert_eq!(list(both, numbered(1)), (vec![10, 4], Some(2), false));
    // A reader gives the state back after each step, and goes on where it stopped.
    let mut listing = Listing::new(both, numbered(1));
    let mut steps = 1;
    while !machine.state.list_some(&mut listing, 2) {
        steps += 1;
    }
    let page = listing.into_page();
    assert_eq!((page.ids, page.total), (vec![OrderId(10), OrderId(4)], Some(2)));
    assert!(steps > 1, "{steps} steps");
    let three = OrderFilter { status: Some(Status::Pending), ..both };
    assert_eq!(list(three, before(10, 1)), (vec![4], None, false));
    let nobody = OrderFilter { user: user_id(55), ..all };
    assert_eq!(list(nobody, numbered(1)), (vec![], Some(0), false));
    let range = |first, below| (Some(OrderId(first)), Some(OrderId(below)));
    for (filter, (first, below), ids) in [
        (all, range(3, 6), vec![5, 4, 3]),
        (all, range(0, 2), vec![1]),
        (all, range(6, 3), vec![]),
        (all, range(11, 99), vec![]),
        (cancelled, range(2, 99), vec![6]),
        (second, range(3, 8), vec![6, 4]),
        (user, range(4, 10), vec![7, 4]),
        (both, range(5, 99), vec![10]),
        (three, range(1, 10), vec![4]),
    ] {
        let filter = OrderFilter { first, below, ..filter };
        let total = ids.len() as u64;
        assert_eq!(list(filter, numbered(1)), (ids.clone(), Some(total), false), "{filter:?}");
        assert_eq!(list(filter, before(99, 9)), (ids, None, false), "{filter:?}");
    }
}

/// Rows that are prefetched for sixteen commands must not decide for any of them: each is carried
/// out on what those before it left.
#[test]
fn commands_of_one_entry_run_in_order_however_many_there_are() {
    const COUNT: u64 = 50;
    // Every third has the key of the one before it, every ninth with another meaning.
    let orders: Vec<PlaceOrder> = (0..COUNT)
        .map(|n| match n % 9 {
            2 | 5 => keyed(&format!("key-{}", n - 1), &[(1, 1)]),
            8 => keyed(&format!("key-{}", n - 1), &[(1, 2)]),
            _ => keyed(&format!("key-{n}"), &[(1, 1)]),
        })
        .collect();
    let (mut id, mut wanted) = (0, Vec::new());
    for n in 0..COUNT {
        wanted.push(match n % 9 {
            2 | 5 => Outcome::Replayed(OrderId(id)),
            8 => Outcome::Rejected(Rejection::KeyReused),
            _ => {
                id += 1;
                Outcome::Placed(OrderId(id))
            }
        });
    }
    let mut together = Machine::default();
    together.product("1.00", 1_000);
    let commands = orders.iter().cloned().map(Command::PlaceOrder).collect();
    assert_eq!(together.run_all(commands), wanted);
    let index = together.log.len() as u64;
    let told = &together.recorder.outcomes[1..];
    for ((position, ..), n) in told.iter().zip(0..) {
        assert_eq!(*position, Position::new(index, n));
    }
    let mut batched = Machine::default();
    batched.product("1.00", 1_000);
    assert_eq!(batched.run(batch(false, orders)), Outcome::Batch(wanted));
    assert_eq!(together.stock(ProductId(1)).stock, batched.stock(ProductId(1)).stock);
}

#[test]
fn orders_that_wait_for_no_payment_keep_no_others_out() {
    let mut machine = Machine::default();
    machine.product("1", 100);
    let bounded = |order: PlaceOrder| PlaceOrder { open_orders_max: 2, ..order };
    let unpaid = || bounded(order(&[(1, 1)]));
    let paid = || bounded(mock_order(&[(1, 1)]));
    let first = machine.place(unpaid());
    machine.place(unpaid());
    let refused = Rejection::TooManyOpenOrders;
    assert_eq!(rejected(machine.run(Command::PlaceOrder(paid()))), refused, "level 0 counts all");
    machine.run(crate::level::raise(1));
    for is_restored in [false, true] {
        if is_restored {
            machine.come_back();
        }
        assert_eq!(rejected(machine.run(Command::PlaceOrder(unpaid()))), refused);
        machine.place(paid());
    }
    assert_eq!(rejected(machine.run(Command::PlaceOrder(paid()))), refused);
    machine.run(cancel(first));
    // In a batch each kind counts for itself, too.
    let orders = vec![unpaid(), paid(), unpaid()];
    let batch = PlaceBatch { atomic: true, orders };
    let Rejection::BatchRefused { items } = rejected(machine.run(Command::PlaceBatch(batch)))
    else {
        panic!("two of the orders are too many")
    };
    assert_eq!(items[..], [(1, refused.clone()), (2, refused)]);
    machine.place(unpaid());
}

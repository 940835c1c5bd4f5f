//! A cluster that begins with the rows of another, and payments that wait.

use engine::actor::Actor;
use engine::checkpoint::image::{Fill, Image};
use engine::command::{BeginCluster, Command, Envelope, PlaceOrder, RaiseLevel, SetPayments};
use engine::ids::{NodeId, OrderId, RequestId, Timestamp};
use engine::order::{PaymentMethod, Status};
use engine::outcome::Outcome;
use engine::secret::Secret;
use engine::state::{State, Unobserved};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine::webhook::Report;

use crate::checkpoint::checkpoint;
use crate::common::*;

fn begin(pause_payments: bool) -> Command {
    Command::BeginCluster(BeginCluster { pause_payments })
}

fn paid_by_mock() -> PlaceOrder {
    mock_order(&[(1, 1)])
}

fn epochs(outcome: Outcome) -> Vec<(OrderId, u32)> {
    match outcome {
        Outcome::Claimed(claimed) => claimed.iter().map(|one| (one.order, one.epoch)).collect(),
        other => panic!("not claimed: {other:?}"),
    }
}

#[test]
fn a_new_cluster_takes_requests_of_nodes_with_old_names_and_tells_orders_apart() {
    let mut machine = Machine::default();
    machine.product("1.00", 10);
    let before = machine.place(paid_by_mock());
    assert_eq!(machine.run(begin(false)), Outcome::ClusterBegun);
    // Request numbers start again.
    machine.seq = 0;
    let after = machine.place(paid_by_mock());
    let tasks = vec![(before, 1), (after, 1)];
    assert_eq!(epochs(machine.run(claim(1, tasks))), [(before, 0), (after, 1)]);
    // A request that is sent twice is applied once.
    let request = RequestId { node: NodeId(1), boot: 1, seq: 1 };
    let again =
        Envelope { request, trace: TraceId::NONE, actor: Actor::Nobody, command: Command::Tick };
    assert_eq!(machine.run_envelopes(vec![again]), [Outcome::Ignored]);
}

#[test]
fn reports_that_wait_for_an_order_do_not_outlive_a_restore() {
    let mut machine = Machine::default();
    machine.product("1.00", 10);
    for (key, order) in [("a", 1), ("b", 1), ("c", 7)] {
        machine.run_parking(Command::PaymentWebhook(webhook(key, order, Report::Succeeded)));
    }
    assert_eq!(machine.state.parked_webhooks(), 3);
    // A log of before lets them wait on.
    machine.run_parking(begin(false));
    assert_eq!(machine.state.parked_webhooks(), 3);
    machine.events();
    machine.run(begin(false));
    assert_eq!(machine.events(), ["payment.unmatched"; 3]);
    assert_eq!((machine.state.parked_webhooks(), machine.state.next_deadline()), (0, None));
    // Not even a node that was not replaced yet lets them decide.
    let order = Command::PlaceOrder(PlaceOrder {
        payment_method: PaymentMethod::Webhook,
        ..order(&[(1, 1)])
    });
    assert_eq!(machine.run_parking(order), Outcome::Placed(OrderId(1)));
    assert_eq!(machine.order(OrderId(1)).status, Status::Pending);
    machine.come_back();
    machine.state.check_invariants().expect("sound");
}

#[test]
fn paused_payments_wait_and_go_on_where_they_were() {
    let mut machine = Machine::default();
    machine.product("1.00", 10);
    let order = machine.place(paid_by_mock());
    let plain = machine.state.digest();
    machine.run(begin(true));
    assert!(machine.state.payments_paused());
    assert_eq!(machine.state.due_payments(PaymentMethod::Mock, Timestamp(u64::MAX), None, 9), []);
    assert_eq!(machine.claim(&[order]), []);
    assert_ne!(machine.state.digest(), plain);

    // It is in checkpoints, whichever way they go.
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    let copy = MemoryStore::new();
    let mut fill = Fill::new(&copy);
    let mut image = Image::open(&store).expect("readable").expect("published");
    image.begin(&store, &mut |key, value| fill.add(key, value)).expect("read");
    image.finish(&store, &mut |key, value| fill.add(key, value)).expect("read");
    fill.finish().expect("filled");
    for store in [&store, &copy] {
        let mut opened = State::open(store).expect("opens");
        assert!(opened.payments_paused());
        assert_eq!(opened.digest(), machine.state.digest());
    }

    assert_eq!(
        machine.run(Command::SetPayments(SetPayments { paused: false })),
        Outcome::PaymentsSet
    );
    let due = machine.state.due_payments(PaymentMethod::Mock, Timestamp(u64::MAX), None, 9);
    assert_eq!((due.len(), due[0].order, due[0].attempt), (1, order, 1));
    assert_eq!(machine.claim(&[order]), [order]);
    // A log that is replayed ends where the machine is.
    let mut replayed = State::new();
    for (index, payload) in (1..).zip(&machine.log) {
        replayed.apply(index, 1, payload, &mut Unobserved).expect("well formed");
    }
    assert_eq!(replayed.digest(), machine.state.digest());
}

#[test]
fn payments_that_went_on_again_leave_nothing_behind_in_a_checkpoint() {
    let mut machine = Machine::default();
    let store = MemoryStore::new();
    machine.product("1.00", 10);
    for paused in [true, false, true, false] {
        machine.run(Command::SetPayments(SetPayments { paused }));
        checkpoint(&mut machine.state, &store);
        let mut opened = State::open(&store).expect("opens");
        assert_eq!(opened.payments_paused(), paused);
        assert_eq!(opened.digest(), machine.state.digest());
    }
}

#[test]
fn orders_keep_the_payment_keys_that_they_had_before_level_1() {
    let mut machine = Machine::default();
    machine.product("2.50", 10);
    let before = machine.place(mock_order(&[(1, 1)]));
    let key = |machine: &Machine, order| {
        machine.state.payment_keys().attempt("shop", machine.state.payment_epoch(order), order, 1)
    };
    assert_eq!(key(&machine, before), "shop-1-1");
    machine.run(Command::RaiseLevel(RaiseLevel { to: 1, secret: Secret([7; 32]) }));
    let after = machine.place(mock_order(&[(1, 1)]));
    assert_eq!(key(&machine, before), "shop-1-1");
    let of_lineage = key(&machine, after);
    assert!(of_lineage.ends_with(".0-2-1") && !of_lineage.starts_with("shop"), "{of_lineage}");
    machine.run(Command::RaiseLevel(RaiseLevel { to: 1, secret: Secret([8; 32]) }));
    machine.come_back();
    assert_eq!((key(&machine, before), key(&machine, after)), ("shop-1-1".into(), of_lineage));
}

#[test]
fn a_copy_asks_before_it_charges_for_an_order_of_the_original() {
    let mut machine = Machine::default();
    machine.product("2.50", 10);
    let old = machine.place(mock_order(&[(1, 1)]));
    machine.pass(5_000);
    machine.run(Command::BeginCluster(BeginCluster { pause_payments: false }));
    let new = machine.place(mock_order(&[(1, 1)]));
    match machine.run(claim(1, vec![(old, 1), (new, 1)])) {
        Outcome::Claimed(claimed) => {
            let told = |n: usize| (claimed[n].epoch, claimed[n].maybe_sent, claimed[n].age_ms);
            assert_eq!(told(0), (0, true, 5_000), "the original may have charged it");
            assert_eq!(told(1), (1, false, 0));
        }
        other => panic!("{other:?}"),
    }
}

//! Retained events are equal on every node, survive a restart, and expire.

use engine::checkpoint::read_events;
use engine::command::{Command, PlaceOrder};
use engine::event::{EventId, EventPage, Kind, OrderChange};
use engine::ids::{Position, ProductId, Timestamp};
use engine::state::{State, Unobserved};
use engine::store::memory::MemoryStore;

use crate::common::*;

const BEGINNING: EventId = EventId { position: Position(0), n: 0 };

/// Orders that are placed and cancelled, ten milliseconds apart.
fn tell(machine: &mut Machine, orders: u64) {
    for _ in 0..orders {
        machine.now += 10;
        let order = PlaceOrder { user: user_id(7), ..order(&[(1, 1), (2, 1), (1, 1)]) };
        let id = machine.place(order);
        machine.run(cancel(id));
    }
}

fn machine() -> Machine {
    let mut machine = Machine::default();
    machine.product("1", 1_000);
    machine.product("1", 1_000);
    machine
}

fn checkpoint(state: &mut State, store: &MemoryStore) {
    let written = state.freeze().write(store).expect("written");
    state.release(&written);
}

#[test]
fn retained_events_equal_emitted_events() {
    let mut machine = machine();
    tell(&mut machine, 400);
    let kept = events_after(&machine.state, &MemoryStore::new(), BEGINNING, 100);
    assert_eq!(kept, machine.recorder.events);
    assert_eq!(kept.len(), 802);
    assert_eq!(machine.state.last_event(), kept[801].id());
    let from_the_middle = kept[500].id();
    let rest = events_after(&machine.state, &MemoryStore::new(), from_the_middle, 7);
    assert_eq!(rest, kept[501..]);
    // Replayed on another node, with other batches of time between, they are the same.
    let mut other = State::new();
    for (index, payload) in (1..).zip(&machine.log) {
        other.apply(index, 1, payload, &mut Unobserved).expect("well formed");
    }
    assert_eq!(events_after(&other, &MemoryStore::new(), BEGINNING, 1_000), kept);
}

#[test]
fn an_event_names_its_user_and_its_subject() {
    let mut machine = machine();
    tell(&mut machine, 1);
    let placed = &machine.recorder.events[2].kind;
    let Kind::Order { change: OrderChange::Placed, products, .. } = placed else {
        panic!("{placed:?}");
    };
    assert_eq!(products[..], [ProductId(1), ProductId(2)], "each once");
    assert_eq!(placed.user(), user_id(7));
    assert!(placed.is_about(ProductId(2)) && !placed.is_about(ProductId(3)));
    let created = &machine.recorder.events[0].kind;
    assert_eq!(created.user(), None);
    assert!(created.is_about(ProductId(1)) && !created.is_about(ProductId(2)));
    machine.make_hold(engine::command::CreateHold { user: user_id(8), ..hold(&[(2, 1)]) });
    let held = &machine.recorder.events.last().expect("told").kind;
    assert_eq!(held.user(), user_id(8));
    assert!(held.is_about(ProductId(2)) && !held.is_about(ProductId(1)));
}

#[test]
fn readers_resume_after_a_restart() {
    let mut machine = machine();
    let store = MemoryStore::new();
    machine.state.set_resident_chunks_max(0);
    tell(&mut machine, 200);
    checkpoint(&mut machine.state, &store);
    tell(&mut machine, 200);
    checkpoint(&mut machine.state, &store);
    tell(&mut machine, 30);
    let told = machine.recorder.events.clone();
    assert!(matches!(machine.state.events_after(BEGINNING, 9), EventPage::Stored { chunk: 0 }));
    assert_eq!(events_after(&machine.state, &store, BEGINNING, 100), told);
    let mut reopened = State::open(&store).expect("opened");
    for (index, payload) in (1..).zip(&machine.log) {
        if index > reopened.applied_index() {
            reopened.apply(index, 1, payload, &mut Unobserved).expect("well formed");
        }
    }
    assert_eq!(reopened.digest(), machine.state.digest());
    for from in [0, 1, 255, 256, 300, 511, 512, 700, 860] {
        assert_eq!(
            events_after(&reopened, &store, told[from].id(), 100),
            told[from + 1..],
            "{from}"
        );
    }
    assert_eq!(reopened.last_event(), machine.state.last_event());
    // And once more: what was stored, replayed and told since is one row of chunks.
    checkpoint(&mut reopened, &store);
    let again = State::open(&store).expect("opened");
    assert_eq!(events_after(&again, &store, BEGINNING, 300), told);
    reopened.check_invariants().expect("sound");
}

#[test]
fn expired_events_leave_memory_and_store_and_raise_the_floor() {
    let mut machine = machine();
    let store = MemoryStore::new();
    tell(&mut machine, 300);
    checkpoint(&mut machine.state, &store);
    assert!(read_events(&store, 0).expect("readable").is_some());
    let told = machine.recorder.events.clone();
    let floor = told[511].id();
    machine.state.set_event_retention(100, u64::MAX);
    machine.run(Command::Tick);
    assert_eq!(machine.state.events_after(BEGINNING, 9), EventPage::Gone { floor });
    let rest = events_after(&machine.state, &store, floor, 100);
    assert_eq!(rest, told[512..]);
    // Until the next checkpoint the store has them, and a restart before it brings them back.
    assert!(read_events(&store, 0).expect("readable").is_some());
    checkpoint(&mut machine.state, &store);
    assert_eq!(read_events(&store, 0).expect("readable"), None);
    // Rows that a checkpoint does not count are removed by the next one.
    machine.run(Command::Tick);
    checkpoint(&mut machine.state, &store);
    assert!(!store.keys().iter().any(|key| key[0] == b'E' && key[8] < 2), "they are removed");
    let reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.events_after(BEGINNING, 9), EventPage::Gone { floor });
    assert_eq!(events_after(&reopened, &store, floor, 100), rest);
}

#[test]
fn events_expire_by_the_replicated_clock() {
    let mut machine = machine();
    machine.state.set_event_retention(u64::MAX, 60_000);
    tell(&mut machine, 200);
    let chunk_ends = machine.recorder.events[255].clone();
    machine.now = chunk_ends.at.0 + 60_000;
    machine.run(Command::Tick);
    assert!(matches!(machine.state.events_after(BEGINNING, 1), EventPage::Events(_)));
    machine.now += 1;
    machine.run(Command::Tick);
    let gone = EventPage::Gone { floor: chunk_ends.id() };
    assert_eq!(machine.state.events_after(BEGINNING, 1), gone);
    assert!(machine.state.clock() > Timestamp(60_000));
    machine.state.check_invariants().expect("sound");
}

#[test]
fn nodes_that_keep_different_numbers_of_events_agree() {
    let mut machine = machine();
    let mut other = State::new();
    other.set_event_retention(0, 0);
    tell(&mut machine, 300);
    for (index, payload) in (1..).zip(&machine.log) {
        other.apply(index, 1, payload, &mut Unobserved).expect("well formed");
    }
    assert!(matches!(other.events_after(BEGINNING, 1), EventPage::Gone { .. }));
    assert_eq!(other.digest(), machine.state.digest());
    let last = machine.recorder.events.last().expect("told").id();
    assert_eq!(other.last_event(), last);
    assert_eq!(other.events_after(last, 1), EventPage::Events(Vec::new()));
}

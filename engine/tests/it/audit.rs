//! The audit: what is recorded of whom, in checkpoints, snapshots and copies.

use engine::actor::Actor;
use engine::audit::{Action, Kind, ROWS_MAX};
use engine::auth::Mode;
use engine::checkpoint::image::{Fill, Image};
use engine::command::{
    BeginCluster, Command, CreateProduct, FenceKey, Note, RaiseLevel, RevokeToken, SetAuth,
    SetPayments,
};
use engine::ids::{Position, TokenId};
use engine::outcome::{Outcome, Rejection};
use engine::secret::Secret;
use engine::state::State;
use engine::store::memory::MemoryStore;

use crate::checkpoint::checkpoint;
use crate::common::*;

/// A machine at the level that brings the audit.
fn raised() -> Machine {
    let mut machine = Machine::default();
    machine.run(pause(true));
    assert_eq!(machine.state.audit(Kind::Administration, 0).count(), 0, "level 0 has none");
    machine.run(Command::RaiseLevel(RaiseLevel { to: 1, secret: Secret([7; 32]) }));
    machine
}

fn pause(paused: bool) -> Command {
    Command::SetPayments(SetPayments { paused })
}

/// Action, target and refusal of each row above an id.
fn rows(state: &State, kind: Kind, after: u64) -> Vec<(&'static str, Option<u64>, bool)> {
    let rows = state.audit(kind, after);
    rows.map(|row| (row.action.as_str(), row.target, row.is_refused)).collect()
}

#[test]
fn what_administrators_do_is_recorded_and_what_is_refused_too() {
    let mut machine = raised();
    let before = rows(&machine.state, Kind::Administration, 0).len() as u64;
    machine.run(Command::SetAuth(SetAuth { mode: Mode::Optional }));
    machine.run(Command::RevokeToken(RevokeToken { token: TokenId(9) }));
    machine.run(pause(true));
    machine.run(Command::FenceKey(FenceKey { key: "k".into() }));
    let note = |action| Command::Note(Note { action, target: Some(4) });
    assert_eq!(machine.run(note(Action::RemoveMember)), Outcome::Noted);
    let invalid = Outcome::Rejected(Rejection::Invalid("action"));
    assert_eq!(machine.run(note(Action::AuthOff)), invalid);
    assert_eq!(
        rows(&machine.state, Kind::Administration, before),
        [
            ("auth.optional", None, false),
            ("token.revoke", Some(9), true),
            ("payments.pause", None, false),
            ("member.remove", Some(4), false),
            ("auth.off", Some(4), true),
        ]
    );
    let before = rows(&machine.state, Kind::Catalogue, 0).len() as u64;
    let product = CreateProduct { name: "Chair".into(), ..CreateProduct::default() };
    let created = machine.run(Command::CreateProduct(product));
    let Outcome::ProductCreated(id) = created else { panic!("{created:?}") };
    assert_eq!(
        rows(&machine.state, Kind::Catalogue, before),
        [("product.create", Some(id.0), false)]
    );
    let last = machine.state.audit(Kind::Catalogue, before).last().expect("a row");
    assert_eq!((last.position, last.actor), (machine.state.position(), Actor::System));
}

#[test]
fn a_flood_keeps_the_newest_rows_and_checkpoints_have_them() {
    let mut machine = raised();
    let store = MemoryStore::new();
    for round in 0..3 {
        let pauses: Vec<_> = (0..ROWS_MAX / 2 + 5).map(|n| pause((n + round) % 2 == 0)).collect();
        for commands in pauses.chunks(Position::COMMANDS_PER_ENTRY_MAX as usize) {
            machine.run_all(commands.to_vec());
        }
        checkpoint(&mut machine.state, &store);
    }
    assert_eq!(machine.state.audit(Kind::Administration, 0).count() as u64, ROWS_MAX);
    let mut opened = State::open(&store).expect("opens");
    assert_eq!(opened.digest(), machine.state.digest());
    assert!(opened.audit(Kind::Administration, 0).eq(machine.state.audit(Kind::Administration, 0)));
}

#[test]
fn a_copy_keeps_the_audit_and_tells_when_it_began() {
    let mut machine = raised();
    machine.run(pause(true));
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    // A freeze that is lost is made up for.
    machine.run(pause(false));
    drop(machine.state.freeze());
    machine.run(pause(true));
    checkpoint(&mut machine.state, &store);
    let copy = MemoryStore::new();
    let mut fill = Fill::new(&copy);
    let mut image = Image::open(&store).expect("readable").expect("published");
    image.begin(&store, &mut |key, value| fill.add(key, value)).expect("read");
    image.finish(&store, &mut |key, value| fill.add(key, value)).expect("read");
    fill.finish().expect("filled");
    let mut opened = State::open(&copy).expect("opens");
    assert_eq!(opened.digest(), machine.state.digest());
    machine.run(Command::BeginCluster(BeginCluster { pause_payments: true }));
    let all = rows(&machine.state, Kind::Administration, 0);
    assert_eq!(all.last(), Some(&("cluster.begin", None, false)));
    assert!(all.len() >= 4, "{all:?}");
}

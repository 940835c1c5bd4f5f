//! Tokens: their bounds, checkpoints and snapshots.

use engine::auth::{Mode, Scope, Scopes, TOKENS_MAX};
use engine::checkpoint::image::{Fill, Image};
use engine::command::{BeginCluster, Command, CreateToken, RevokeToken, SetAuth};
use engine::ids::{Position, TokenId};
use engine::outcome::{Outcome, Rejection};
use engine::state::State;
use engine::store::memory::MemoryStore;

use crate::checkpoint::checkpoint;
use crate::common::*;

fn token(ttl_ms: Option<u64>) -> Command {
    Command::CreateToken(CreateToken {
        hash: [7; 32],
        owner: "shop".into(),
        user: None,
        scopes: Scopes::default().with(Scope::CatalogRead),
        label: "".into(),
        ttl_ms,
    })
}

fn revoke(id: u64) -> Command {
    Command::RevokeToken(RevokeToken { token: TokenId(id) })
}

#[test]
fn tokens_are_bounded_and_expired_ones_make_room() {
    let mut machine = Machine::default();
    assert_eq!(machine.run(token(Some(50))), Outcome::TokenCreated(TokenId(1)));
    let others = vec![token(None); TOKENS_MAX - 1];
    for commands in others.chunks(Position::COMMANDS_PER_ENTRY_MAX as usize) {
        machine.run_all(commands.to_vec());
    }
    assert_eq!(machine.state.auth().len(), TOKENS_MAX);
    assert_eq!(machine.run(token(None)), Outcome::Rejected(Rejection::TooManyTokens));
    machine.pass(50);
    let next = TokenId(TOKENS_MAX as u64 + 1);
    assert_eq!(machine.run(token(None)), Outcome::TokenCreated(next));
    assert_eq!(machine.state.auth().token(TokenId(1)), None, "it made room");
    assert_eq!(machine.run(token(None)), Outcome::Rejected(Rejection::TooManyTokens));
    machine.run(revoke(2));
    assert_eq!(machine.run(token(None)), Outcome::TokenCreated(TokenId(next.0 + 1)));
    machine.come_back();
    assert_eq!(machine.state.auth().len(), TOKENS_MAX);
}

#[test]
fn a_token_is_live_before_its_end_and_not_at_it() {
    let mut machine = Machine::default();
    machine.run(token(Some(50)));
    let row = machine.state.auth().token(TokenId(1)).expect("created").clone();
    let end = row.expires_at.expect("it ends");
    assert_eq!(end, machine.state.clock().plus_ms(50));
    assert!(row.is_live(machine.state.clock().plus_ms(49)) && !row.is_live(end));
    assert!(!format!("{row:?}").contains("hash"), "a log must not hold it");
}

#[test]
fn every_change_moves_the_generation() {
    let mut machine = Machine::default();
    let mut last = machine.state.auth().generation();
    let set = |mode| Command::SetAuth(SetAuth { mode });
    for (command, moves) in [
        (token(None), true),
        (set(Mode::Required), true),
        (set(Mode::Required), false),
        (revoke(1), true),
        (revoke(1), false),
        (set(Mode::Off), true),
    ] {
        machine.run(command.clone());
        let now = machine.state.auth().generation();
        assert_eq!(now > last, moves, "{command:?}");
        last = now;
    }
}

#[test]
fn a_checkpoint_whose_release_is_missing_is_made_up_for_by_the_next() {
    let mut machine = Machine::default();
    machine.run(token(None));
    machine.run(token(None));
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    machine.run(revoke(1));
    // Frozen and lost.
    drop(machine.state.freeze());
    machine.run(token(None));
    checkpoint(&mut machine.state, &store);
    let mut opened = State::open(&store).expect("opens");
    let ids: Vec<_> = opened.auth().tokens(TokenId(0)).map(|token| token.id.0).collect();
    assert_eq!(ids, [2, 3]);
    assert_eq!(opened.digest(), machine.state.digest());
}

#[test]
fn tokens_are_in_snapshots_and_a_new_cluster_has_none() {
    let mut machine = Machine::default();
    machine.run(token(None));
    machine.run(Command::SetAuth(SetAuth { mode: Mode::Required }));
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    let copy = MemoryStore::new();
    let mut fill = Fill::new(&copy);
    let mut image = Image::open(&store).expect("readable").expect("published");
    image.begin(&store, &mut |key, value| fill.add(key, value)).expect("read");
    image.finish(&store, &mut |key, value| fill.add(key, value)).expect("read");
    fill.finish().expect("filled");
    let mut opened = State::open(&copy).expect("opens");
    assert_eq!(opened.digest(), machine.state.digest());
    assert_eq!((opened.auth().len(), opened.auth().mode()), (1, Mode::Required));
    machine.run(Command::BeginCluster(BeginCluster { pause_payments: true }));
    assert!(machine.state.auth().is_empty(), "tokens of the other cluster count for nothing");
    assert_eq!(machine.state.auth().mode(), Mode::Required);
    assert_eq!(machine.run(token(None)), Outcome::TokenCreated(TokenId(2)));
}

//! The level: rules, checkpoints, and builds that do not know it.

use engine::actor::Actor;
use engine::apply::Error;
use engine::checkpoint::CheckpointStore;
use engine::checkpoint::image::{Fill, Image};
use engine::codec;
use engine::command::{Command, Envelope, RaiseLevel, Rules};
use engine::entry::Builder;
use engine::ids::{NodeId, OrderId, RequestId, Timestamp, TokenId};
use engine::level::NEWEST;
use engine::order::{PaymentMethod, Status};
use engine::outcome::Outcome;
use engine::secret::Secret;
use engine::state::{State, Unobserved};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine::webhook::Report;

use crate::checkpoint::checkpoint;
use crate::common::*;

pub(crate) fn raise(to: u32) -> Command {
    Command::RaiseLevel(RaiseLevel { to, secret: Secret([7; 32]) })
}

#[test]
fn the_level_decides_whatever_version_an_envelope_has() {
    let mut machine = Machine::default();
    machine.product("1.00", 10);
    machine.run_parking(Command::PaymentWebhook(webhook("a", 1, Report::Succeeded)));
    assert_eq!(machine.state.parked_webhooks(), 1);
    assert_eq!(machine.run(raise(1)), Outcome::LevelRaised(1));
    assert_eq!(machine.run(raise(1)), Outcome::LevelRaised(1), "again it changes nothing");
    // A node that had not applied the raise yet writes envelopes as before.
    machine.run_parking(Command::PaymentWebhook(webhook("b", 9, Report::Succeeded)));
    assert_eq!(machine.state.parked_webhooks(), 1, "no other report waits");
    let order =
        engine::command::PlaceOrder { payment_method: PaymentMethod::Webhook, ..order(&[(1, 1)]) };
    machine.run_parking(Command::PlaceOrder(order));
    assert_eq!(
        machine.order(OrderId(1)).status,
        Status::Pending,
        "the one that waits, decides not"
    );
    machine.come_back();
    assert_eq!(machine.state.level(), 1);
}

#[test]
fn an_envelope_for_level_0_is_as_builds_before_levels_wrote_it() {
    let request = RequestId { node: NodeId(1), boot: 2, seq: 3 };
    let actor = Actor::Token(TokenId(9));
    let envelope = Envelope { request, trace: TraceId::NONE, actor, command: Command::Tick };
    // Request, no trace, the number of the command.
    let body = [&[1, 2, 3][..], &codec_of(&TraceId::NONE), &[15]].concat();
    let old = [&[1][..], &body].concat();
    assert_eq!(envelope.encode_at(0), old);
    let known = Envelope { actor: Actor::Nobody, ..envelope.clone() };
    assert_eq!(Envelope::decode(&old), Ok((Rules::Parking, known.clone())));
    // Builds of level 1 wrote the same as version 2 before envelopes had an actor.
    let between = [&[2][..], &body].concat();
    assert_eq!(Envelope::decode(&between), Ok((Rules::NoParking, known)));
    let new = envelope.encode_at(1);
    assert_eq!((new[0], &new), (3, &envelope.encode()));
    assert_eq!(new.len(), old.len() + 2, "the actor takes two bytes");
    assert_eq!(Envelope::decode(&new), Ok((Rules::NoParking, envelope)));
    assert_eq!(Envelope::decode(&[4]), Err(codec::Error::UnknownVersion(4)));
}

fn codec_of(trace: &TraceId) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_into(trace, &mut bytes);
    bytes
}

#[test]
fn the_level_is_in_checkpoints_snapshots_and_the_digest() {
    let mut machine = Machine::default();
    machine.product("1.00", 10);
    let plain = machine.state.digest();
    let mut with_tick = State::new();
    for (index, payload) in (1..).zip(&machine.log) {
        with_tick.apply(index, 1, payload, &mut Unobserved).expect("well formed");
    }
    assert_eq!(with_tick.digest(), plain);
    machine.run(raise(1));
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
        assert_eq!((opened.level(), opened.digest()), (1, machine.state.digest()));
    }
}

#[test]
fn a_build_below_the_level_stops_and_says_so() {
    let mut machine = Machine::default();
    let request = RequestId { node: NodeId(0), boot: 1, seq: 1 };
    let envelope = Envelope {
        request,
        trace: TraceId::NONE,
        actor: Actor::Nobody,
        command: raise(NEWEST + 1),
    };
    let mut builder = Builder::new(Timestamp(1));
    builder.push(&envelope.encode_at(0));
    let applied = machine.state.apply(1, 1, &builder.finish(), &mut machine.recorder);
    let error = applied.expect_err("the level is not known");
    assert!(matches!(error, Error::NeedsLevel { index: 1, level } if level == NEWEST + 1));
    assert!(error.to_string().contains("use the build of the other nodes"), "{error}");
}

#[test]
fn a_checkpoint_of_a_newer_build_is_refused_by_name_and_counts_as_no_damage() {
    let mut machine = Machine::default();
    machine.run(raise(1));
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    // Later builds may add to the row.
    let row = codec::encode_row(1, &(NEWEST + 1, "what a later build knows"));
    store.publish(vec![(b"level".to_vec(), Some(row))]).expect("published");
    let error = State::open(&store).expect_err("the level is not known");
    assert!(!error.is_damage() && error.is_of_newer_build(), "{error}");
    assert_eq!(
        error.to_string(),
        "the checkpoint is at level 2, and this build knows levels up to 1"
    );
    // The row that publishes a checkpoint begins with its format.
    let row = codec::encode_row(1, &(99_u32, "what a later build knows"));
    store.publish(vec![(b"meta".to_vec(), Some(row))]).expect("published");
    let error = State::open(&store).expect_err("the format is not known");
    assert!(!error.is_damage() && error.is_of_newer_build(), "{error}");
    assert_eq!(error.to_string(), "unknown checkpoint format 99");
}

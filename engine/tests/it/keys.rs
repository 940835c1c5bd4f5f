//! Idempotency keys against clients that choose keys and requests in order to do harm.

use std::collections::BTreeMap;

use engine::command::{Command, CreateHold, PlaceBatch, PlaceOrder};
use engine::outcome::{Outcome, Rejection};

use crate::common::*;
use crate::level::raise;

fn rejected(outcome: Outcome) -> Rejection {
    match outcome {
        Outcome::Rejected(rejection) => rejection,
        other => panic!("not rejected: {other:?}"),
    }
}

/// Orders that differ in their metadata, two of which share the 32-bit hash of level 0. The hash is
/// computed as the engine does it at level 0, which anybody can.
fn pair_with_equal_short_meanings() -> [PlaceOrder; 2] {
    let short = |order: &PlaceOrder| {
        let metadata = order.metadata.as_deref().expect("every order has some");
        let mut bytes = Vec::new();
        // No user, no hold, one line of one unit of product 1, the payment method, the metadata.
        for number in [0, 0, 0, 0, 1, 1, 1, 2, 1, metadata.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(metadata.as_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes) as u32
    };
    let mut seen = BTreeMap::new();
    // Among n requests n²/2^33 pairs share a hash.
    for number in 0..1_000_000 {
        let order = order_with(number);
        if let Some(before) = seen.insert(short(&order), number) {
            return [order_with(before), order];
        }
    }
    panic!("no pair among a million requests");
}

fn order_with(number: u64) -> PlaceOrder {
    PlaceOrder { metadata: Some(format!("{{\"n\":{number}}}").into()), ..keyed("k", &[(1, 1)]) }
}

#[test]
fn requests_that_share_a_32_bit_hash_are_told_apart_from_level_1_on() {
    let [first, second] = pair_with_equal_short_meanings();
    assert_ne!(first, second);
    let mut old = Machine::default();
    old.product("1", 5);
    let id = old.place(first.clone());
    let again = Command::PlaceOrder(second.clone());
    assert_eq!(old.run(again.clone()), Outcome::Replayed(id), "the pair is one for level 0");

    let mut machine = Machine::default();
    machine.run(raise(1));
    machine.product("1", 5);
    let id = machine.place(first.clone());
    for is_restored in [false, true] {
        if is_restored {
            // Meanings are computed again from the rows.
            machine.come_back();
        }
        assert_eq!(rejected(machine.run(again.clone())), Rejection::KeyReused);
        let same = Command::PlaceOrder(first.clone());
        assert_eq!(machine.run(same), Outcome::Replayed(id));
    }

    // In an atomic batch the second one is compared before the first has an order.
    let [first, second] =
        [first, second].map(|order| PlaceOrder { key: Some("b".into()), ..order });
    let batch = PlaceBatch { atomic: true, orders: vec![first, second] };
    let refused = rejected(machine.run(Command::PlaceBatch(batch)));
    let Rejection::BatchRefused { items } = refused else {
        panic!("the batch names one key for two orders")
    };
    assert_eq!(items[..], [(1, Rejection::KeyReused)]);
}

#[test]
fn keys_from_before_level_1_are_replayed_after_it_and_after_a_restart() {
    let mut machine = Machine::default();
    machine.product("1", 50);
    let old = machine.place(keyed("old", &[(1, 1)]));
    let held = machine.make_hold(CreateHold { key: Some("old".into()), ..hold(&[(1, 1)]) });
    let before = machine.state.digest();
    machine.run(raise(1));
    assert_ne!(machine.state.digest(), before);
    let new = machine.place(keyed("new", &[(1, 1)]));
    for is_restored in [false, true] {
        if is_restored {
            machine.come_back();
        }
        for (key, id) in [("old", old), ("new", new)] {
            let same = Command::PlaceOrder(keyed(key, &[(1, 1)]));
            assert_eq!(machine.run(same), Outcome::Replayed(id), "{key}");
            let other = Command::PlaceOrder(keyed(key, &[(1, 2)]));
            assert_eq!(rejected(machine.run(other)), Rejection::KeyReused, "{key}");
        }
        // The hold does not know whether its time to live was named, so both are the same.
        for ttl_is_default in [false, true] {
            let again = CreateHold {
                key: Some("old".into()),
                ttl_is_default: ttl_is_default.into(),
                ..hold(&[(1, 1)])
            };
            assert_eq!(machine.run(Command::CreateHold(again)), Outcome::HoldReplayed(held));
        }
    }
}

#[test]
fn a_hold_is_the_same_request_after_the_default_time_to_live_has_changed() {
    let mut machine = Machine::default();
    machine.run(raise(1));
    machine.product("1", 5);
    let request = |ttl_ms, is_default: bool| CreateHold {
        key: Some("k".into()),
        ttl_ms,
        ttl_is_default: is_default.into(),
        ..hold(&[(1, 1)])
    };
    let id = machine.make_hold(request(100, true));
    for is_restored in [false, true] {
        if is_restored {
            machine.come_back();
        }
        let again = machine.run(Command::CreateHold(request(700, true)));
        assert_eq!(again, Outcome::HoldReplayed(id));
        for named in [100, 700] {
            let named = machine.run(Command::CreateHold(request(named, false)));
            assert_eq!(rejected(named), Rejection::KeyReused);
        }
    }
    assert_eq!(machine.held(id).ttl_ms, 100, "the first default counts");
}

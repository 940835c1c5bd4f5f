//! The door for fuzzers: reads any bytes as a body or as a query string.
//!
//! Only the feature `fuzzing` compiles it. The readers are private to the crate, so a fuzzer
//! outside needs functions that call them and check what they return.

use std::fmt::Write;

use engine::actor::Actor;
use engine::command::{Command, Envelope, Rules};
use engine::ids::{NodeId, Quantity, RequestId};
use engine::order::LINES_MAX;
use engine::trace::TraceId;

use crate::bounds::KEY_CHARS_MAX;
use crate::request::fields::{Errors, Fields, Handling};
use crate::request::json;
use crate::request::query::{PARAMETERS_MAX, Query};
use crate::resources::orders::write::read_order;
use crate::settings::Settings;

/// Reads `bytes` as a body, and as an order; returns whether it is a body.
///
/// # Panics
/// When the body is read differently from how `serde_json` reads it, when its canonical text is
/// not stable, or when an order exceeds a bound or does not survive its encoding.
pub fn body(bytes: &[u8]) -> bool {
    let Ok(object) = json::parse(bytes) else { return false };
    let text = json::canonical(&object);
    let again = json::parse(text.as_bytes()).expect("canonical text is a body");
    assert_eq!(json::canonical(&again), text);
    // `serde_json` has no value for numbers beyond double precision.
    if let Ok(read) = serde_json::from_str::<serde_json::Value>(&text) {
        let sent: serde_json::Value = serde_json::from_slice(bytes).expect("valid JSON");
        assert_eq!(read, sent, "{text}");
    }
    let fields = Fields::of(&object, Handling::Lenient);
    if let Ok(order) = read_order(&fields, None, &Settings::default()) {
        assert!(order.lines.len() <= LINES_MAX, "{order:?}");
        let in_range = |quantity: Quantity| (1..=Quantity::MAX.0).contains(&quantity.0);
        assert!(order.lines.iter().all(|line| in_range(line.quantity)), "{order:?}");
        assert!(order.key.as_ref().is_none_or(|key| key.chars().count() <= KEY_CHARS_MAX));
        let envelope = Envelope {
            request: RequestId { node: NodeId(1), boot: 1, seq: 1 },
            trace: TraceId::Uuid([7; 16]),
            actor: Actor::Nobody,
            command: Command::PlaceOrder(order),
        };
        let read = Envelope::decode(&envelope.encode());
        assert_eq!(read, Ok((Rules::NoParking, envelope)));
    }
    true
}

/// Reads `bytes` as a query string; returns whether it is one.
///
/// # Panics
/// When there are more parameters than are read, an integer is outside of its range, or the
/// parameters change when they are written as a query string again.
pub fn query(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(query) = Query::parse(Some(text)) else { return false };
    assert!(query.pairs().len() <= PARAMETERS_MAX);
    let mut written = String::new();
    for (name, value) in query.pairs() {
        if let Some(number) = query.integer(name, 2..=100, &mut Errors::default()) {
            assert!((2..=100).contains(&number), "{number}");
        }
        for (byte, end) in [(name, '='), (value, '&')] {
            for byte in byte.bytes() {
                write!(written, "%{byte:02X}").expect("text takes everything");
            }
            written.push(end);
        }
    }
    let again = Query::parse(Some(&written)).expect("a query string of our own");
    assert_eq!(again.pairs(), query.pairs());
    true
}

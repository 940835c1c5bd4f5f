//! Deterministic simulation of whole clusters: one thread, and every run is a function of its seed.
//!
//! One loop takes events in the order of simulated time and hands them to three to seven nodes, up
//! to twenty clients and a payment provider. A simulated node runs production's code:
//! [`raft_node::core::Core`], the engine's state, [`raft_node::replica::apply`], the payment
//! worker, the encoding of frames, checkpoints. The simulator replaces only what waits:
//!
//! - disks forget what was not synced;
//! - the network loses, duplicates, delays and cuts;
//! - clocks drift and jump.
//!
//! Each duty of a driver's thread is one event here, so a crash can fall between any two.
//!
//! The simulator reads no real clock, starts no thread, and uses no randomness but its own and no
//! order of a hash map.
//!
//! Reading order: `plan` draws what a seed is about, `world` is the loop, `host` a node, `client` a
//! client, `subscriber` a reader of events, `operator` changes the members, `faults` schedules the
//! faults. `oracle` judges with `engine_model`; `electorate` works out who has a vote.
//!
//! Where new code goes: a command becomes an arm of `engine_model` and an operation of `client`, a
//! duty of the driver becomes an event of `host`, a fault becomes a kind of `plan`.

mod ask;
mod client;
mod clock;
pub mod command_line;
mod coverage;
mod electorate;
mod event;
mod faults;
mod host;
mod look;
mod net;
mod operator;
mod oracle;
mod plan;
mod provider;
mod random;
mod report;
mod sim;
mod subscriber;
mod time;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use raft_node::config::Timings;
use raft_node::simulation;
pub use raft_node::simulation::Bug;

pub use self::coverage::Coverage;
pub use self::report::Report;
pub use self::time::Time;
pub use self::trace::Show;

/// Runs one seed to its end, or to the first violation. A panic of the code under test is a failure
/// of the run, in builds that unwind.
pub fn run(seed: u64, bug: Option<Bug>, show: Show) -> Report {
    run_changed(seed, bug, show, |_| {})
}

/// Runs one seed with five nodes that are `round_trip_ms` apart and have these timings; without
/// scheduled faults if it is `quiet`.
pub fn run_wide(seed: u64, round_trip_ms: u64, timings: Timings, quiet: bool) -> Report {
    run_changed(seed, None, Show::Nothing, |plan| plan.widen(round_trip_ms, timings, quiet))
}

fn run_changed(
    seed: u64,
    bug: Option<Bug>,
    show: Show,
    change: impl FnOnce(&mut plan::Plan),
) -> Report {
    simulation::plant(bug);
    let world = AssertUnwindSafe(|| world::World::new(seed, bug, show, change).run());
    let report = catch_unwind(world).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Report {
            seed,
            failure: Some(format!("panic: {}", text.unwrap_or("of no text"))),
            trace_hash: 0,
            events: 0,
            time: 0,
            first_answer: 0,
            rest: 0,
            coverage: Coverage::default(),
            tail: Vec::new(),
        }
    });
    simulation::plant(None);
    report
}

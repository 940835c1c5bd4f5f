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
//! faults. `oracle` and `model` judge; `electorate` works out who has a vote.
//!
//! Where new code goes: a command becomes an arm of `model` and an operation of `client`, a duty of
//! the driver becomes an event of `host`, a fault becomes a kind of `plan`.

mod ask;
mod client;
mod clock;
pub mod command_line;
mod coverage;
mod electorate;
mod faults;
mod host;
mod model;
mod net;
mod operator;
mod oracle;
mod plan;
mod provider;
mod random;
mod subscriber;
mod trace;
mod world;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::ids::NodeId;
use raft_node::simulation;

use self::ask::{Ask, Reply};
use self::electorate::Electorate;
use self::faults::Mend;
use self::host::{Call, Duty};
use self::net::{Fate, Net};
use self::operator::Operator;
use self::oracle::Oracle;
use self::plan::Plan;
use self::provider::Provider;
use self::random::Random;
use self::subscriber::{Heard, Wanted};
use self::trace::Trace;

pub use self::coverage::Coverage;
pub use self::trace::Show;
pub use raft_node::simulation::Bug;

/// Simulated microseconds since the run began.
pub type Time = u64;

/// A simulated millisecond.
pub(crate) const MS: Time = 1_000;
/// A simulated second.
pub(crate) const SECOND: Time = 1_000 * MS;

/// The name of simulated clusters.
pub(crate) const CLUSTER: &str = "sim";

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed it is a function of.
    pub seed: u64,
    /// What went wrong, if anything did.
    pub failure: Option<String>,
    /// A hash of everything that happened.
    pub trace_hash: u64,
    /// Events that the loop took.
    pub events: u64,
    /// How long it was, in simulated microseconds.
    pub time: Time,
    /// How long after the faults the first request was answered, as far as it came to that.
    pub first_answer: Time,
    /// How long after the faults the cluster was at rest, or the run ended.
    pub rest: Time,
    /// What it did and saw.
    pub coverage: Coverage,
    /// The last lines of its trace, if they were kept.
    pub tail: Vec<String>,
}

impl Report {
    /// The command that runs this seed again, with every event shown.
    pub fn replay_command(&self) -> String {
        format!(
            "cargo run --release -p raft-node --example simulate -- --seed {} --trace",
            self.seed
        )
    }
}

/// Runs one seed to its end, or to the first thing that must not be. A panic of the code under test
/// is a failure of the run, where panics unwind.
pub fn run(seed: u64, bug: Option<Bug>, show: Show) -> Report {
    simulation::plant(bug);
    let world = AssertUnwindSafe(|| world::World::new(seed, bug, show).run());
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

/// What can happen.
#[derive(Debug)]
enum Event {
    /// A frame arrives.
    Frame { from: NodeId, to: NodeId, bytes: Vec<u8> },
    /// A node learns that its link to a peer broke.
    LinkBroke { node: NodeId, peer: NodeId },
    /// Something that a process of a node waits for. The life tells the processes of a node apart.
    Node { node: NodeId, life: u64, duty: Duty },
    /// A client's request arrives.
    Asked { node: NodeId, client: usize, attempt: u64, ask: Ask },
    /// An answer arrives at its client.
    Answered { client: usize, attempt: u64, reply: Reply },
    /// A client stops waiting for an answer.
    GivenUp { client: usize, attempt: u64 },
    /// A client does what is next.
    Act { client: usize },
    /// A subscriber asks for the next events.
    Follow { subscriber: usize },
    /// Its request arrives.
    Followed { node: NodeId, wanted: Wanted },
    /// Its answer arrives.
    Told { subscriber: usize, attempt: u64, heard: Heard },
    /// It stops waiting for one.
    Forsaken { subscriber: usize, attempt: u64 },
    /// A request arrives at the payment provider.
    ProviderAsked { call: Call },
    /// A stopped node starts.
    Restart { node: NodeId },
    /// A paused node goes on.
    Resume { node: NodeId },
    /// The replicated clock is compared with those of the nodes.
    WatchClocks,
    /// The operator looks what there is to do.
    Operate,
    /// The schedule's next fault.
    Fault,
    /// A fault ends, or goes on to its next step.
    Mend(Mend),
    /// All faults end.
    Rest,
    /// Looks whether the cluster has come to rest.
    Settled,
}

impl Event {
    /// What the trace's hash takes for it, with the node or client that it is about.
    fn kind(&self) -> (u64, u64) {
        match self {
            Event::Frame { from, to, .. } => (1, from.0 << 8 | to.0),
            Event::LinkBroke { node, peer } => (2, node.0 << 8 | peer.0),
            Event::Node { node, duty, .. } => (16 + duty.kind(), node.0),
            Event::Asked { node, client, .. } => (3, node.0 << 8 | *client as u64),
            Event::Answered { client, .. } => (4, *client as u64),
            Event::GivenUp { client, .. } => (5, *client as u64),
            Event::Act { client } => (6, *client as u64),
            Event::ProviderAsked { call } => (7, call.node.0),
            Event::Restart { node } => (8, node.0),
            Event::Resume { node } => (9, node.0),
            Event::Fault => (10, 0),
            Event::Mend(_) => (11, 0),
            Event::Rest => (12, 0),
            Event::Settled => (13, 0),
            Event::WatchClocks => (14, 0),
            Event::Operate => (15, 0),
            Event::Follow { subscriber } => (40, *subscriber as u64),
            Event::Followed { node, wanted } => (41, node.0 << 8 | wanted.subscriber as u64),
            Event::Told { subscriber, .. } => (42, *subscriber as u64),
            Event::Forsaken { subscriber, .. } => (43, *subscriber as u64),
        }
    }

    /// The node that has to be awake for it.
    fn needs(&self) -> Option<NodeId> {
        match self {
            Event::Frame { to, .. } => Some(*to),
            Event::LinkBroke { node, .. }
            | Event::Node { node, .. }
            | Event::Asked { node, .. }
            | Event::Followed { node, .. } => Some(*node),
            _ => None,
        }
    }
}

/// An event and its place in time; equal times go by the order of planning.
struct Planned {
    at: Time,
    seq: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// What all parts of a run share.
struct Sim {
    now: Time,
    queue: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    random: Random,
    trace: Trace,
    cover: Coverage,
    plan: Plan,
    net: Net,
    oracle: Oracle,
    electorate: Electorate,
    operator: Operator,
    provider: Provider,
    bug: Option<Bug>,
    /// The furthest that the replicated clock may have come, and when that was looked at.
    clock_bound: (Time, u64),
    /// Faults are over.
    resting: bool,
    failure: Option<String>,
}

impl Sim {
    /// Plans an event.
    fn after(&mut self, delay: Time, event: Event) {
        self.planned += 1;
        let planned = Planned { at: self.now + delay, seq: self.planned, event };
        self.queue.push(Reverse(planned));
    }

    /// A node for somebody outside to turn to. At rest those who are left know the members.
    fn some_node(&mut self) -> NodeId {
        match self.resting && self.plan.spares > 0 {
            true => self.random.pick(&self.electorate.now().members).id,
            false => NodeId(1 + self.random.below((self.plan.nodes + self.plan.spares) as u64)),
        }
    }

    /// The first failure ends the run.
    fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.say(|| format!("FAILURE {what}"));
        self.failure.get_or_insert(what);
    }

    fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(what);
        }
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.say(self.now, line);
    }

    fn planted(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Sends a frame between two nodes.
    fn transmit(&mut self, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        match self.net.send(self.now, from, to, &mut self.random) {
            Fate::Cut => {
                self.cover.frames_cut += 1;
                // A connection that carries nothing is noticed sooner or later.
                if self.random.percent(2) {
                    self.after(100 * MS, Event::LinkBroke { node: from, peer: to });
                }
            }
            Fate::Lost => {
                self.cover.frames_lost += 1;
                if self.random.percent(10) {
                    self.after(10 * MS, Event::LinkBroke { node: from, peer: to });
                }
            }
            Fate::Arrives { at, again_at, overtakes, damaged } => {
                self.cover.frames_reordered += u64::from(overtakes);
                if let Some(again_at) = again_at {
                    self.cover.frames_duplicated += 1;
                    let event = Event::Frame { from, to, bytes: bytes.clone() };
                    self.after(again_at - self.now, event);
                }
                let mut bytes = bytes;
                if damaged {
                    let bit = self.random.index(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                self.after(at - self.now, Event::Frame { from, to, bytes });
            }
        }
    }

    /// Sends an answer to a subscriber.
    fn tell(&mut self, wanted: Wanted, heard: Heard) {
        let Wanted { subscriber, attempt, .. } = wanted;
        if self.random.ppm(self.plan.client_loss_ppm) {
            return;
        }
        let delay = 50 + self.random.waiting(500);
        self.after(delay, Event::Told { subscriber, attempt, heard });
    }

    /// Sends an answer to a client.
    fn reply(&mut self, client: usize, attempt: u64, reply: Reply) {
        if self.random.ppm(self.plan.client_loss_ppm) {
            return;
        }
        let delay = 50 + self.random.waiting(500);
        self.after(delay, Event::Answered { client, attempt, reply });
    }
}

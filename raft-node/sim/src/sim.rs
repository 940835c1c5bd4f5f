//! What all parts of a run share: the time, the queue of events, the randomness, the judges.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use engine::ids::NodeId;
use raft_node::simulation::Bug;

use crate::ask::Reply;
use crate::coverage::Coverage;
use crate::electorate::Electorate;
use crate::event::{Event, Heard, Planned, Wanted};
use crate::net::{Fate, Net};
use crate::operator::task::Operator;
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::provider::Provider;
use crate::random::Random;
use crate::time::{MS, Time};
use crate::trace::Trace;

/// The name of simulated clusters.
pub(crate) const CLUSTER: &str = "sim";

/// What all parts of a run share.
pub(crate) struct Sim {
    pub(crate) now: Time,
    pub(crate) queue: BinaryHeap<Reverse<Planned>>,
    pub(crate) planned: u64,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) cover: Coverage,
    pub(crate) plan: Plan,
    pub(crate) net: Net,
    pub(crate) oracle: Oracle,
    pub(crate) electorate: Electorate,
    pub(crate) operator: Operator,
    /// Where each node is.
    pub(crate) addresses: BTreeMap<NodeId, String>,
    pub(crate) provider: Provider,
    pub(crate) bug: Option<Bug>,
    /// The highest value that the replicated clock may have, and the time of that bound.
    pub(crate) clock_bound: (Time, u64),
    /// The sleep of all machines, if there was one.
    pub(crate) slept: Option<Slept>,
    /// The faults are over.
    pub(crate) resting: bool,
    pub(crate) failure: Option<String>,
}

/// A sleep of all machines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slept {
    /// When they woke.
    pub(crate) at: Time,
    /// The highest value that the replicated clock may have had then.
    pub(crate) clock_max: u64,
    /// Whether only an operator may let the clock take the time.
    pub(crate) needs_operator: bool,
}

impl Sim {
    /// Plans an event.
    pub(crate) fn after(&mut self, delay: Time, event: Event) {
        self.planned += 1;
        let planned = Planned { at: self.now + delay, seq: self.planned, event };
        self.queue.push(Reverse(planned));
    }

    /// Draws a node for a caller outside the cluster. At rest callers know the members.
    pub(crate) fn some_node(&mut self) -> NodeId {
        match self.resting && self.plan.spares > 0 {
            true => self.random.pick(&self.electorate.now().members).id,
            false => NodeId(1 + self.random.below((self.plan.nodes + self.plan.spares) as u64)),
        }
    }

    /// Fails the run. The first failure counts.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.say(|| format!("FAILURE {what}"));
        self.failure.get_or_insert(what);
    }

    pub(crate) fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(what);
        }
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.say(self.now, line);
    }

    pub(crate) fn planted(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Draws how long a fault lasts.
    pub(crate) fn fault_lasts(&mut self) -> Time {
        20 * MS + self.random.waiting(self.plan.fault_lasts_us)
    }

    /// Sends a frame with a part of a snapshot between two nodes.
    pub(crate) fn transmit_part(&mut self, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        let takes = bytes.len() as u64 * MS / self.plan.link_bytes_per_ms;
        let fate = self.net.send_part(self.now, (from, to), takes, &mut self.random);
        self.meet_fate(fate, from, to, bytes);
    }

    /// Sends a frame between two nodes.
    pub(crate) fn transmit(&mut self, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        let fate = self.net.send(self.now, from, to, &mut self.random);
        self.meet_fate(fate, from, to, bytes);
    }

    fn meet_fate(&mut self, fate: Fate, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        match fate {
            Fate::Cut => {
                self.cover.frames_cut += 1;
                // An idle connection over a cut link breaks sooner or later.
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
    pub(crate) fn tell(&mut self, wanted: Wanted, heard: Heard) {
        let Wanted { subscriber, attempt, .. } = wanted;
        if self.random.ppm(self.plan.client_loss_ppm) {
            return;
        }
        let delay = 50 + self.random.waiting(500);
        self.after(delay, Event::Told { subscriber, attempt, heard });
    }

    /// Sends an answer to a client.
    pub(crate) fn reply(&mut self, client: usize, attempt: u64, reply: Reply) {
        if self.random.ppm(self.plan.client_loss_ppm) {
            return;
        }
        let delay = 50 + self.random.waiting(500);
        self.after(delay, Event::Answered { client, attempt, reply });
    }
}

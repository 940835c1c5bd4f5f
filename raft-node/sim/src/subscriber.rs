//! A subscriber of events: reads page after page, and continues at any node after the last event
//! that it received.
//!
//! Whatever crashes, it must receive each event once and in order. If it comes so late that the
//! node has removed some, it is told so, and where it can continue.

use engine::event::EventId;
use engine::ids::NodeId;

use crate::event::{Event, Heard, Wanted};
use crate::sim::Sim;
use crate::time::{MS, SECOND};

pub(super) struct Subscriber {
    id: usize,
    node: NodeId,
    /// Number of events that it received or was told are gone.
    pub(super) heard: usize,
    last: EventId,
    attempt: u64,
}

impl Subscriber {
    pub(super) fn new(id: usize) -> Subscriber {
        Subscriber { id, node: NodeId(1), heard: 0, last: EventId::default(), attempt: 0 }
    }

    /// Requests the events since the last one.
    pub(super) fn ask(&mut self, sim: &mut Sim) {
        self.attempt += 1;
        let (subscriber, attempt) = (self.id, self.attempt);
        let limit = match sim.resting {
            true => 1_000,
            false => sim.random.between(1, sim.plan.event_page_max) as usize,
        };
        let wanted = Wanted { subscriber, attempt, after: self.last, limit };
        let node = self.node;
        sim.say(|| format!("s{subscriber} asks n{node} {attempt}: {limit} after {}", wanted.after));
        let patience = SECOND + sim.random.below(SECOND);
        sim.after(patience, Event::Forsaken { subscriber, attempt });
        if !sim.random.ppm(sim.plan.client_loss_ppm) {
            let delay = 50 + sim.random.waiting(500);
            sim.after(delay, Event::Followed { node, wanted });
        }
    }

    /// Times out.
    pub(super) fn forsaken(&mut self, sim: &mut Sim, attempt: u64) {
        if self.attempt == attempt {
            self.heard(sim, attempt, Heard::HungUp);
        }
    }

    /// Takes an answer.
    pub(super) fn heard(&mut self, sim: &mut Sim, attempt: u64, heard: Heard) {
        if self.attempt != attempt {
            return;
        }
        // Other answers to this attempt are ignored.
        self.attempt += 1;
        let mut pause = sim.random.waiting(sim.plan.think_us).min(2 * SECOND);
        match heard {
            Heard::Events(events) => {
                let expected = &sim.oracle.events[self.heard..];
                if !expected.starts_with(&events) {
                    let (id, last) = (self.id, self.last);
                    let expected = &expected[..expected.len().min(events.len())];
                    let what = format!(
                        "subscriber {id} heard {events:?} after {last} instead of {expected:?}"
                    );
                    return sim.fail(what);
                }
                self.heard += events.len();
                sim.cover.events_heard += events.len() as u64;
                if let Some(last) = events.last() {
                    self.last = last.id();
                    pause /= 4;
                }
                // Some connections close without need.
                if sim.random.percent(5) {
                    self.move_on(sim);
                }
            }
            Heard::Gone { floor, gone } => {
                sim.cover.subscribers_too_late += 1;
                self.heard = gone;
                self.last = floor;
            }
            Heard::HungUp => {
                self.move_on(sim);
                pause = 10 * MS + sim.random.waiting(100 * MS);
            }
        }
        if sim.resting {
            pause = pause.min(100 * MS);
        } else if sim.random.percent(2) {
            // Some subscribers fall far behind.
            pause += sim.random.below(30 * SECOND);
        }
        sim.after(pause, Event::Follow { subscriber: self.id });
    }

    fn move_on(&mut self, sim: &mut Sim) {
        let node = sim.some_node();
        if node != self.node && self.heard > 0 {
            sim.cover.subscribers_moved += 1;
        }
        self.node = node;
    }
}

//! The front door: proposals, reads, and their answers.

use engine::checkpoint;
use engine::command::{Command, Envelope};
use engine::ids::Position;
use engine::outcome::Outcome;
use engine::trace::TraceId;

use super::*;
use crate::core::{Failure, ReadTicket, Request};
use crate::payment::worker::BatchId;
use crate::replica::Applied;
use crate::sim::ask::{Ask, Freshness, Look, Reply, look};

/// Who waits for the outcome of a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    Client {
        client: usize,
        attempt: u64,
    },
    /// This node's payment worker.
    Payments(BatchId),
}

/// A client that waits to read.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) client: usize,
    pub(super) attempt: u64,
    what: Look,
    linearizable: bool,
    deadline_ms: u64,
}

impl Host {
    /// A client's request arrives.
    pub(in crate::sim) fn asked(&mut self, sim: &mut Sim, client: usize, attempt: u64, ask: Ask) {
        if self.up.is_none() {
            return sim.reply(client, attempt, Reply::ConnectionRefused);
        }
        match ask {
            Ask::Command(command) => {
                let trace = TraceId::parse(&format!("c{client}-{attempt}"));
                let trace = trace.expect("printable and short");
                let waiter = Waiter::Client { client, attempt };
                if !self.propose(sim, command, trace, waiter, sim.plan.request_timeout_ms) {
                    sim.reply(client, attempt, Reply::NotApplied);
                }
            }
            Ask::Read(what, freshness) => self.read(sim, client, attempt, what, freshness),
        }
    }

    /// Registers a command and gives it to the core. False when that is refused at once.
    pub(super) fn propose(
        &mut self,
        sim: &mut Sim,
        command: Command,
        trace: TraceId,
        waiter: Waiter,
        timeout_ms: u64,
    ) -> bool {
        let now = self.clock.now(sim.now);
        let Some(process) = &mut self.up else { return false };
        if process.stopping.is_some() {
            return false;
        }
        if process.waiting.len() >= sim.plan.core.outstanding_max {
            sim.cover.overloaded += 1;
            return false;
        }
        let seq = process.next_seq;
        process.next_seq += 1;
        let request = RequestId { node: self.id, boot: process.boot, seq };
        process.waiting.insert(seq, (request, waiter));
        sim.say(|| format!("n{} proposes {seq}: {command:?}", self.id));
        let command = Envelope { request, trace, command }.encode().into();
        let deadline_ms = now.mono_ms + timeout_ms;
        self.mail(sim, Input::Propose(Request { seq, command, deadline_ms }));
        true
    }

    /// A request of this node was applied.
    pub(super) fn answer(&mut self, sim: &mut Sim, seq: u64, applied: Applied) {
        let Some(process) = &mut self.up else { return };
        let Some((request, waiter)) = process.waiting.remove(&seq) else { return };
        sim.say(|| {
            format!("n{} answers {seq} at {}: {:?}", self.id, applied.position, applied.outcome)
        });
        let judged = sim.oracle.answers(request, &applied);
        sim.check(judged);
        match waiter {
            Waiter::Client { client, attempt } => {
                sim.cover.answered += 1;
                let rejected = matches!(applied.outcome, Outcome::Rejected(_));
                sim.cover.rejected += u64::from(rejected);
                sim.reply(client, attempt, Reply::Applied(Box::new(applied)));
            }
            Waiter::Payments(batch) => self.proposed(sim, batch, Some(applied.outcome)),
        }
    }

    /// The core gave up on requests.
    pub(super) fn requests_failed(&mut self, sim: &mut Sim, failed: Vec<(u64, Failure)>) {
        for (seq, failure) in failed {
            let Some(process) = &mut self.up else { return };
            let Some((request, waiter)) = process.waiting.remove(&seq) else { continue };
            sim.say(|| format!("n{} gives {seq} up: {failure:?}", self.id));
            let reply = match failure {
                Failure::NoLeader | Failure::Overloaded => {
                    sim.cover.not_applied += 1;
                    sim.cover.overloaded += u64::from(failure == Failure::Overloaded);
                    let judged = sim.oracle.ruled_out(request);
                    sim.check(judged);
                    Reply::NotApplied
                }
                Failure::Unknown => {
                    sim.cover.unknown += 1;
                    sim.oracle.in_doubt(request);
                    Reply::Unknown
                }
            };
            match waiter {
                Waiter::Client { client, attempt } => sim.reply(client, attempt, reply),
                Waiter::Payments(batch) => self.proposed(sim, batch, None),
            }
        }
    }

    fn read(
        &mut self,
        sim: &mut Sim,
        client: usize,
        attempt: u64,
        what: Look,
        freshness: Freshness,
    ) {
        let deadline_ms = self.clock.now(sim.now).mono_ms + sim.plan.request_timeout_ms;
        let linearizable = freshness == Freshness::Linearizable;
        let reader = Reader { client, attempt, what, linearizable, deadline_ms };
        match freshness {
            Freshness::Linearizable if sim.planted(Bug::ReadWithoutBarrier) => {
                self.serve(sim, reader);
            }
            Freshness::Linearizable => {
                let Some(process) = &mut self.up else { return };
                let ticket = process.next_ticket;
                process.next_ticket += 1;
                process.readers.insert(ticket, reader);
                self.mail(sim, Input::Read { ticket, deadline_ms });
            }
            Freshness::Stale => self.serve(sim, reader),
            Freshness::AtLeast(position) => self.serve_at(sim, position, reader),
        }
    }

    /// These reads may be served once the state has reached the index.
    pub(super) fn barriers_passed(&mut self, sim: &mut Sim, index: u64, tickets: &[ReadTicket]) {
        for ticket in tickets {
            let Some(process) = &mut self.up else { return };
            let Some(reader) = process.readers.remove(ticket) else { continue };
            if sim.planted(Bug::ReadBeforeApplied) {
                self.serve(sim, reader);
            } else {
                self.serve_at(sim, Position::new(index, 0), reader);
            }
        }
    }

    pub(super) fn barriers_failed(&mut self, sim: &mut Sim, tickets: &[ReadTicket]) {
        for ticket in tickets {
            let Some(process) = &mut self.up else { return };
            if let Some(reader) = process.readers.remove(ticket) {
                refuse(sim, &reader);
            }
        }
    }

    fn serve_at(&mut self, sim: &mut Sim, position: Position, reader: Reader) {
        let Some(process) = &mut self.up else { return };
        if process.state.applied_index() >= position.index() {
            return self.serve(sim, reader);
        }
        process.readers_at.entry(position.index()).or_default().push(reader);
    }

    /// The state has reached an index.
    pub(super) fn reached(&mut self, sim: &mut Sim, index: u64) {
        let Some(process) = &mut self.up else { return };
        let later = process.readers_at.split_off(&(index + 1));
        let due = std::mem::replace(&mut process.readers_at, later);
        for reader in due.into_values().flatten() {
            self.serve(sim, reader);
        }
    }

    /// At every tick: readers whose time is over.
    pub(super) fn expire_readers(&mut self, sim: &mut Sim) {
        let now_ms = self.clock.now(sim.now).mono_ms;
        let Some(process) = &mut self.up else { return };
        let mut late = Vec::new();
        for readers in process.readers_at.values_mut() {
            late.extend(readers.extract_if(.., |reader| reader.deadline_ms <= now_ms));
        }
        process.readers_at.retain(|_, readers| !readers.is_empty());
        late.iter().for_each(|reader| refuse(sim, reader));
    }

    /// Reads the local state and answers. What it shows is compared with the model at the same
    /// place.
    fn serve(&mut self, sim: &mut Sim, reader: Reader) {
        let Some(process) = &mut self.up else { return };
        let index = process.state.applied_index();
        let looked = look(&sim.oracle, &process.state, &reader.what);
        match looked {
            Err(what) => return sim.fail(format!("node {} shows {what}", self.id)),
            Ok(None) => {}
            Ok(Some(id)) => {
                sim.cover.orders_read_from_store += 1;
                match checkpoint::read_order(&*self.store, id) {
                    Ok(Some(order)) => {
                        let at = super::super::oracle::end_of(index);
                        let judged = sim.oracle.check_order(&order, at);
                        sim.check(judged);
                    }
                    Err(_) if self.disk.checkpoint_damaged => return refuse(sim, &reader),
                    other => {
                        let what = format!("node {}: order {id} is stored: {other:?}", self.id);
                        return sim.fail(what);
                    }
                }
            }
        }
        sim.cover.reads += u64::from(reader.linearizable);
        let is_list = matches!(reader.what, Look::List(_) | Look::Catalogue);
        sim.cover.lists += u64::from(is_list);
        sim.reply(reader.client, reader.attempt, Reply::Read { index });
    }
}

fn refuse(sim: &mut Sim, reader: &Reader) {
    sim.cover.reads_refused += 1;
    sim.reply(reader.client, reader.attempt, Reply::ReadRefused);
}

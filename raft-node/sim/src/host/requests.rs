//! The front door: proposals, reads, and their answers.

use engine::actor::Actor;
use engine::command::{Command, Envelope};
use engine::ids::{Position, Timestamp, TokenId};
use engine::outcome::{Outcome, Rejection};
use engine::trace::TraceId;
use raft_node::core::{NoOutcome, ReadTicket, ReadsReady, Request};
use raft_node::replica::Applied;
use raft_node::simulation::{is_order_or_hold, refusal};

use super::waiting::{Purpose, Reader, Waiter};
use super::*;
use crate::ask::{Ask, Freshness, Look, Reply};
use crate::look::look;
use crate::oracle::Stand;

impl Host {
    /// Takes a client's request.
    pub(crate) fn asked(&mut self, sim: &mut Sim, client: usize, attempt: u64, ask: Ask) {
        if self.up.is_none() {
            return sim.reply(client, attempt, Reply::ConnectionRefused);
        }
        match ask {
            Ask::Command(command) if is_order_or_hold(&command) => {
                self.place(sim, client, attempt, command);
            }
            Ask::Command(command) => {
                let deadline_ms = self.deadline_ms(sim, sim.plan.request_timeout_ms);
                self.ask_log(sim, client, attempt, command, deadline_ms);
            }
            Ask::Read(what, freshness) => self.read(sim, client, attempt, what, freshness),
        }
    }

    /// Refuses orders or a hold without an entry if they would surely be refused.
    /// It decides like production's handle: a look, a barrier, and a second look that counts.
    fn place(&mut self, sim: &mut Sim, client: usize, attempt: u64, command: Command) {
        let deadline_ms = self.deadline_ms(sim, sim.plan.request_timeout_ms);
        let Some(process) = &mut self.up else { return };
        if process.stopping.is_none() && refusal(&process.state, &command, Timestamp(0)).is_some() {
            let without = sim.planted(Bug::SoldOutWithoutBarrier);
            let own = Timestamp(self.clock.now(sim.now).wall_ms);
            let purpose = Purpose::Refuse {
                command: Box::new(command),
                now: without.then_some(own),
                asked: sim.oracle.model.clock,
            };
            let reader = Reader { client, attempt, purpose, deadline_ms };
            return match without {
                true => self.serve(sim, reader),
                false => self.ask_barrier(sim, reader),
            };
        }
        self.ask_log(sim, client, attempt, command, deadline_ms);
    }

    fn ask_log(
        &mut self,
        sim: &mut Sim,
        client: usize,
        attempt: u64,
        command: Command,
        deadline_ms: u64,
    ) {
        let trace = TraceId::parse(&format!("c{client}-{attempt}"));
        let trace = trace.expect("printable and short");
        let waiter = Waiter::Client { client, attempt };
        if !self.propose(sim, command, trace, waiter, deadline_ms) {
            sim.reply(client, attempt, Reply::NotApplied);
        }
    }

    /// The moment on this node's monotonic clock after this many milliseconds.
    pub(super) fn deadline_ms(&self, sim: &Sim, timeout_ms: u64) -> u64 {
        self.clock.now(sim.now).mono_ms + timeout_ms
    }

    /// Registers a command and gives it to the core. Returns false if it is refused at once.
    pub(super) fn propose(
        &mut self,
        sim: &mut Sim,
        command: Command,
        trace: TraceId,
        waiter: Waiter,
        deadline_ms: u64,
    ) -> bool {
        let Some(process) = &mut self.up else { return false };
        if process.stopping.is_some() {
            return false;
        }
        if process.waiting.len() >= sim.plan.core.outstanding_max {
            sim.cover.overloaded += 1;
            return false;
        }
        let actor = match waiter {
            Waiter::Client { .. } => some_actor(sim, self.id),
            Waiter::Payments(_) => Actor::System,
        };
        if command.level() > process.state.level() {
            sim.cover.level_too_low += 1;
            return false;
        }
        let seq = process.next_seq;
        process.next_seq += 1;
        let request = RequestId { node: self.id, boot: process.boot, seq };
        process.waiting.insert(seq, (request, waiter));
        sim.say(|| format!("n{} proposes {seq}: {command:?}", self.id));
        let (level, adds_rows) = (process.state.level(), command.adds_rows());
        let envelope = Envelope { request, trace, actor, command }.encode_at(level).into();
        self.mail(sim, Input::Propose(Request { seq, envelope, adds_rows, deadline_ms }));
        true
    }

    /// Takes the outcome of this node's request.
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
            Waiter::Payments(proposal) => self.proposed(sim, proposal, Some(applied.outcome)),
        }
    }

    /// Takes requests that the core gave up.
    pub(super) fn requests_failed(&mut self, sim: &mut Sim, failed: Vec<(u64, NoOutcome)>) {
        for (seq, failure) in failed {
            let Some(process) = &mut self.up else { return };
            let Some((request, waiter)) = process.waiting.remove(&seq) else { continue };
            sim.say(|| format!("n{} gives {seq} up: {failure:?}", self.id));
            let reply = match failure {
                NoOutcome::NoLeader
                | NoOutcome::Overloaded
                | NoOutcome::StorageFull
                | NoOutcome::Stalled => {
                    sim.cover.not_applied += 1;
                    sim.cover.overloaded += u64::from(failure == NoOutcome::Overloaded);
                    sim.cover.refused_for_room += u64::from(failure == NoOutcome::StorageFull);
                    sim.cover.refused_for_stall += u64::from(failure == NoOutcome::Stalled);
                    let judged = sim.oracle.ruled_out(request);
                    sim.check(judged);
                    Reply::NotApplied
                }
                NoOutcome::Unknown => {
                    sim.cover.unknown += 1;
                    sim.oracle.in_doubt(request);
                    Reply::Unknown
                }
            };
            match waiter {
                Waiter::Client { client, attempt } => sim.reply(client, attempt, reply),
                Waiter::Payments(proposal) => self.proposed(sim, proposal, None),
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
        let deadline_ms = self.deadline_ms(sim, sim.plan.request_timeout_ms);
        let linearizable = freshness == Freshness::Linearizable;
        let purpose = Purpose::Show { what, linearizable };
        let reader = Reader { client, attempt, purpose, deadline_ms };
        match freshness {
            Freshness::Linearizable if sim.planted(Bug::ReadWithoutBarrier) => {
                self.serve(sim, reader);
            }
            Freshness::Linearizable => self.ask_barrier(sim, reader),
            Freshness::Stale => self.serve(sim, reader),
            Freshness::AtLeast(position) => self.serve_at(sim, position, reader),
        }
    }

    fn ask_barrier(&mut self, sim: &mut Sim, reader: Reader) {
        let Some(process) = &mut self.up else { return };
        let (ticket, deadline_ms) = (process.next_ticket, reader.deadline_ms);
        process.next_ticket += 1;
        process.readers.insert(ticket, reader);
        self.mail(sim, Input::Read { ticket, deadline_ms });
    }

    /// Serves these reads once the state has reached the index.
    pub(super) fn barriers_passed(&mut self, sim: &mut Sim, ready: &ReadsReady) {
        let ReadsReady { index, leader_clock, tickets } = ready;
        let index = *index;
        for ticket in tickets {
            let Some(process) = &mut self.up else { return };
            let Some(mut reader) = process.readers.remove(ticket) else { continue };
            if let Purpose::Refuse { now, .. } = &mut reader.purpose {
                *now = *leader_clock;
            }
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
                self.refuse(sim, reader);
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

    /// Serves the readers that wait for an index, which the state has reached.
    pub(super) fn reached(&mut self, sim: &mut Sim, index: u64) {
        let Some(process) = &mut self.up else { return };
        let later = process.readers_at.split_off(&(index + 1));
        let due = std::mem::replace(&mut process.readers_at, later);
        for reader in due.into_values().flatten() {
            self.serve(sim, reader);
        }
    }

    /// At every tick: refuses readers past their deadline.
    pub(super) fn expire_readers(&mut self, sim: &mut Sim) {
        let now_ms = self.clock.now(sim.now).mono_ms;
        let Some(process) = &mut self.up else { return };
        let mut late = Vec::new();
        for readers in process.readers_at.values_mut() {
            late.extend(readers.extract_if(.., |reader| reader.deadline_ms <= now_ms));
        }
        process.readers_at.retain(|_, readers| !readers.is_empty());
        for reader in late {
            self.refuse(sim, reader);
        }
    }

    /// Reads the local state and answers.
    fn serve(&mut self, sim: &mut Sim, reader: Reader) {
        let Reader { client, attempt, purpose, deadline_ms } = reader;
        match purpose {
            Purpose::Show { what, linearizable } => {
                self.show(sim, client, attempt, &what, linearizable);
            }
            Purpose::Refuse { command, now, asked } => {
                let Some(process) = &mut self.up else { return };
                let (index, clock) = (process.state.applied_index(), process.state.clock());
                let refused =
                    now.and_then(|now| Some((refusal(&process.state, &command, now)?, now)));
                let Some((outcome, now)) = refused else {
                    return self.ask_log(sim, client, attempt, *command, deadline_ms);
                };
                let stand = Stand { index, clock, now, asked };
                sim.say(|| format!("n{} refuses {attempt} of c{client}: {outcome:?}", self.id));
                let judged = sim.oracle.refused_without_entry(&command, &outcome, stand);
                sim.check(judged.map_err(|what| format!("node {}: {what}", self.id)));
                let is_hold = matches!(*command, Command::CreateHold(_));
                let is_batch = matches!(*command, Command::PlaceBatch(_));
                sim.cover.refused_without_entry += 1;
                sim.cover.not_open_without_entry +=
                    u64::from(matches!(outcome, Outcome::Rejected(Rejection::SaleNotOpen { .. })));
                sim.cover.closed_without_entry +=
                    u64::from(matches!(outcome, Outcome::Rejected(Rejection::SaleClosed { .. })));
                sim.cover.holds_refused_without_entry += u64::from(is_hold);
                sim.cover.batches_refused_without_entry += u64::from(is_batch);
                sim.reply(client, attempt, Reply::SoldOut { index });
            }
        }
    }

    /// Shows what a client wants to see, compared with the model at the same position.
    fn show(
        &mut self,
        sim: &mut Sim,
        client: usize,
        attempt: u64,
        what: &Look,
        linearizable: bool,
    ) {
        let Some(process) = &mut self.up else { return };
        let index = process.state.applied_index();
        match look(&sim.oracle, &process.state, &*self.store, what) {
            Err(what) => return sim.fail(format!("node {} shows {what}", self.id)),
            Ok(stored) => sim.cover.rows_read_from_store += stored,
        }
        sim.cover.reads += u64::from(linearizable);
        sim.cover.lists += u64::from(matches!(what, Look::List(..) | Look::Catalogue));
        sim.cover.ledgers += u64::from(matches!(what, Look::Ledger { .. }));
        sim.cover.reports_read += u64::from(matches!(what, Look::Report(_)));
        sim.reply(client, attempt, Reply::Read { index });
    }

    /// Without a barrier in time a read is refused, and an order goes to the log.
    fn refuse(&mut self, sim: &mut Sim, reader: Reader) {
        let Reader { client, attempt, purpose, deadline_ms } = reader;
        match purpose {
            Purpose::Show { .. } => {
                sim.cover.reads_refused += 1;
                sim.reply(client, attempt, Reply::ReadRefused);
            }
            Purpose::Refuse { command, .. } => {
                self.ask_log(sim, client, attempt, *command, deadline_ms);
            }
        }
    }
}

/// Who sends a client's request: mostly an operator, some with a token that may be gone, some
/// nobody. At rest every request must succeed.
fn some_actor(sim: &mut Sim, node: NodeId) -> Actor {
    let known = sim.oracle.model.tokens.len() as u64;
    match sim.random.below(20) {
        _ if sim.resting || known == 0 => Actor::Root(node),
        0 => Actor::Nobody,
        1 | 2 => Actor::Token(TokenId(sim.random.between(1, known + 1))),
        _ => Actor::Root(node),
    }
}

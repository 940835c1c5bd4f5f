//! The payment task: polls the worker, proposes what it decides, makes its calls.

use engine::outcome::Outcome;
use engine::trace::TraceId;
use raft_node::payment::worker::ProposalId;
use raft_node::payment::{Answer, Charge};

use super::waiting::Waiter;
use super::*;
use crate::event::Call;

/// How long a claim or result may take to be applied before it counts as lost, as in production.
const PROPOSAL_TIMEOUT_MS: u64 = 3_000;

impl Host {
    pub(super) fn poll_payments(&mut self, sim: &mut Sim) {
        let poll_us = self.clock.true_us(sim.plan.payments.poll_ms * MS);
        self.after(sim, poll_us, Duty::Poll);
        let Some(process) = &mut self.up else { return };
        if process.stopping.is_some() {
            return;
        }
        let clock = process.view.clock.max(process.state.clock());
        let state = &process.state;
        let leads = process.view.leads_in_term;
        let commands =
            process.worker.poll(leads, |after, limit| state.due_payments(clock, after, limit));
        for (proposal, command) in commands {
            let waiter = Waiter::Payments(proposal);
            let deadline_ms = self.deadline_ms(sim, PROPOSAL_TIMEOUT_MS);
            if !self.propose(sim, command, TraceId::NONE, waiter, deadline_ms) {
                self.proposed(sim, proposal, None);
            }
        }
    }

    /// Takes the outcome of a command of the worker.
    pub(super) fn proposed(
        &mut self,
        sim: &mut Sim,
        proposal: ProposalId,
        outcome: Option<Outcome>,
    ) {
        let Some(process) = &mut self.up else { return };
        for charge in process.worker.proposed(proposal, outcome) {
            self.call(sim, charge);
        }
    }

    fn call(&mut self, sim: &mut Sim, mut charge: Charge) {
        let timeout_us = self.clock.true_us(sim.plan.payments.call_timeout_ms * MS);
        let Some(process) = &mut self.up else { return };
        let number = process.next_call;
        process.next_call += 1;
        process.calls.insert(number);
        sim.cover.payment_calls += 1;
        let known = sim.oracle.model.order(charge.order).map(|order| order.total);
        if known != Some(charge.amount) {
            sim.fail(format!("{charge:?} asks for another amount than {known:?}"));
        }
        let late = Duty::CallEnded { number, charge: charge.clone(), answer: Answer::NoAnswer };
        self.after(sim, timeout_us, late);
        if sim.planted(Bug::KeyPerTry) {
            charge.key = format!("{}-{}", charge.key, charge.unanswered);
        }
        if sim.random.ppm(sim.plan.provider.request_lost_ppm) {
            sim.cover.payment_requests_lost += 1;
            return;
        }
        let call = Call { node: self.id, life: self.life, number, charge };
        let delay = 100 + sim.random.waiting(2 * MS);
        if sim.random.ppm(sim.plan.provider.doubled_ppm) {
            sim.cover.payment_calls_doubled += 1;
            let again = delay + sim.random.waiting(SECOND);
            sim.after(again, Event::ProviderAsked { call: call.clone() });
        }
        sim.after(delay, Event::ProviderAsked { call });
    }

    /// Ends a call: it was answered or timed out.
    pub(super) fn call_ended(&mut self, number: u64, charge: &Charge, answer: Answer) {
        let Some(process) = &mut self.up else { return };
        if process.calls.remove(&number) {
            process.worker.called(charge.which(), answer);
        }
    }
}

/// A request reaches the provider, which decides, and answers or not.
pub(crate) fn provider_asked(sim: &mut Sim, call: Call) {
    let Call { node, life, number, charge } = call;
    let done = match sim.provider.charge(&charge) {
        Ok(done) => done,
        Err(what) => return sim.fail(what),
    };
    if done.decided {
        let (charged, refused) = sim.provider.of(charge.order);
        sim.say(|| format!("provider: {} charged {charged} refused {refused}", charge.key));
        match sim.provider.was_charged(&charge) {
            true => sim.cover.payment_charges += 1,
            false => sim.cover.payment_declines += 1,
        }
    }
    if done.answer == Answer::NoAnswer {
        sim.cover.payment_no_answers += 1;
        return;
    }
    if sim.random.ppm(sim.plan.provider.answer_lost_ppm) {
        sim.cover.payment_answers_lost += 1;
        return;
    }
    let delay = sim.provider.delay_ms(&charge) * MS + sim.random.waiting(2 * MS);
    let duty = Duty::CallEnded { number, charge, answer: done.answer };
    sim.after(delay, Event::Node { node, life, duty });
}

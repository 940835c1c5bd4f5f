//! The payment task: polls the worker, proposes what it decides, makes its calls.

use engine::outcome::Outcome;
use engine::trace::TraceId;
use raft_node::payment::ProposalId;
use raft_node::payment::{Answer, Charge, GatewayState, RefundCall};

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
        let method = sim.plan.provider.method;
        let commands = process.worker.poll(sim.now / MS, leads, |after, limit| {
            state.due_payments(method, clock, after, limit)
        });
        let refunds = process.worker.poll_refunds(sim.now / MS, leads, |limit| {
            process.state.due_refunds(method, clock, limit)
        });
        for (proposal, command) in commands.into_iter().chain(refunds) {
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
        let keys = process.state.payment_keys();
        let refunds = process.worker.refunds_proposed(proposal, outcome.as_ref(), &keys);
        for refund in refunds {
            self.give_back(sim, refund);
        }
        let Some(process) = &mut self.up else { return };
        for charge in process.worker.proposed(proposal, outcome, &keys) {
            self.call(sim, charge);
        }
    }

    /// Asks the provider for a refund. It decides at once; the request or the answer may get lost.
    fn give_back(&mut self, sim: &mut Sim, mut call: RefundCall) {
        sim.cover.refund_calls += 1;
        let timeout_us = self.clock.true_us(sim.plan.payments.call_timeout_ms * MS);
        let (refund, unanswered) = (call.refund, call.unanswered);
        let lost = Duty::RefundEnded { refund, unanswered, answer: Answer::Unknown };
        if sim.planted(Bug::RefundKeyPerTry) {
            call.key = format!("{}-{unanswered}", call.key);
        }
        if sim.random.ppm(sim.plan.provider.request_lost_ppm) {
            return self.after(sim, timeout_us, lost);
        }
        let answer = match sim.provider.refund(&call) {
            Ok(answer) => answer,
            Err(what) => return sim.fail(what),
        };
        if sim.random.ppm(sim.plan.provider.answer_lost_ppm) {
            sim.cover.refund_answers_lost += 1;
            return self.after(sim, timeout_us, lost);
        }
        let delay = sim.random.waiting(20 * MS);
        self.after(sim, delay, Duty::RefundEnded { refund, unanswered, answer });
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
        let late = Duty::CallEnded { number, charge: charge.clone(), answer: Answer::Unknown };
        self.after(sim, timeout_us, late);
        if sim.planted(Bug::KeyPerTry) {
            charge.key = format!("{}-{}", charge.key, charge.unanswered);
        }
        self.ask(sim, number, charge);
    }

    /// Sends the next request of a call.
    fn ask(&mut self, sim: &mut Sim, number: u64, charge: Charge) {
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

    /// A request was answered, or its call timed out.
    pub(super) fn call_ended(
        &mut self,
        sim: &mut Sim,
        number: u64,
        mut charge: Charge,
        answer: Answer,
    ) {
        let Some(process) = &mut self.up else { return };
        if !process.calls.contains(&number) {
            return;
        }
        let is_charged_now = answer == Answer::Unseen && charge.look_up_first && charge.may_charge;
        if is_charged_now && !sim.planted(Bug::UnseenIsDeclined) {
            sim.cover.payments_unseen += 1;
            charge.look_up_first = false;
            return self.ask(sim, number, charge);
        }
        process.calls.remove(&number);
        let before = process.worker.gateway_state();
        process.worker.called(sim.now / MS, charge.which(), answer);
        if before == GatewayState::Closed && process.worker.gateway_state() != before {
            sim.cover.breakers_opened += 1;
        }
    }
}

/// A request reaches the provider, which decides, and answers or not.
pub(crate) fn provider_asked(sim: &mut Sim, call: Call) {
    let Call { node, life, number, charge } = call;
    let answer = match charge.look_up_first {
        true => {
            sim.cover.payment_look_ups += 1;
            sim.provider.look_up(sim.now, &charge)
        }
        false => match charged(sim, &charge) {
            Ok(answer) => answer,
            Err(what) => return sim.fail(what),
        },
    };
    if answer == Answer::Unknown {
        sim.cover.payment_no_answers += 1;
        return;
    }
    sim.cover.payments_pending += u64::from(matches!(answer, Answer::Pending { .. }));
    if sim.random.ppm(sim.plan.provider.answer_lost_ppm) {
        sim.cover.payment_answers_lost += 1;
        return;
    }
    let delay = sim.provider.delay_ms(&charge) * MS + sim.random.waiting(2 * MS);
    let duty = Duty::CallEnded { number, charge, answer };
    sim.after(delay, Event::Node { node, life, duty });
}

/// A request to charge reaches the provider.
fn charged(sim: &mut Sim, charge: &Charge) -> Result<Answer, String> {
    let is_pending = !sim.resting && sim.random.ppm(sim.plan.provider.pending_ppm);
    let done = sim.provider.charge(sim.now, charge, is_pending)?;
    if done.is_new {
        let (charged, refused) = sim.provider.of(charge.order);
        sim.say(|| format!("provider: {} charged {charged} refused {refused}", charge.key));
        match sim.provider.is_charged(charge) {
            true => sim.cover.payment_charges += 1,
            false => sim.cover.payment_declines += 1,
        }
    }
    Ok(done.answer)
}

//! Claiming payment attempts and settling them.
//!
//! An attempt belongs to one worker until its lease ends. The next worker continues under the same
//! attempt number, hence under the same key at the gateway. Only a definite refusal ends an
//! attempt.

use crate::apply::context::{Context, FETCHED_AT_ONCE};
use crate::command::{ClaimPayments, PaymentResult, SettlePayments, Verdict};
use crate::event::OrderChange;
use crate::ids::OrderId;
use crate::order::{Cause, Claim, PaymentTask, REASON_BYTES_MAX, Status};
use crate::outcome::{ClaimedPayment, Outcome};
use crate::state::State;

impl State {
    /// Gives due tasks to the worker of a node. Skips tasks that moved on since the worker looked.
    pub(crate) fn claim_payments(
        &mut self,
        cx: &mut Context<'_>,
        command: &ClaimPayments,
    ) -> Outcome {
        let paused = self.lineage.payments_paused;
        #[cfg(feature = "planted-bugs")]
        let paused = paused && !crate::planted::is_planted(crate::planted::Bug::PauseIgnored);
        if paused {
            return Outcome::Claimed(Vec::new());
        }
        let lease_until = cx.at.plus_ms(command.lease_ms);
        let claim = Claim { node: command.node, lease_until };
        let mut claimed = Vec::with_capacity(command.tasks.len());
        for tasks in command.tasks.chunks(FETCHED_AT_ONCE) {
            tasks.iter().for_each(|(id, _)| self.orders.fetch(*id));
            let claim = |&(id, attempt)| self.claim_payment(cx, id, attempt, claim);
            claimed.extend(tasks.iter().filter_map(claim));
        }
        Outcome::Claimed(claimed)
    }

    fn claim_payment(
        &mut self,
        cx: &mut Context<'_>,
        id: OrderId,
        attempt: u32,
        claim: Claim,
    ) -> Option<ClaimedPayment> {
        // A task with a current lease is not due, so checking the due time is enough.
        let task = self.task(id).filter(|task| task.attempt == attempt && task.due <= cx.at)?;
        debug_assert!(task.claim.is_none_or(|claim| claim.lease_until <= cx.at));
        if self.orders.status(id) == Some(Status::Pending) {
            self.advance(cx, id, Status::Processing, Cause::PaymentClaimed);
            self.tell_order(cx, id, OrderChange::Processing);
        }
        let due = claim.lease_until;
        self.reschedule(cx, id, task, PaymentTask { claim: Some(claim), due, ..task });
        self.totals.payment_claims += 1;
        let epoch = self.lineage.epoch(id);
        // The cluster that this one is a copy of may have done what this state does not know.
        let is_copied = !self.lineage.is_newest(epoch);
        let order = self.orders.resident(id).expect("an open order is resident");
        let first_claim = || order.history.iter().find(|row| row.to == Status::Processing);
        let known_since = match is_copied {
            true => order.created_at,
            false => first_claim().map_or(cx.at, |row| row.at),
        };
        Some(ClaimedPayment {
            order: id,
            attempt,
            epoch,
            unanswered: task.unanswered,
            maybe_sent: is_copied || task.claim.is_some() || task.unanswered > 0,
            age_ms: cx.at.0.saturating_sub(known_since.0),
            amount: order.total,
            trace: order.trace.clone(),
        })
    }

    /// Records results. Those of attempts that are over change nothing.
    pub(crate) fn settle_payments(
        &mut self,
        cx: &mut Context<'_>,
        command: SettlePayments,
    ) -> Outcome {
        let mut settled = 0;
        let ids: Vec<OrderId> = command.results.iter().map(|result| result.order).collect();
        for (at, result) in command.results.into_iter().enumerate() {
            if at.is_multiple_of(FETCHED_AT_ONCE) {
                ids[at..].iter().take(FETCHED_AT_ONCE).for_each(|id| self.orders.fetch(*id));
            }
            if self.settle_payment(cx, result) {
                settled += 1;
            } else {
                self.totals.payment_results_stale += 1;
            }
        }
        Outcome::Settled(settled)
    }

    fn settle_payment(&mut self, cx: &mut Context<'_>, result: PaymentResult) -> bool {
        let PaymentResult { order: id, attempt, verdict } = result;
        if self.orders.status(id) != Some(Status::Processing) {
            return false;
        }
        let Some(task) = self.task(id).filter(|task| task.attempt == attempt) else {
            return false;
        };
        match verdict {
            Verdict::Succeeded => {
                self.totals.payment_successes += 1;
                self.finish(cx, id, Status::Paid, Cause::PaymentSucceeded, None);
            }
            Verdict::Declined { reason, retry_in_ms } => {
                self.totals.payment_declines += 1;
                if attempt < task.attempts_max {
                    let due = cx.at.plus_ms(retry_in_ms);
                    let attempt = attempt + 1;
                    let next = PaymentTask { attempt, unanswered: 0, claim: None, due, ..task };
                    self.reschedule(cx, id, task, next);
                } else {
                    let reason = Some(bounded(reason));
                    self.finish(cx, id, Status::Failed, Cause::PaymentDeclined, reason);
                }
            }
            Verdict::NoAnswer { retry_in_ms } => {
                self.totals.payment_no_answers += 1;
                let due = cx.at.plus_ms(retry_in_ms);
                let unanswered = task.unanswered.saturating_add(1);
                let next = PaymentTask { unanswered, claim: None, due, ..task };
                self.reschedule(cx, id, task, next);
            }
        }
        true
    }

    /// Replaces the payment task of an open order.
    pub(crate) fn reschedule(
        &mut self,
        cx: &Context<'_>,
        id: OrderId,
        before: PaymentTask,
        after: PaymentTask,
    ) {
        let order = self.orders.change(id);
        self.tasks.remove(order.payment_method, before.due, id);
        self.tasks.insert(order.payment_method, after.due, id);
        order.task = Some(after);
        (order.updated_at, order.version) = (cx.at, cx.position);
    }
}

/// Truncates the gateway's reason to the bound that the worker should have kept. A result that took
/// money must not be refused for its length.
fn bounded(reason: Box<str>) -> Box<str> {
    if reason.len() <= REASON_BYTES_MAX {
        return reason;
    }
    reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].into()
}

//! What an operator decides about payments whose result the gateway does not tell.
//!
//! An order that is PROCESSING waits for its gateway for as long as it takes. These commands end
//! the wait, or make the worker ask at once. They refuse an attempt that a worker may be calling
//! about: its answer comes within the lease.

use crate::apply::context::Context;
use crate::command::{RecheckPayment, SettleOrder, Settlement};
use crate::event::Kind;
use crate::ids::OrderId;
use crate::order::{Cause, PaymentTask, REASON_BYTES_MAX, Status};
use crate::outcome::{Outcome, Rejection};
use crate::state::State;

impl State {
    /// Ends an order as an operator says. An order that has ended that way is left as it is.
    pub(crate) fn settle_order(
        &mut self,
        cx: &mut Context<'_>,
        command: SettleOrder,
    ) -> Result<Outcome, Rejection> {
        let SettleOrder { order: id, attempt, outcome, reason, actor } = command;
        for (name, text) in [("reason", &reason), ("actor", &actor)] {
            if text.is_empty() || text.len() > REASON_BYTES_MAX {
                return Err(Rejection::Invalid(name));
            }
        }
        let (to, reference) = match outcome {
            Settlement::Paid { reference } => (Status::Paid, Some(reference)),
            Settlement::Failed => (Status::Failed, None),
        };
        if reference.as_ref().is_some_and(|text| text.is_empty() || text.len() > REASON_BYTES_MAX) {
            return Err(Rejection::Invalid("provider_ref"));
        }
        if self.orders.status(id) == Some(to) {
            return Ok(Outcome::OrderSettled { order: id, already: true });
        }
        self.waiting_task(cx, id, Some(attempt))?;
        let order = self.orders.resident(id).expect("an open order is resident");
        let (user, trace) = (order.user, order.trace.clone());
        let failure_reason = (to == Status::Failed).then(|| reason.clone());
        let kind = Kind::PaymentSettled { order: id, user, attempt, reference, reason, actor };
        self.tell_for(cx, trace, kind);
        if to == Status::Paid {
            self.totals.payment_successes += 1;
        }
        self.finish(cx, id, to, Cause::SettledByOperator, failure_reason);
        Ok(Outcome::OrderSettled { order: id, already: false })
    }

    /// Makes the payment task of an order due at once.
    pub(crate) fn recheck_payment(
        &mut self,
        cx: &Context<'_>,
        command: &RecheckPayment,
    ) -> Result<Outcome, Rejection> {
        let task = self.waiting_task(cx, command.order, command.attempt)?;
        if task.due > cx.at {
            self.reschedule(cx, command.order, task, PaymentTask { due: cx.at, ..task });
        }
        Ok(Outcome::PaymentRechecked(command.order))
    }

    /// The payment task of a PROCESSING order that no worker is calling about.
    fn waiting_task(
        &self,
        cx: &Context<'_>,
        order: OrderId,
        attempt: Option<u32>,
    ) -> Result<PaymentTask, Rejection> {
        let status = self.orders.status(order).ok_or(Rejection::OrderNotFound)?;
        let task = self.task(order).filter(|_| status == Status::Processing);
        let task = task.ok_or(Rejection::NotProcessing { order, status })?;
        if attempt.is_some_and(|attempt| attempt != task.attempt) {
            return Err(Rejection::AttemptChanged { order, current: task.attempt });
        }
        let is_called = task.claim.is_some_and(|claim| claim.lease_until > cx.at);
        #[cfg(feature = "planted-bugs")]
        let is_called =
            is_called && !crate::planted::is_planted(crate::planted::Bug::SettleIgnoresLease);
        match is_called {
            true => Err(Rejection::PaymentInFlight(order)),
            false => Ok(task),
        }
    }
}

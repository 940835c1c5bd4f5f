//! Payment results that a provider reports.
//!
//! Every report is recorded once per key, for ever. A report about a PENDING order that waits for
//! one takes the order through PROCESSING to its end in one entry. All others change nothing: an
//! order that has ended is never reopened, and once the worker has begun to pay an order, only the
//! worker decides. Two sources of truth about one charge would be one too many.
//!
//! A report about an order that does not exist is unmatched, and stays so: the order that gets that
//! id later is another one. Under [`Rules::Parking`](crate::command::Rules) the report was parked,
//! and applied in the entry that created the order.

use crate::apply::context::Context;
use crate::apply::plan::check_key;
use crate::command::{PaymentWebhook, Rules};
use crate::event::{Kind, OrderChange};
use crate::ids::{OrderId, WebhookId};
use crate::keys::{self, KeyHash, Scope};
use crate::order::{Cause, PaymentMethod, Status};
use crate::outcome::{Outcome, Rejection};
use crate::state::State;
use crate::webhook::{Conflict, Fate, PAYLOAD_BYTES_MAX, Report, Webhook};
use crate::webhooks::PARKED_PER_ORDER_MAX;

/// The failure reason of an order whose payment failed by a provider's report.
const FAILURE_REASON: &str = "payment failed";

impl State {
    /// Records a report and applies it, parks it, or finds a conflict. Only a fault of the request
    /// itself, or too many parked reports, leaves no record.
    pub(crate) fn payment_webhook(
        &mut self,
        cx: &mut Context<'_>,
        command: PaymentWebhook,
    ) -> Result<Outcome, Rejection> {
        let order = command.order;
        let meaning = keys::of_webhook(order, command.report, command.amount);
        let key = KeyHash::of(Scope::Webhook, &command.key);
        if let Some(used) = self.keys.get(key) {
            if !self.keys.is_same(Scope::Webhook, used, &meaning) {
                return Err(Rejection::KeyReused);
            }
            let id = WebhookId(used.id);
            let mut fate = self.webhooks.fate(id).expect("a used key has its report");
            if fate == Fate::Parked && !cx.parks() {
                self.forget_parked(cx, id);
                fate = Fate::Unmatched;
            }
            // Under the old rules a report that has waited in vain may come again.
            if fate != Fate::Unmatched || !cx.parks() {
                self.totals.webhooks_duplicate += 1;
                return Ok(self.answer_webhook(cx, order, fate, true));
            }
        }
        check_webhook(&command)?;
        let exists = self.orders.status(order).is_some();
        if !exists && cx.parks() && self.is_full_for(order, command.parked_max) {
            return Err(Rejection::TooManyParked);
        }
        let id = WebhookId(self.webhooks.len() + 1);
        let webhook = Webhook {
            id,
            key: command.key,
            order,
            report: command.report,
            amount: command.amount,
            payload: command.payload,
            fate: if cx.parks() { Fate::Parked } else { Fate::Unmatched },
            parked_until: cx.at.plus_ms(command.park_ms),
            trace: cx.trace.clone(),
            received: cx.position,
            received_at: cx.at,
            processed_at: cx.at,
        };
        let fate = match exists {
            true => self.report_payment(cx, &webhook),
            false => webhook.fate,
        };
        if fate == Fate::Unmatched {
            self.tell_unmatched(cx, &webhook);
        }
        self.webhooks.push(Webhook { fate, ..webhook });
        self.keys.insert(key, self.keys.used(Scope::Webhook, id.0, &meaning));
        Ok(self.answer_webhook(cx, order, fate, false))
    }

    fn is_full_for(&self, order: OrderId, parked_max: u64) -> bool {
        self.webhooks.parked() >= parked_max
            || self.webhooks.parked_for(order) >= PARKED_PER_ORDER_MAX
    }

    fn answer_webhook(
        &mut self,
        cx: &Context<'_>,
        order: OrderId,
        fate: Fate,
        duplicate: bool,
    ) -> Outcome {
        if cx.rules == Rules::Parking && matches!(fate, Fate::Conflict(_)) {
            // It counted as a refusal, and what counts is part of the digest.
            self.totals.rejected_other += 1;
        }
        Outcome::Reported { order, fate, status: self.orders.status(order), duplicate }
    }

    /// Ends the wait of reports that were parked for an order which exists now. They decide
    /// nothing: they may be about another order of the same id, in the cluster that this one is a
    /// copy of. Under [`Rules::Parking`] the first that can be applied decides; the later ones are
    /// conflicts.
    pub(crate) fn drain_parked(&mut self, cx: &mut Context<'_>, order: OrderId) {
        for id in self.webhooks.waiting(order) {
            if !cx.parks() {
                self.forget_parked(cx, id);
                continue;
            }
            let webhook = self.webhooks.resident(id).expect("a parked report is resident").clone();
            let fate = self.report_payment(cx, &webhook);
            self.webhooks.settle(id, fate, cx.at);
        }
    }

    /// Gives up on a report that waits for its order.
    pub(crate) fn forget_parked(&mut self, cx: &mut Context<'_>, id: WebhookId) {
        self.webhooks.settle(id, Fate::Unmatched, cx.at);
        let webhook = self.webhooks.resident(id).expect("it was parked until now").clone();
        self.tell_unmatched(cx, &webhook);
    }

    /// Counts and tells a report that decides nothing, since its order does not exist.
    fn tell_unmatched(&mut self, cx: &mut Context<'_>, webhook: &Webhook) {
        self.totals.webhooks_unmatched += 1;
        let Webhook { id, order, report, amount, .. } = *webhook;
        let kind = Kind::PaymentUnmatched { webhook: id, order, report, amount };
        self.tell_for(cx, webhook.trace.clone(), kind);
    }

    /// Applies a report to an order that exists, or finds the conflict.
    fn report_payment(&mut self, cx: &mut Context<'_>, webhook: &Webhook) -> Fate {
        let (id, report, amount) = (webhook.order, webhook.report, webhook.amount);
        // An order past its deadline has ended even if it was not swept yet.
        self.expire_if_due(cx, id);
        let conflict = match self.orders.status(id).expect("the caller found the order") {
            Status::Paid | Status::Failed | Status::Cancelled => Some(Conflict::Late),
            Status::Processing => Some(Conflict::UnderWay),
            Status::Pending => {
                let order = self.orders.resident(id).expect("open orders are resident");
                let is_for_another = order.payment_method != PaymentMethod::Webhook;
                match amount.filter(|amount| *amount != order.total) {
                    _ if is_for_another && cx.rules >= Rules::NoParking => Some(Conflict::Method),
                    Some(_) => Some(Conflict::Amount),
                    None => None,
                }
            }
        };
        if let Some(conflict) = conflict {
            self.totals.payment_conflicts += 1;
            // The event does not name the order's user: the row of an order that has ended may be
            // in memory on some nodes and not on others.
            let webhook = webhook.id;
            self.tell(cx, Kind::PaymentConflict { webhook, order: id, report, amount, conflict });
            return Fate::Conflict(conflict);
        }
        self.advance(cx, id, Status::Processing, Cause::PaymentReported);
        self.tell_order(cx, id, OrderChange::Processing);
        match report {
            Report::Succeeded => {
                self.totals.payment_successes += 1;
                self.finish(cx, id, Status::Paid, Cause::PaymentSucceeded, None);
            }
            Report::Failed => {
                self.totals.payment_declines += 1;
                let reason = Some(FAILURE_REASON.into());
                self.finish(cx, id, Status::Failed, Cause::PaymentDeclined, reason);
            }
        }
        self.totals.webhooks_applied += 1;
        Fate::Applied
    }
}

/// Checks the bounds that the edge should have checked.
fn check_webhook(command: &PaymentWebhook) -> Result<(), Rejection> {
    check_key(Some(&command.key))?;
    if command.order.0 == 0 {
        return Err(Rejection::Invalid("order_id"));
    }
    match &command.payload {
        Some(payload) if payload.len() > PAYLOAD_BYTES_MAX => Err(Rejection::Invalid("payload")),
        _ => Ok(()),
    }
}

//! Payments in the model: the worker's, and those that a provider reports.

use engine::command::{
    ClaimPayments, PaymentResult, PaymentWebhook, RecheckPayment, SettleOrder, Settlement, Verdict,
};
use engine::event::{Kind, OrderChange};
use engine::ids::{OrderId, Timestamp, WebhookId};
use engine::money::Money;
use engine::order::{PaymentMethod, Status};
use engine::outcome::{ClaimedPayment, Outcome, Rejection};
use engine::webhook::{self, Conflict, Fate};

use crate::model::{At, Model};
use crate::rows::{Progress, Report, Versions};

/// Reports that may wait for one order.
const PARKED_PER_ORDER_MAX: usize = 16;

impl Model {
    pub(crate) fn claim(&mut self, at: &mut At<'_>, command: &ClaimPayments) -> Outcome {
        let mut claimed = Vec::new();
        if self.payments_paused {
            at.predicted.claims_put_off += command.tasks.len() as u64;
            return Outcome::Claimed(claimed);
        }
        for &(id, attempt) in &command.tasks {
            let now = self.clock;
            let Some(order) = self.order(id) else { continue };
            let before = order.progress.now().clone();
            if !order.has_task() || before.attempt != attempt || before.due > now {
                continue;
            }
            at.predicted.takeovers +=
                u64::from(before.claimed_by.is_some_and(|node| node != command.node));
            if before.status == Status::Pending {
                self.advance(at, id, OrderChange::Processing);
            }
            let order = &mut self.orders[id.0 as usize - 1];
            order.progress.change(at.position, |progress| {
                progress.due = now.plus_ms(command.lease_ms);
                progress.claimed_by = Some(command.node);
                progress.first_claimed_at.get_or_insert(now);
                progress.updated_at = now;
            });
            claimed.push(ClaimedPayment {
                order: id,
                attempt,
                epoch: 0,
                unanswered: before.unanswered,
                maybe_sent: before.claimed_by.is_some() || before.unanswered > 0,
                age_ms: before.first_claimed_at.map_or(0, |first| now.0 - first.0),
                amount: order.total,
                trace: order.trace.clone(),
            });
        }
        Outcome::Claimed(claimed)
    }

    pub(crate) fn settle(&mut self, at: &mut At<'_>, results: Vec<PaymentResult>) -> Outcome {
        let mut settled = 0;
        for PaymentResult { order: id, attempt, verdict } in results {
            let now = self.clock;
            let current = self.order(id).filter(|order| {
                let progress = order.progress.now();
                progress.status == Status::Processing && progress.attempt == attempt
            });
            let Some(order) = current else {
                at.predicted.stale_results += 1;
                continue;
            };
            settled += 1;
            let last = attempt >= order.attempts_max;
            match verdict {
                Verdict::Succeeded => self.advance(at, id, OrderChange::Paid),
                Verdict::Declined { reason, .. } if last => {
                    self.advance(at, id, OrderChange::Failed { reason });
                }
                Verdict::Declined { retry_in_ms, .. } => self.retry(at, id, |progress| {
                    progress.attempt += 1;
                    progress.unanswered = 0;
                    progress.due = now.plus_ms(retry_in_ms);
                }),
                Verdict::NoAnswer { retry_in_ms } => self.retry(at, id, |progress| {
                    progress.unanswered += 1;
                    progress.due = now.plus_ms(retry_in_ms);
                }),
            }
        }
        Outcome::Settled(settled)
    }

    fn retry(&mut self, at: &At<'_>, id: OrderId, change: impl FnOnce(&mut Progress)) {
        let now = self.clock;
        self.orders[id.0 as usize - 1].progress.change(at.position, |progress| {
            progress.claimed_by = None;
            progress.updated_at = now;
            change(progress);
        });
    }

    /// Ends an order as an operator says.
    pub(crate) fn settle_order(
        &mut self,
        at: &mut At<'_>,
        command: SettleOrder,
    ) -> Result<Outcome, Rejection> {
        let SettleOrder { order: id, attempt, outcome, reason, actor } = command;
        let (to, reference) = match outcome {
            Settlement::Paid { reference } => (Status::Paid, Some(reference)),
            Settlement::Failed => (Status::Failed, None),
        };
        let status = self.order(id).map(|order| order.progress.now().status);
        if status == Some(to) {
            return Ok(Outcome::OrderSettled { order: id, already: true });
        }
        self.check_waiting(id, Some(attempt))?;
        let order = &mut self.orders[id.0 as usize - 1];
        order.settled_by_operator = true;
        let (user, trace) = (order.user, order.trace.clone());
        let change = match reference {
            Some(_) => OrderChange::Paid,
            None => OrderChange::Failed { reason: reason.clone() },
        };
        let kind = Kind::PaymentSettled { order: id, user, attempt, reference, reason, actor };
        self.tell(at, Some(&trace), kind);
        self.advance(at, id, change);
        Ok(Outcome::OrderSettled { order: id, already: false })
    }

    /// Makes the payment of an order due.
    pub(crate) fn recheck(
        &mut self,
        at: &At<'_>,
        command: &RecheckPayment,
    ) -> Result<Outcome, Rejection> {
        let RecheckPayment { order, attempt } = *command;
        self.check_waiting(order, attempt)?;
        let now = self.clock;
        let progress = &mut self.orders[order.0 as usize - 1].progress;
        if progress.now().due > now {
            progress
                .change(at.position, |progress| (progress.due, progress.updated_at) = (now, now));
        }
        Ok(Outcome::PaymentRechecked(order))
    }

    /// Whether an operator may decide about the payment of an order.
    fn check_waiting(&self, order: OrderId, attempt: Option<u32>) -> Result<(), Rejection> {
        let found = self.order(order).ok_or(Rejection::OrderNotFound)?;
        let progress = found.progress.now();
        if !found.has_task() || progress.status != Status::Processing {
            return Err(Rejection::NotProcessing { order, status: progress.status });
        }
        if attempt.is_some_and(|attempt| attempt != progress.attempt) {
            return Err(Rejection::AttemptChanged { order, current: progress.attempt });
        }
        match progress.claimed_by.is_some() && progress.due > self.clock {
            true => Err(Rejection::PaymentInFlight(order)),
            false => Ok(()),
        }
    }

    /// Takes a provider's report of a payment.
    pub(crate) fn webhook(
        &mut self,
        at: &mut At<'_>,
        command: PaymentWebhook,
    ) -> Result<Outcome, Rejection> {
        let order = command.order;
        let meaning = (order, command.report, command.amount);
        if let Some(&id) = self.report_keys.get(&command.key) {
            let known = &self.reports[id];
            if (known.order, known.report, known.amount) != meaning {
                return Err(Rejection::KeyReused);
            }
            if *known.fate.now() == Fate::Parked && !at.parks {
                self.is_unmatched(at, id);
            }
            let fate = *self.reports[id].fate.now();
            if fate != Fate::Unmatched || !at.parks {
                return Ok(self.tell_fate(order, fate, true));
            }
        }
        if order.0 == 0 {
            return Err(Rejection::Invalid("order_id"));
        }
        let exists = self.order(order).is_some();
        let parked = |known: &&Report| *known.fate.now() == Fate::Parked;
        let waiting = self.reports.iter().filter(parked);
        let waiting_here = waiting.clone().filter(|known| known.order == order).count();
        let is_full =
            waiting.count() as u64 >= command.parked_max || waiting_here >= PARKED_PER_ORDER_MAX;
        if !exists && at.parks && is_full {
            return Err(Rejection::TooManyParked);
        }
        let fate = match exists {
            true => {
                let id = self.reports.len();
                self.report(at, id, order, command.report, command.amount)
            }
            false if at.parks => Fate::Parked,
            false => Fate::Unmatched,
        };
        self.report_keys.insert(command.key.clone(), self.reports.len());
        self.reports.push(Report {
            key: command.key,
            payload: command.payload,
            trace: at.trace.clone(),
            order,
            report: command.report,
            amount: command.amount,
            parked_until: self.clock.plus_ms(command.park_ms),
            fate: Versions::new(at.position, fate),
        });
        if fate == Fate::Unmatched {
            self.is_unmatched(at, self.reports.len() - 1);
        }
        Ok(self.tell_fate(order, fate, false))
    }

    fn tell_fate(&self, order: OrderId, fate: Fate, duplicate: bool) -> Outcome {
        let status = self.order(order).map(|known| known.progress.now().status);
        Outcome::Reported { order, fate, status, duplicate }
    }

    /// Ends a report whose order does not exist: it decides nothing.
    fn is_unmatched(&mut self, at: &mut At<'_>, id: usize) {
        self.reports[id].fate.change(at.position, |fate| *fate = Fate::Unmatched);
        at.predicted.unmatched += 1;
        let &Report { order, report, amount, ref trace, .. } = &self.reports[id];
        let webhook = WebhookId(id as u64 + 1);
        self.tell(at, Some(trace), Kind::PaymentUnmatched { webhook, order, report, amount });
    }

    /// Ends the wait of reports for an order that was placed. If the command lets reports wait,
    /// they are applied, in order of arrival.
    pub(crate) fn drain_parked(&mut self, at: &mut At<'_>, order: OrderId) {
        for id in 0..self.reports.len() {
            let known = &self.reports[id];
            if known.order != order || *known.fate.now() != Fate::Parked {
                continue;
            }
            if at.parks {
                let (report, amount) = (known.report, known.amount);
                let fate = self.report(at, id, order, report, amount);
                self.reports[id].fate.change(at.position, |now| *now = fate);
                at.predicted.matched += 1;
            } else {
                self.is_unmatched(at, id);
            }
        }
    }

    /// Ends reports that wait until `until` at most: their order did not come.
    pub(crate) fn forget_parked(&mut self, at: &mut At<'_>, until: Timestamp) {
        let mut late: Vec<(Timestamp, usize)> = (0..)
            .zip(&self.reports)
            .filter(|(_, known)| *known.fate.now() == Fate::Parked)
            .filter(|(_, known)| known.parked_until <= until)
            .map(|(id, known)| (known.parked_until, id))
            .collect();
        late.sort_unstable();
        for (_, id) in late {
            self.is_unmatched(at, id);
        }
    }

    /// Applies a report about an existing order.
    fn report(
        &mut self,
        at: &mut At<'_>,
        id: usize,
        order: OrderId,
        report: webhook::Report,
        amount: Option<Money>,
    ) -> Fate {
        self.expire_if_due(at, order);
        let known = self.order(order).expect("the caller found it");
        let conflict = match known.progress.now().status {
            Status::Paid | Status::Failed | Status::Cancelled => Some(Conflict::Late),
            Status::Processing => Some(Conflict::UnderWay),
            Status::Pending if !at.parks && known.request.method != PaymentMethod::Webhook => {
                Some(Conflict::Method)
            }
            Status::Pending if amount.is_some_and(|amount| amount != known.total) => {
                Some(Conflict::Amount)
            }
            Status::Pending => None,
        };
        if let Some(conflict) = conflict {
            let webhook = WebhookId(id as u64 + 1);
            let kind = Kind::PaymentConflict { webhook, order, report, amount, conflict };
            self.tell(at, None, kind);
            return Fate::Conflict(conflict);
        }
        self.orders[order.0 as usize - 1].reported = true;
        self.advance(at, order, OrderChange::Processing);
        let end = match report {
            webhook::Report::Succeeded => OrderChange::Paid,
            webhook::Report::Failed => OrderChange::Failed { reason: "payment failed".into() },
        };
        self.advance(at, order, end);
        Fate::Applied
    }
}

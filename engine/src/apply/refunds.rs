//! Requesting refunds, and settling them with the gateway.
//!
//! Units come back in the entry that accepts the request, whatever becomes of the money. The money
//! of a refund that has not failed counts against the order's total, so pending refunds never add
//! up to more than was paid. An order that no gateway charged has its refund recorded as done: the
//! caller gives the money back.

use crate::apply::context::Context;
use crate::apply::plan::{Demand, check_key};
use crate::command::{ClaimRefunds, RefundResult, RequestRefund, SettleRefunds, Verdict};
use crate::event::{Kind, RefundChange};
use crate::ids::{OrderId, RefundId};
use crate::keys::{self, KeyHash, Scope};
use crate::ledger::{self, Delta};
use crate::money::Money;
use crate::order::{Claim, PaymentTask, REASON_BYTES_MAX, Status as OrderStatus};
use crate::outcome::{ClaimedRefund, Outcome, Rejection};
use crate::refund::{Facts, Line, PER_ORDER_MAX, Refund, Status};
use crate::rolling::Source;
use crate::state::State;

impl State {
    /// Accepts a refund, or refuses it without a trace.
    pub(crate) fn request_refund(
        &mut self,
        cx: &mut Context<'_>,
        command: RequestRefund,
    ) -> Result<Outcome, Rejection> {
        let meaning = keys::of_refund(command.order, command.amount, &command.lines);
        let hash = command.key.as_deref().map(|key| KeyHash::of(Scope::Refund, key));
        match hash.and_then(|hash| self.keys.get(hash)) {
            Some(used) if !self.keys.is_same(Scope::Refund, used, &meaning) => {
                return Err(Rejection::KeyReused);
            }
            Some(used) => return Ok(Outcome::RefundReplayed(RefundId(used.id))),
            None => {}
        }
        check_key(command.key.as_deref())?;
        let amount = self.plan_refund(&command)?;
        let RequestRefund { order, facts, amount: named_amount, lines, reason, actor, key, .. } =
            command;
        let id = RefundId(self.refunds.len() + 1);
        if let Some(hash) = hash {
            let used = self.keys.used(Scope::Refund, id.0, &meaning);
            let new = self.keys.insert(hash, used);
            assert!(new, "an unused key was looked up before");
        }
        let has_worker = facts.payment_method.has_worker();
        let task =
            PaymentTask { attempt: 1, attempts_max: 1, unanswered: 0, due: cx.at, claim: None };
        let refund = Refund {
            id,
            order,
            epoch: self.lineage.newest_epoch(),
            facts,
            amount,
            named_amount,
            lines: lines.into(),
            reason,
            actor,
            key,
            status: if has_worker { Status::Requested } else { Status::Succeeded },
            failure_reason: None,
            task: has_worker.then_some(task),
            trace: cx.trace.clone(),
            created_at: cx.at,
            updated_at: cx.at,
            version: cx.position,
        };
        self.restock(cx, &refund);
        self.tell_refund(cx, &refund, RefundChange::Requested);
        if !has_worker {
            self.tell_refund(cx, &refund, RefundChange::Succeeded);
        }
        self.refunds.push(refund);
        Ok(Outcome::RefundRequested(id))
    }

    /// Checks a refund against what was paid and given back before; returns its amount.
    fn plan_refund(&self, command: &RequestRefund) -> Result<Money, Rejection> {
        let RequestRefund { order, facts, amount, lines, reason, actor, refunds_open_max, .. } =
            command;
        let order = *order;
        for (name, text) in [("reason", reason), ("actor", actor)] {
            if text.is_empty() || text.len() > REASON_BYTES_MAX {
                return Err(Rejection::Invalid(name));
            }
        }
        let status = self.orders.status(order).ok_or(Rejection::OrderNotFound)?;
        if status != OrderStatus::Paid {
            return Err(Rejection::NotRefundable { order, status });
        }
        let before = self.refunds.of(order);
        if before.is_some_and(|before| before.facts != *facts) {
            return Err(Rejection::Invalid("facts"));
        }
        if before.is_some_and(|before| before.ids.len() >= PER_ORDER_MAX) {
            return Err(Rejection::TooManyRefunds);
        }
        if self.refunds.open() >= *refunds_open_max {
            return Err(Rejection::TooManyRefunds);
        }
        check_lines(order, facts, lines, before.map_or(&[], |before| &before.units))?;
        let refunded = before.map_or(0, |before| before.amount.0);
        #[cfg(feature = "planted-bugs")]
        let refunded = match crate::planted::is_planted(crate::planted::Bug::RefundsNotCounted) {
            true => 0,
            false => refunded,
        };
        let left = facts.total.0 - refunded;
        let wanted = match (amount, lines.is_empty()) {
            (Some(amount), _) => amount.0,
            (None, true) => left,
            (None, false) => worth(facts, lines).min(left),
        };
        match (1..=left).contains(&wanted) {
            true => Ok(Money(wanted)),
            false => Err(Rejection::RefundExceedsPaid { order, left: Money(left) }),
        }
    }

    /// Takes the units of a refund back into stock.
    fn restock(&mut self, cx: &mut Context<'_>, refund: &Refund) {
        for (product, units) in refund.restocked() {
            #[cfg(feature = "planted-bugs")]
            let units = match crate::planted::is_planted(crate::planted::Bug::RestockTwice) {
                true => 2 * units,
                false => units,
            };
            let demand = Demand { product, units };
            let back = demand.signed();
            let delta = Delta { on_hand: back, sold: -back, ..Delta::default() };
            self.shift(cx, product, delta, ledger::Cause::Return(refund.id));
            let (user, placed) = (refund.facts.user, refund.facts.placed);
            self.untake(user, Source::Order(refund.order), placed, demand);
        }
    }

    /// Gives due refunds to the worker of a node.
    pub(crate) fn claim_refunds(&mut self, cx: &Context<'_>, command: &ClaimRefunds) -> Outcome {
        let mut claimed = Vec::new();
        if self.lineage.payments_paused {
            return Outcome::RefundsClaimed(claimed);
        }
        let lease_until = cx.at.plus_ms(command.lease_ms);
        for &id in &command.refunds {
            let Some(task) = self.refunds.waiting(id).and_then(|refund| refund.task) else {
                continue;
            };
            if task.due > cx.at {
                continue;
            }
            let is_copied = |epoch| !self.lineage.is_newest(epoch);
            let refund = self.refunds.waiting(id).expect("it was found");
            let is_copied = is_copied(refund.epoch);
            claimed.push(ClaimedRefund {
                refund: id,
                order: refund.order,
                order_epoch: self.lineage.epoch(refund.order),
                epoch: refund.epoch,
                unanswered: task.unanswered,
                maybe_sent: is_copied || task.claim.is_some() || task.unanswered > 0,
                age_ms: cx.at.0.saturating_sub(refund.created_at.0),
                amount: refund.amount,
                trace: refund.trace.clone(),
            });
            let refund = self.refunds.reschedule(id, lease_until);
            let task = refund.task.as_mut().expect("an open refund has its task");
            task.claim = Some(Claim { node: command.node, lease_until });
            (refund.updated_at, refund.version) = (cx.at, cx.position);
        }
        Outcome::RefundsClaimed(claimed)
    }

    /// Records the gateway's answers about refunds. Those of refunds that have ended change
    /// nothing.
    pub(crate) fn settle_refunds(
        &mut self,
        cx: &mut Context<'_>,
        command: SettleRefunds,
    ) -> Outcome {
        let mut settled = 0;
        for RefundResult { refund: id, verdict } in command.results {
            let Some(row) = self.refunds.waiting(id) else { continue };
            settled += 1;
            let (status, reason, change) = match verdict {
                Verdict::NoAnswer { retry_in_ms } => {
                    let due = cx.at.plus_ms(retry_in_ms);
                    let unanswered = row.task.map_or(0, |task| task.unanswered).saturating_add(1);
                    let row = self.refunds.reschedule(id, due);
                    let task = row.task.as_mut().expect("an open refund has its task");
                    (task.unanswered, task.claim) = (unanswered, None);
                    (row.updated_at, row.version) = (cx.at, cx.position);
                    continue;
                }
                Verdict::Succeeded => (Status::Succeeded, None, RefundChange::Succeeded),
                Verdict::Declined { mut reason, .. } => {
                    if reason.len() > REASON_BYTES_MAX {
                        reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].into();
                    }
                    (Status::Failed, Some(reason.clone()), RefundChange::Failed { reason })
                }
            };
            let row = self.refunds.end(id, status);
            row.failure_reason = reason;
            (row.updated_at, row.version) = (cx.at, cx.position);
            let row = row.clone();
            self.tell_refund(cx, &row, change);
        }
        Outcome::RefundsSettled(settled)
    }

    fn tell_refund(&mut self, cx: &mut Context<'_>, refund: &Refund, change: RefundChange) {
        let kind = Kind::Refund {
            refund: refund.id,
            order: refund.order,
            user: refund.facts.user,
            amount: refund.amount,
            change,
        };
        self.tell_for(cx, refund.trace.clone(), kind);
    }
}

/// Checks the lines of a refund against the order's, and the units that were given back `before`.
fn check_lines(
    order: OrderId,
    facts: &Facts,
    lines: &[Line],
    before: &[u64],
) -> Result<(), Rejection> {
    let mut units = before.to_vec();
    units.resize(facts.items.len(), 0);
    for line in lines {
        let at = (line.line as usize).checked_sub(1);
        let at = at.filter(|at| *at < units.len()).ok_or(Rejection::Invalid("lines"))?;
        if line.quantity.0 == 0 {
            return Err(Rejection::Invalid("lines"));
        }
        units[at] += u64::from(line.quantity.0);
        if units[at] > u64::from(facts.items[at].quantity.0) {
            return Err(Rejection::ReturnExceedsSold { order, line: line.line });
        }
    }
    Ok(())
}

/// What the units cost.
fn worth(facts: &Facts, lines: &[Line]) -> i64 {
    let of = |line: &Line| {
        let price = facts.items[line.line as usize - 1].unit_price;
        price.times(line.quantity).map_or(i64::MAX, |worth| worth.0)
    };
    lines.iter().map(of).fold(0, i64::saturating_add)
}

//! Refunds in the model.

use engine::command::{ClaimRefunds, RefundResult, RequestRefund, Verdict};
use engine::event::{Kind, RefundChange};
use engine::ids::RefundId;
use engine::ledger::Cause;
use engine::money::Money;
use engine::order::{Item, Status};
use engine::outcome::{ClaimedRefund, Outcome, Rejection};
use engine::refund::{self, Facts};

use crate::model::{At, Model};
use crate::rows::{Order, Refund};

impl Model {
    /// What refunds of an order depend on.
    pub fn facts(order: &Order) -> Facts {
        let items = order.lines.iter().zip(&order.prices).map(|(line, price)| Item {
            product: line.product,
            quantity: line.quantity,
            unit_price: *price,
        });
        Facts {
            user: order.user,
            placed: order.placed,
            payment_method: order.request.method,
            total: order.total,
            items: items.collect(),
        }
    }

    pub(crate) fn request_refund(
        &mut self,
        at: &mut At<'_>,
        command: RequestRefund,
    ) -> Result<Outcome, Rejection> {
        let RequestRefund { order, facts, amount, lines, reason, actor, key, refunds_open_max } =
            command;
        let meaning = (order, amount, lines.clone());
        if let Some(key) = &key
            && let Some(known) = self.refunds.iter().position(|row| row.key.as_ref() == Some(key))
        {
            return match self.refunds[known].meaning == meaning {
                true => Ok(Outcome::RefundReplayed(RefundId(known as u64 + 1))),
                false => Err(Rejection::KeyReused),
            };
        }
        for (name, text) in [("reason", &reason), ("actor", &actor)] {
            if text.is_empty() {
                return Err(Rejection::Invalid(name));
            }
        }
        let status = self.order(order).ok_or(Rejection::OrderNotFound)?.progress.now().status;
        if status != Status::Paid {
            return Err(Rejection::NotRefundable { order, status });
        }
        let before: Vec<&Refund> = self.refunds.iter().filter(|row| row.order == order).collect();
        if before.first().is_some_and(|before| before.facts != facts) {
            return Err(Rejection::Invalid("facts"));
        }
        let open = self.refunds.iter().filter(|row| row.status == refund::Status::Requested);
        if before.len() >= refund::PER_ORDER_MAX || open.count() as u64 >= refunds_open_max {
            return Err(Rejection::TooManyRefunds);
        }
        let mut units: Vec<u64> = vec![0; facts.items.len()];
        for line in before.iter().flat_map(|row| row.lines.iter()) {
            units[line.line as usize - 1] += u64::from(line.quantity.0);
        }
        for line in &lines {
            if line.line == 0 || line.line as usize > units.len() || line.quantity.0 == 0 {
                return Err(Rejection::Invalid("lines"));
            }
            let at = line.line as usize - 1;
            units[at] += u64::from(line.quantity.0);
            if units[at] > u64::from(facts.items[at].quantity.0) {
                return Err(Rejection::ReturnExceedsSold { order, line: line.line });
            }
        }
        let counted = before.iter().filter(|row| row.status != refund::Status::Failed);
        let left = facts.total.0 - counted.map(|row| row.amount.0).sum::<i64>();
        let price = |line: &refund::Line| {
            facts.items[line.line as usize - 1].unit_price.0 * i64::from(line.quantity.0)
        };
        let wanted = match amount {
            Some(amount) => amount.0,
            None if lines.is_empty() => left,
            None => lines.iter().map(price).sum::<i64>().min(left),
        };
        if wanted < 1 || wanted > left {
            return Err(Rejection::RefundExceedsPaid { order, left: Money(left) });
        }
        let id = RefundId(self.refunds.len() as u64 + 1);
        let mut back: Vec<(engine::ids::ProductId, i64)> = Vec::new();
        for line in lines.iter().filter(|line| line.restock) {
            let product = facts.items[line.line as usize - 1].product;
            let quantity = i64::from(line.quantity.0);
            match back.iter_mut().find(|(known, _)| *known == product) {
                Some((_, sum)) => *sum += quantity,
                None => back.push((product, quantity)),
            }
        }
        for (product, quantity) in back {
            self.shift(at, product, Cause::Return(id), |product| {
                product.sold -= quantity;
                product.available += quantity;
            });
        }
        let has_worker = facts.payment_method.has_worker();
        let status = match has_worker {
            true => refund::Status::Requested,
            false => refund::Status::Succeeded,
        };
        self.refunds.push(Refund {
            order,
            facts,
            meaning,
            amount: Money(wanted),
            lines,
            key,
            status,
            unanswered: 0,
            due: self.clock,
            claimed_by: None,
            created_at: self.clock,
            trace: at.trace.clone(),
        });
        self.tell_refund(at, id, RefundChange::Requested);
        if !has_worker {
            self.tell_refund(at, id, RefundChange::Succeeded);
        }
        Ok(Outcome::RefundRequested(id))
    }

    pub(crate) fn claim_refunds(&mut self, command: &ClaimRefunds) -> Outcome {
        let mut claimed = Vec::new();
        let now = self.clock;
        if self.payments_paused {
            return Outcome::RefundsClaimed(claimed);
        }
        for id in &command.refunds {
            let row = (id.0 as usize).checked_sub(1).and_then(|at| self.refunds.get_mut(at));
            let Some(row) = row else { continue };
            if row.status != refund::Status::Requested || row.due > now {
                continue;
            }
            claimed.push(ClaimedRefund {
                refund: *id,
                order: row.order,
                order_epoch: 0,
                epoch: 0,
                unanswered: row.unanswered,
                maybe_sent: row.claimed_by.is_some() || row.unanswered > 0,
                age_ms: now.0 - row.created_at.0,
                amount: row.amount,
                trace: row.trace.clone(),
            });
            (row.due, row.claimed_by) = (now.plus_ms(command.lease_ms), Some(command.node));
        }
        Outcome::RefundsClaimed(claimed)
    }

    pub(crate) fn settle_refunds(
        &mut self,
        at: &mut At<'_>,
        results: Vec<RefundResult>,
    ) -> Outcome {
        let mut settled = 0;
        for RefundResult { refund: id, verdict } in results {
            let now = self.clock;
            let row = (id.0 as usize).checked_sub(1).and_then(|at| self.refunds.get_mut(at));
            let row = row.filter(|row| row.status == refund::Status::Requested);
            let Some(row) = row else { continue };
            settled += 1;
            let change = match verdict {
                Verdict::NoAnswer { retry_in_ms } => {
                    row.unanswered += 1;
                    (row.due, row.claimed_by) = (now.plus_ms(retry_in_ms), None);
                    continue;
                }
                Verdict::Succeeded => {
                    row.status = refund::Status::Succeeded;
                    RefundChange::Succeeded
                }
                Verdict::Declined { reason, .. } => {
                    row.status = refund::Status::Failed;
                    RefundChange::Failed { reason }
                }
            };
            self.tell_refund(at, id, change);
        }
        Outcome::RefundsSettled(settled)
    }

    fn tell_refund(&mut self, at: &mut At<'_>, refund: RefundId, change: RefundChange) {
        let row = &self.refunds[refund.0 as usize - 1];
        let (order, user, amount) = (row.order, row.facts.user, row.amount);
        let trace = row.trace.clone();
        let kind = Kind::Refund { refund, order, user, amount, change };
        self.tell(at, Some(&trace), kind);
    }

    /// Units of a product that came back of an order.
    pub(crate) fn returned(
        &self,
        order: engine::ids::OrderId,
        product: engine::ids::ProductId,
    ) -> u64 {
        let of = self.refunds.iter().filter(|row| row.order == order);
        let lines = of.flat_map(|row| {
            let is_of = |line: &&refund::Line| {
                line.restock && row.facts.items[line.line as usize - 1].product == product
            };
            row.lines.iter().filter(is_of)
        });
        lines.map(|line| u64::from(line.quantity.0)).sum()
    }
}

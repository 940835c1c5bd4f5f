//! What the model does with orders and their payments.

use engine::command::{CancelOrder, ClaimPayments, PaymentResult, PlaceOrder, Verdict};
use engine::hold;
use engine::ids::{OrderId, ProductId};
use engine::money::Money;
use engine::order::{Line, PaymentMethod, Status};
use engine::outcome::{ClaimedPayment, Outcome, Rejection};

use super::{At, Model, Order, Progress, Request, Versions};

/// Units of each product that lines ask for, by first mention.
pub(super) fn wanted(lines: &[Line]) -> Vec<(ProductId, u64)> {
    let mut wanted: Vec<(ProductId, u64)> = Vec::new();
    for line in lines {
        let units = u64::from(line.quantity.0);
        match wanted.iter_mut().find(|(id, _)| *id == line.product) {
            Some((_, sum)) => *sum += units,
            None => wanted.push((line.product, units)),
        }
    }
    wanted
}

impl Model {
    pub(super) fn place(
        &mut self,
        at: &mut At<'_>,
        command: PlaceOrder,
    ) -> Result<Outcome, Rejection> {
        let request = Request {
            user: command.user,
            hold: command.hold,
            lines: command.lines,
            method: command.payment_method,
            metadata: command.metadata,
        };
        if let Some((_, id)) = command.key.as_ref().and_then(|key| self.keys.get(key)) {
            return match self.orders[id.0 as usize - 1].request == request {
                true => Ok(Outcome::Replayed(*id)),
                false => Err(Rejection::KeyReused),
            };
        }
        let hold = command.hold.map(|id| self.usable_hold(id).cloned()).transpose()?;
        let user = match hold.as_ref().and_then(|hold| hold.user) {
            None => request.user,
            Some(user) if request.user.is_none_or(|named| named == user) => Some(user),
            Some(_) => return Err(Rejection::Invalid("user_id")),
        };
        let open = |order: &&Order| !order.progress.now().status.is_final();
        if self.orders.iter().filter(open).count() as u64 >= command.open_orders_max {
            return Err(Rejection::TooManyOpenOrders);
        }
        let lines = hold.as_ref().map_or(&request.lines, |hold| &hold.lines).clone();
        let mut total = Money(0);
        let mut prices = Vec::new();
        for line in &lines {
            let product =
                self.active(line.product).ok_or(Rejection::ProductNotFound(line.product))?;
            total = Money(total.0 + product.price.0 * i64::from(line.quantity.0));
            prices.push(product.price);
        }
        let wanted = wanted(&lines);
        if hold.is_none() {
            self.check_wanted(&wanted)?;
        }
        let id = OrderId(self.orders.len() as u64 + 1);
        if let Some(hold) = command.hold {
            self.end_hold(at, hold, hold::Status::Consumed(id));
        }
        for (product, units) in wanted {
            self.shift(at, product, |product| {
                match hold {
                    Some(_) => product.held -= units as i64,
                    None => product.available -= units as i64,
                }
                product.reserved += units as i64;
            });
        }
        if let Some(key) = &command.key {
            self.keys.insert(key.clone(), (at.position, id));
        }
        let progress = Progress {
            status: Status::Pending,
            attempt: 1,
            unanswered: 0,
            due: self.clock,
            claimed_by: None,
        };
        let waits = request.method == PaymentMethod::Webhook;
        self.orders.push(Order {
            request,
            user,
            lines,
            total,
            prices,
            key: command.key,
            attempts_max: command.payment_attempts_max,
            deadline: waits.then(|| self.clock.plus_ms(command.payment_deadline_ms)),
            trace: at.trace.clone(),
            progress: Versions::new(at.position, progress),
        });
        at.predicted.moves.push((id, Status::Pending));
        Ok(Outcome::Placed(id))
    }

    pub(super) fn cancel(
        &mut self,
        at: &mut At<'_>,
        command: &CancelOrder,
    ) -> Result<Outcome, Rejection> {
        let order = command.order;
        let found = self.order(order).ok_or(Rejection::OrderNotFound)?;
        match found.progress.now().status {
            Status::Pending => {
                self.advance(at, order, Status::Cancelled);
                Ok(Outcome::Cancelled { order, already: false })
            }
            Status::Cancelled => Ok(Outcome::Cancelled { order, already: true }),
            status => Err(Rejection::NotCancellable { order, status }),
        }
    }

    /// Whether there are so many units and so many may be asked for.
    pub(super) fn check_wanted(&self, wanted: &[(ProductId, u64)]) -> Result<(), Rejection> {
        for &(product, requested) in wanted {
            let limit = self.active(product).and_then(|found| found.max_per_order);
            if let Some(limit) = limit.filter(|limit| requested > u64::from(*limit)) {
                return Err(Rejection::PurchaseLimitExceeded { product, limit, requested });
            }
        }
        for &(product, requested) in wanted {
            let available = self.active(product).map_or(0, |found| found.available);
            if available < requested as i64 {
                return Err(Rejection::InsufficientStock { product, requested, available });
            }
        }
        Ok(())
    }

    pub(super) fn claim(&mut self, at: &mut At<'_>, command: &ClaimPayments) -> Outcome {
        let mut claimed = Vec::new();
        for &(id, attempt) in &command.tasks {
            let now = self.clock;
            let Some(order) = self.order(id) else { continue };
            let before = order.progress.now().clone();
            let waits = order.request.method == PaymentMethod::Mock && !before.status.is_final();
            if !waits || before.attempt != attempt || before.due > now {
                continue;
            }
            at.predicted.takeovers +=
                u64::from(before.claimed_by.is_some_and(|node| node != command.node));
            if before.status == Status::Pending {
                self.advance(at, id, Status::Processing);
            }
            let order = &mut self.orders[id.0 as usize - 1];
            order.progress.change(at.position, |progress| {
                progress.due = now.plus_ms(command.lease_ms);
                progress.claimed_by = Some(command.node);
            });
            claimed.push(ClaimedPayment {
                order: id,
                attempt,
                unanswered: before.unanswered,
                amount: order.total,
                trace: order.trace.clone(),
            });
        }
        Outcome::Claimed(claimed)
    }

    pub(super) fn settle(&mut self, at: &mut At<'_>, results: Vec<PaymentResult>) -> Outcome {
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
                Verdict::Succeeded => self.advance(at, id, Status::Paid),
                Verdict::Declined { .. } if last => self.advance(at, id, Status::Failed),
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
        self.orders[id.0 as usize - 1].progress.change(at.position, |progress| {
            progress.claimed_by = None;
            change(progress);
        });
    }

    /// Moves an order along one of the four legal ways and its units with it.
    pub(super) fn advance(&mut self, at: &mut At<'_>, id: OrderId, to: Status) {
        let order = &mut self.orders[id.0 as usize - 1];
        let from = order.progress.now().status;
        let legal = match from {
            Status::Pending => matches!(to, Status::Processing | Status::Cancelled),
            Status::Processing => matches!(to, Status::Paid | Status::Failed),
            Status::Paid | Status::Failed | Status::Cancelled => false,
        };
        assert!(legal, "the model moved order {id} from {from} to {to}");
        order.progress.change(at.position, |progress| progress.status = to);
        at.predicted.moves.push((id, to));
        let lines = order.lines.clone();
        for Line { product, quantity } in lines {
            let units = i64::from(quantity.0);
            match to {
                Status::Paid => self.shift(at, product, |product| {
                    product.reserved -= units;
                    product.sold += units;
                }),
                Status::Failed | Status::Cancelled => self.shift(at, product, |product| {
                    product.reserved -= units;
                    product.available += units;
                }),
                Status::Pending | Status::Processing => {}
            }
        }
    }
}

//! What reports of payments do, by the model.

use engine::command::PaymentWebhook;
use engine::ids::{OrderId, Position};
use engine::order::Status;
use engine::outcome::{Outcome, Rejection};
use engine::webhook::{Conflict, Fate, Report};

use super::Model;

#[derive(Clone, Debug)]
pub(crate) struct WebhookModel {
    pub(crate) request: PaymentWebhook,
    pub(crate) fate: Fate,
    pub(crate) until: u64,
}

impl Model {
    pub(super) fn forget_webhooks(&mut self) {
        for webhook in &mut self.webhooks {
            if webhook.fate == Fate::Parked && webhook.until <= self.clock {
                webhook.fate = Fate::Unmatched;
            }
        }
    }

    pub(super) fn webhook(
        &mut self,
        at: Position,
        command: &PaymentWebhook,
    ) -> Result<Outcome, Rejection> {
        let order = command.order;
        let known = self.webhooks.iter().rfind(|webhook| webhook.request.key == command.key);
        if let Some(known) = known {
            let meaning =
                |webhook: &PaymentWebhook| (webhook.order, webhook.report, webhook.amount);
            if meaning(&known.request) != meaning(command) {
                return Err(Rejection::KeyReused);
            }
            if known.fate != Fate::Unmatched {
                return self.answer(order, known.fate, true);
            }
        }
        if order.0 == 0 {
            return Err(Rejection::Invalid("order_id"));
        }
        let exists = order.0 <= self.orders.len() as u64;
        let parked = || self.webhooks.iter().filter(|webhook| webhook.fate == Fate::Parked);
        let for_order = || parked().filter(|webhook| webhook.request.order == order);
        if !exists && (parked().count() as u64 >= command.parked_max || for_order().count() >= 16) {
            return Err(Rejection::TooManyParked);
        }
        let fate = match exists {
            true => self.report(order, command, at),
            false => Fate::Parked,
        };
        let until = self.clock + command.park_ms;
        self.webhooks.push(WebhookModel { request: command.clone(), fate, until });
        self.answer(order, fate, false)
    }

    fn answer(&self, order: OrderId, fate: Fate, duplicate: bool) -> Result<Outcome, Rejection> {
        match fate {
            Fate::Parked => Ok(Outcome::WebhookParked { order, duplicate }),
            Fate::Applied => Ok(Outcome::WebhookApplied { order, duplicate }),
            Fate::Conflict(conflict) => {
                let status = self.orders[order.0 as usize - 1].status;
                Err(Rejection::PaymentConflict { order, status, conflict })
            }
            Fate::Unmatched => panic!("told again, it is new"),
        }
    }

    /// Applies what waited for an order that was just placed.
    pub(super) fn drain(&mut self, order: OrderId, at: Position) {
        for n in 0..self.webhooks.len() {
            let webhook = &self.webhooks[n];
            if webhook.fate == Fate::Parked && webhook.request.order == order {
                let request = webhook.request.clone();
                self.webhooks[n].fate = self.report(order, &request, at);
            }
        }
    }

    fn report(&mut self, order: OrderId, webhook: &PaymentWebhook, at: Position) -> Fate {
        let n = order.0 as usize - 1;
        self.expire(n, at);
        match self.orders[n].status {
            Status::Pending => {}
            Status::Processing => return Fate::Conflict(Conflict::UnderWay),
            _ => return Fate::Conflict(Conflict::Late),
        }
        if webhook.amount.is_some_and(|amount| amount.0 != self.orders[n].total) {
            return Fate::Conflict(Conflict::Amount);
        }
        self.orders[n].path.push(Status::Processing);
        match webhook.report {
            Report::Succeeded => self.end(n, Status::Paid, None, at),
            Report::Failed => self.end(n, Status::Failed, Some("payment failed".into()), at),
        }
        Fate::Applied
    }
}

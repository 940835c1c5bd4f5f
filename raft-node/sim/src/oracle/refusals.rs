//! Refusals without an entry, judged by the model at the position of the node's look and at a clock
//! within the request.

use std::collections::{BTreeMap, BTreeSet};

use engine::command::{Command, PlaceOrder};
use engine::ids::{Position, ProductId, Timestamp};
use engine::order::Line;
use engine::outcome::{Outcome, Rejection, Shortage};

use super::{Oracle, end_of, equal};

/// Units for earlier orders of its batch.
type Taken = BTreeMap<ProductId, i64>;

/// When a node refused without an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stand {
    /// The last entry that it had applied.
    pub(crate) index: u64,
    /// The replicated clock after it.
    pub(crate) clock: Timestamp,
    /// The leader's clock, by which it judged.
    pub(crate) now: Timestamp,
    /// The replicated clock when the request arrived.
    pub(crate) asked: Timestamp,
}

impl Stand {
    fn at(self) -> Position {
        end_of(self.index)
    }

    /// The moment by which sales were judged.
    fn moment(self) -> Timestamp {
        self.clock.max(self.now)
    }
}

impl Oracle {
    /// Checks a refusal of orders or a hold by the state after an index, without an entry.
    pub(crate) fn refused_without_entry(
        &self,
        command: &Command,
        outcome: &Outcome,
        stand: Stand,
    ) -> Result<(), String> {
        let at = stand.at();
        if stand.moment() < stand.asked {
            return Err(format!("{command:?} is refused by a clock of before it came: {stand:?}"));
        }
        let unexpected =
            || Err(format!("{command:?} is refused at {at} without an entry: {outcome:?}"));
        match (command, outcome) {
            (Command::PlaceOrder(order), Outcome::Rejected(reason)) => {
                self.order_lacked(order, reason, &Taken::new(), stand)
            }
            (Command::CreateHold(hold), Outcome::Rejected(reason)) => {
                let used = hold.key.as_ref().and_then(|key| self.model.hold_keys.get(key));
                match used.filter(|(since, _)| *since <= at) {
                    Some((since, _)) => Err(format!("{:?} was used at {since}", hold.key)),
                    None => self.lacked(&hold.lines, reason, &Taken::new(), stand),
                }
            }
            (Command::PlaceBatch(batch), Outcome::Batch(outcomes)) if !batch.atomic => {
                equal("answers to a batch", outcomes.len(), batch.orders.len())?;
                for (order, outcome) in batch.orders.iter().zip(outcomes) {
                    let Outcome::Rejected(reason) = outcome else { return unexpected() };
                    self.order_lacked(order, reason, &Taken::new(), stand)?;
                }
                Ok(())
            }
            (Command::PlaceBatch(batch), Outcome::Rejected(Rejection::BatchRefused { items }))
                if batch.atomic && !items.is_empty() =>
            {
                self.batch_lacked(&batch.orders, items, stand)
            }
            _ => unexpected(),
        }
    }

    /// Checks that each order named in the refusal of an atomic batch lacks stock, and no other
    /// does.
    fn batch_lacked(
        &self,
        orders: &[PlaceOrder],
        items: &[(usize, Rejection)],
        stand: Stand,
    ) -> Result<(), String> {
        let at = stand.at();
        let (mut taken, mut keys) = (Taken::new(), BTreeSet::new());
        let mut items = items.iter().peekable();
        for (index, order) in orders.iter().enumerate() {
            if let Some((_, reason)) = items.next_if(|(refused, _)| *refused == index) {
                self.order_lacked(order, reason, &taken, stand)?;
                continue;
            }
            let repeats = order
                .key
                .as_ref()
                .is_some_and(|key| self.used(order, at).is_some() || !keys.insert(key));
            if order.hold.is_some() || repeats {
                continue;
            }
            if let Some(reason) = self.shut(&order.lines, stand) {
                return Err(format!("{order:?} should be refused: {reason}"));
            }
            for line in &order.lines {
                *taken.entry(line.product).or_default() += i64::from(line.quantity.0);
            }
            for line in &order.lines {
                let left = self.available(line.product, &taken, at);
                if left.is_none_or(|left| left < 0) {
                    return Err(format!(
                        "{left:?} of {} are left, so {order:?} fits",
                        line.product
                    ));
                }
            }
        }
        equal("refusals of no order of the batch", items.count(), 0)
    }

    fn order_lacked(
        &self,
        order: &PlaceOrder,
        reason: &Rejection,
        taken: &Taken,
        stand: Stand,
    ) -> Result<(), String> {
        let at = stand.at();
        match self.used(order, at) {
            Some(since) => Err(format!("{:?} was used at {since}, before {at}", order.key)),
            None => self.lacked(&order.lines, reason, taken, stand),
        }
    }

    /// The position from which an order's key is used, if it is.
    fn used(&self, order: &PlaceOrder, at: Position) -> Option<Position> {
        let (since, _) = self.model.keys.get(order.key.as_ref()?)?;
        Some(*since).filter(|since| *since <= at)
    }

    fn lacked(
        &self,
        lines: &[Line],
        reason: &Rejection,
        taken: &Taken,
        stand: Stand,
    ) -> Result<(), String> {
        let at = stand.at();
        if let Some(shut) = self.shut(lines, stand) {
            return equal(&format!("the refusal at {stand:?}"), reason, &shut);
        }
        let named = reason.shortages();
        if named.is_empty() {
            return Err(format!("{lines:?} are refused without an entry: {reason}"));
        }
        let mut short = Vec::new();
        for (n, line) in lines.iter().enumerate() {
            let product = line.product;
            if lines[..n].iter().any(|before| before.product == product) {
                continue;
            }
            let same = lines.iter().filter(|line| line.product == product);
            let requested: u64 = same.map(|line| u64::from(line.quantity.0)).sum();
            match self.available(product, taken, at) {
                Some(available) if available >= requested as i64 => {}
                Some(available) => short.push(Shortage { product, requested, available }),
                None => return Err(format!("product {product} is not there at {at}")),
            }
        }
        equal(&format!("products that are short at {at}"), named, short)
    }

    /// The refusal for the first product whose sale is not open. That it is over is certain only by
    /// the replicated clock.
    fn shut(&self, lines: &[Line], stand: Stand) -> Option<Rejection> {
        lines.iter().find_map(|&Line { product, .. }| {
            let sale = self.model.product(product)?.at(stand.at())?.sale;
            let clock = stand.moment();
            match (sale.opens_at, sale.closes_at) {
                (Some(opens_at), _) if clock < opens_at => {
                    Some(Rejection::SaleNotOpen { product, opens_at, clock })
                }
                (_, Some(closes_at)) if closes_at <= stand.clock => {
                    Some(Rejection::SaleClosed { product, closes_at })
                }
                _ => None,
            }
        })
    }

    /// The units of a product for sale at a position, when this many are taken.
    fn available(&self, product: ProductId, taken: &Taken, at: Position) -> Option<i64> {
        let known = self.model.product(product)?.at(at).filter(|known| !known.archived)?;
        Some(known.available - taken.get(&product).unwrap_or(&0))
    }
}

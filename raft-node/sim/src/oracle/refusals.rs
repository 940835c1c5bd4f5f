//! Refusals for lack of stock without an entry, judged by the model at the position of the node's
//! look.

use std::collections::{BTreeMap, BTreeSet};

use engine::command::{Command, PlaceOrder};
use engine::ids::{Position, ProductId};
use engine::order::Line;
use engine::outcome::{Outcome, Rejection, Shortage};

use super::{Oracle, end_of, equal};

/// Units for earlier orders of its batch.
type Taken = BTreeMap<ProductId, i64>;

impl Oracle {
    /// Checks a refusal of orders or a hold by the state after an index, without an entry.
    pub(crate) fn refused_without_entry(
        &self,
        command: &Command,
        outcome: &Outcome,
        index: u64,
    ) -> Result<(), String> {
        let at = end_of(index);
        let unexpected =
            || Err(format!("{command:?} is refused at {at} without an entry: {outcome:?}"));
        match (command, outcome) {
            (Command::PlaceOrder(order), Outcome::Rejected(reason)) => {
                self.order_lacked(order, reason, &Taken::new(), at)
            }
            (Command::CreateHold(hold), Outcome::Rejected(reason)) => {
                let used = hold.key.as_ref().and_then(|key| self.model.hold_keys.get(key));
                match used.filter(|(since, _)| *since <= at) {
                    Some((since, _)) => Err(format!("{:?} was used at {since}", hold.key)),
                    None => self.lacked(&hold.lines, reason, &Taken::new(), at),
                }
            }
            (Command::PlaceBatch(batch), Outcome::Batch(outcomes)) if !batch.atomic => {
                equal("answers to a batch", outcomes.len(), batch.orders.len())?;
                for (order, outcome) in batch.orders.iter().zip(outcomes) {
                    let Outcome::Rejected(reason) = outcome else { return unexpected() };
                    self.order_lacked(order, reason, &Taken::new(), at)?;
                }
                Ok(())
            }
            (Command::PlaceBatch(batch), Outcome::Rejected(Rejection::BatchRefused { items }))
                if batch.atomic && !items.is_empty() =>
            {
                self.batch_lacked(&batch.orders, items, at)
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
        at: Position,
    ) -> Result<(), String> {
        let (mut taken, mut keys) = (Taken::new(), BTreeSet::new());
        let mut items = items.iter().peekable();
        for (index, order) in orders.iter().enumerate() {
            if let Some((_, reason)) = items.next_if(|(refused, _)| *refused == index) {
                self.order_lacked(order, reason, &taken, at)?;
                continue;
            }
            let repeats = order
                .key
                .as_ref()
                .is_some_and(|key| self.used(order, at).is_some() || !keys.insert(key));
            if order.hold.is_some() || repeats {
                continue;
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
        at: Position,
    ) -> Result<(), String> {
        match self.used(order, at) {
            Some(since) => Err(format!("{:?} was used at {since}, before {at}", order.key)),
            None => self.lacked(&order.lines, reason, taken, at),
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
        at: Position,
    ) -> Result<(), String> {
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

    /// The units of a product for sale at a position, when this many are taken.
    fn available(&self, product: ProductId, taken: &Taken, at: Position) -> Option<i64> {
        let known = self.model.product(product)?.at(at).filter(|known| !known.archived)?;
        Some(known.available - taken.get(&product).unwrap_or(&0))
    }
}

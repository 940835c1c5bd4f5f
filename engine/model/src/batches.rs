//! Batches of orders in the model.
//!
//! The model really tries an atomic batch first, order after order, and undoes it. So it needs no
//! second set of rules for what the orders ask for together.

use engine::command::{PlaceBatch, PlaceOrder};
use engine::ids::HoldId;
use engine::outcome::{Outcome, Rejection};

use crate::model::{At, Model};
use crate::rows::{Product, Term, Versions};

/// The most orders of one batch.
const ORDERS_MAX: usize = 1000;

/// Where everything stood that placing orders may change.
struct Mark {
    products: Vec<(usize, Product)>,
    ledgers: Vec<usize>,
    holds: Vec<(HoldId, usize, Term)>,
    orders: usize,
    new_keys: Vec<Box<str>>,
    events: usize,
    touched: usize,
}

impl Model {
    pub(crate) fn place_batch(
        &mut self,
        at: &mut At<'_>,
        command: PlaceBatch,
    ) -> Result<Outcome, Rejection> {
        let PlaceBatch { atomic, orders } = command;
        if orders.is_empty() || orders.len() > ORDERS_MAX {
            return Err(Rejection::Invalid("orders"));
        }
        if atomic {
            self.try_all(at, &orders)?;
        }
        let placed = orders
            .into_iter()
            .map(|order| self.place(at, order).unwrap_or_else(Outcome::Rejected))
            .collect();
        Ok(Outcome::Batch(placed))
    }

    /// Returns whether all orders can be placed, one after the other, before any report that waits
    /// for one of them changes something.
    fn try_all(&mut self, at: &mut At<'_>, orders: &[PlaceOrder]) -> Result<(), Rejection> {
        let mark = self.mark(at, orders);
        let first = mark.orders as u64 + 1;
        let mut refused = Vec::new();
        for (index, order) in orders.iter().enumerate() {
            let reason = match self.put(at, order.clone()) {
                Ok(_) => continue,
                // Two orders of the batch want the same hold.
                Err(Rejection::HoldConsumed { hold, order }) if order.0 >= first => {
                    Rejection::HoldNamedTwice(hold)
                }
                Err(Rejection::ReferenceTaken { order: Some(order) }) if order.0 >= first => {
                    Rejection::ReferenceTaken { order: None }
                }
                Err(other) => other,
            };
            refused.push((index, reason));
        }
        self.go_back(at, mark);
        for (index, reason) in &refused {
            self.tell_refused(at, &orders[*index], reason);
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(Rejection::BatchRefused { items: refused.into() }),
        }
    }

    fn mark(&self, at: &At<'_>, orders: &[PlaceOrder]) -> Mark {
        let holds = orders.iter().filter_map(|order| order.hold).filter_map(|id| {
            let (length, term) = self.hold(id)?.term.mark();
            Some((id, length, term))
        });
        let keys = orders.iter().filter_map(|order| order.key.clone());
        Mark {
            products: self.products.iter().map(Versions::mark).collect(),
            ledgers: self.ledgers.iter().map(Vec::len).collect(),
            holds: holds.collect(),
            orders: self.orders.len(),
            new_keys: keys.filter(|key| !self.keys.contains_key(key)).collect(),
            events: at.predicted.events.len(),
            touched: self.touched.len(),
        }
    }

    fn go_back(&mut self, at: &mut At<'_>, mark: Mark) {
        for (product, (length, value)) in self.products.iter_mut().zip(mark.products) {
            product.reset(length, value);
        }
        for (ledger, length) in self.ledgers.iter_mut().zip(mark.ledgers) {
            ledger.truncate(length);
        }
        for (id, length, term) in mark.holds {
            self.holds[id.0 as usize - 1].term.reset(length, term);
        }
        self.orders.truncate(mark.orders);
        for key in mark.new_keys {
            self.keys.remove(&key);
        }
        at.predicted.events.truncate(mark.events);
        self.touched.truncate(mark.touched);
    }
}

//! The books of the model: movements of units, the ledger of their causes, and events.

use engine::event::{Event, HoldChange, Kind, OrderChange};
use engine::hold;
use engine::ids::{HoldId, OrderId, ProductId};
use engine::ledger::Cause;
use engine::order::Line;
use engine::trace::TraceId;

use crate::model::{At, Model};
use crate::orders::wanted;
use crate::rows::{Movement, Product, counters};

impl Model {
    /// Changes a product at this position.
    pub(crate) fn edit(
        &mut self,
        at: &At<'_>,
        id: ProductId,
        change: impl FnOnce(&mut Product),
    ) -> &Product {
        self.touched.push(id);
        let product = &mut self.products[id.0 as usize - 1];
        product.change(at.position, |product| {
            change(product);
            product.version = at.position;
        });
        product.now()
    }

    /// Moves units of a product, and records that in its ledger.
    pub(crate) fn enter(
        &mut self,
        at: &At<'_>,
        id: ProductId,
        cause: Cause,
        change: impl FnOnce(&mut Product),
    ) {
        let after = counters(self.edit(at, id, change));
        let row = Movement { position: at.position, at: self.clock, cause, after };
        self.ledgers[id.0 as usize - 1].push(row);
    }

    /// Moves units of a product, and emits an event when none or few are left.
    pub(crate) fn shift(
        &mut self,
        at: &mut At<'_>,
        id: ProductId,
        cause: Cause,
        change: impl FnOnce(&mut Product),
    ) {
        let before = self.products[id.0 as usize - 1].now().available;
        self.enter(at, id, cause, change);
        self.tell_stock(at, id, before);
    }

    pub(crate) fn tell_stock(&self, at: &mut At<'_>, id: ProductId, before: i64) {
        let product = self.products[id.0 as usize - 1].now();
        let available = product.available;
        match product.low_stock {
            _ if available == 0 && before > 0 => self.tell(at, None, Kind::SoldOut(id)),
            Some(threshold)
                if before > i64::from(threshold) && available <= i64::from(threshold) =>
            {
                self.tell(at, None, Kind::LowStock { product: id, available, threshold });
            }
            _ => {}
        }
    }

    /// Emits an event, under the trace of this request or of the row's.
    pub(crate) fn tell(&self, at: &mut At<'_>, trace: Option<&TraceId>, kind: Kind) {
        let events = &mut at.predicted.events;
        let before = events.last().filter(|event| event.position == at.position);
        let n = before.map_or(0, |event| event.n + 1);
        let trace = trace.unwrap_or(at.trace).clone();
        events.push(Event { position: at.position, n, at: self.clock, trace, kind });
    }

    pub(crate) fn tell_order(&self, at: &mut At<'_>, id: OrderId, change: OrderChange) {
        let order = &self.orders[id.0 as usize - 1];
        let products = wanted(&order.lines).into_iter().map(|(product, _)| product).collect();
        let (user, total) = (order.user, order.total);
        let kind = Kind::Order { order: id, user, change, total, products };
        self.tell(at, Some(&order.trace), kind);
    }

    pub(crate) fn tell_hold(&self, at: &mut At<'_>, id: HoldId, change: HoldChange) {
        let hold = &self.holds[id.0 as usize - 1];
        let (user, lines) = (hold.user, hold.lines.clone().into());
        let expires_at = hold.term.now().expires_at;
        let kind = Kind::Hold { hold: id, user, lines, expires_at, change };
        self.tell(at, Some(&hold.trace), kind);
    }

    /// Balances the books of API.md section 4 for all products that changed since the last time.
    ///
    /// # Errors
    /// When the counters of a product disagree with its orders and holds.
    pub fn balance(&mut self) -> Result<(), String> {
        self.touched.sort_unstable();
        self.touched.dedup();
        for id in std::mem::take(&mut self.touched) {
            let product = self.products[id.0 as usize - 1].now();
            let units = |lines: &[Line]| -> i64 {
                let lines = lines.iter().filter(|line| line.product == id);
                lines.map(|line| i64::from(line.quantity.0)).sum()
            };
            let open = self.orders.iter().filter(|order| !order.progress.now().status.is_final());
            let reserved: i64 = open.map(|order| units(&order.lines)).sum();
            let active =
                self.holds.iter().filter(|hold| hold.term.now().status == hold::Status::Active);
            let held: i64 = active.map(|hold| units(&hold.lines)).sum();
            let counted = product.available + product.held + product.reserved + product.sold;
            if product.available < 0
                || (product.reserved, product.held) != (reserved, held)
                || counted != product.brought_in
            {
                return Err(format!(
                    "product {id} does not balance: {product:?}, open orders have {reserved}, \
                     active holds {held}"
                ));
            }
        }
        Ok(())
    }
}

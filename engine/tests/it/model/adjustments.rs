//! What adjustments do, by the model.

use engine::adjustment::Change;
use engine::command::AdjustStock;
use engine::ids::{AdjustmentId, Position};
use engine::outcome::{Outcome, Rejection};

use super::Model;

#[derive(Clone, Debug)]
pub(crate) struct AdjustmentModel {
    pub(crate) request: AdjustStock,
    pub(crate) delta: i64,
    pub(crate) at: Position,
}

impl Model {
    pub(super) fn adjust(
        &mut self,
        at: Position,
        command: &AdjustStock,
    ) -> Result<Outcome, Rejection> {
        let product = command.product;
        let same_key = |made: &AdjustmentModel| made.request.key == command.key;
        let known = self.adjustments.iter().position(same_key);
        if let Some(n) = known.filter(|_| command.key.is_some()) {
            // The key is the only thing that could differ, and it does not.
            if self.adjustments[n].request != *command {
                return Err(Rejection::KeyReused);
            }
            let adjustment = AdjustmentId(n as u64 + 1);
            return Ok(Outcome::AdjustmentReplayed { adjustment, product });
        }
        if command.reason.is_empty() {
            return Err(Rejection::Invalid("reason"));
        }
        let row = self.product(product).ok_or(Rejection::ProductNotFound(product))?;
        let available = row.available;
        let delta = match command.change {
            Change::By(0) => return Err(Rejection::Invalid("delta")),
            Change::By(delta) => delta,
            Change::To(units) if units < 0 => return Err(Rejection::Invalid("set")),
            Change::To(units) => units - available,
        };
        if let Some(expected) = command.expected.filter(|expected| *expected != available) {
            return Err(Rejection::StockMismatch { product, expected, available });
        }
        if available + delta < 0 {
            return Err(Rejection::StockBelowZero { product, delta, available });
        }
        self.shift(product, at, [delta, 0, 0, 0]);
        self.adjustments.push(AdjustmentModel { request: command.clone(), delta, at });
        let adjustment = AdjustmentId(self.adjustments.len() as u64);
        Ok(Outcome::StockAdjusted { adjustment, product })
    }
}

//! Adjusting the stock of a product, with a reason that its ledger refers to.

use crate::adjustment::{Adjustment, Change};
use crate::apply::context::Context;
use crate::apply::plan::check_key;
use crate::command::AdjustStock;
use crate::event::Kind;
use crate::ids::AdjustmentId;
use crate::keys::{self, KeyHash, Scope};
use crate::ledger;
use crate::order::REASON_BYTES_MAX;
use crate::outcome::{Outcome, Rejection};
use crate::product::{Product, STOCK_MAX};
use crate::state::State;

impl State {
    /// Adds units, or removes units that are neither held nor reserved.
    pub(crate) fn adjust_stock(
        &mut self,
        cx: &mut Context<'_>,
        command: AdjustStock,
    ) -> Result<Outcome, Rejection> {
        let AdjustStock { product, change, expected, reason, key } = command;
        let meaning = keys::of_adjustment(product, change, expected, &reason);
        let hash = key.as_deref().map(|key| KeyHash::of(Scope::Adjustment, key));
        match hash.and_then(|hash| self.keys.get(hash)) {
            Some(used) if !self.keys.is_same(Scope::Adjustment, used, &meaning) => {
                return Err(Rejection::KeyReused);
            }
            Some(used) => {
                let adjustment = AdjustmentId(used.id);
                return Ok(Outcome::AdjustmentReplayed { adjustment, product });
            }
            None => {}
        }
        check_key(key.as_deref())?;
        if !(1..=REASON_BYTES_MAX).contains(&reason.len()) {
            return Err(Rejection::Invalid("reason"));
        }
        let row = self.products.active(product).ok_or(Rejection::ProductNotFound(product))?;
        let before = row.stock.available();
        let delta = plan_adjustment(row, change, expected)?;
        let id = AdjustmentId(self.adjustments.len() + 1);
        if let Some(hash) = hash {
            let used = self.keys.used(Scope::Adjustment, id.0, &meaning);
            let new = self.keys.insert(hash, used);
            assert!(new, "an unused key was looked up before");
        }
        let available = before + delta;
        self.adjustments.push(Adjustment {
            id,
            product,
            change,
            expected,
            reason,
            key,
            delta,
            available,
            trace: cx.trace.clone(),
            position: cx.position,
            at: cx.at,
        });
        let cause = ledger::Cause::Adjustment(Some(id));
        self.products.adjust(product, delta, cause, cx.position, cx.at);
        self.totals.stock_adjustments += 1;
        self.tell(cx, Kind::StockAdjusted { product, adjustment: id, delta, available });
        self.tell_stock(cx, product, before);
        Ok(Outcome::StockAdjusted { adjustment: id, product })
    }
}

/// How many units to add, or to remove when negative.
fn plan_adjustment(row: &Product, change: Change, expected: Option<i64>) -> Result<i64, Rejection> {
    let (product, available) = (row.id, row.stock.available());
    match change {
        Change::By(delta) if delta == 0 || !(-STOCK_MAX..=STOCK_MAX).contains(&delta) => {
            return Err(Rejection::Invalid("delta"));
        }
        Change::To(units) if !(0..=STOCK_MAX).contains(&units) => {
            return Err(Rejection::Invalid("set"));
        }
        Change::By(_) | Change::To(_) => {}
    }
    if let Some(expected) = expected.filter(|expected| *expected != available) {
        return Err(Rejection::StockMismatch { product, expected, available });
    }
    // Both are bounded by STOCK_MAX, so neither sum can overflow.
    let delta = match change {
        Change::By(delta) => delta,
        Change::To(units) => units - available,
    };
    if available + delta < 0 {
        return Err(Rejection::StockBelowZero { product, delta, available });
    }
    // Units sold long ago count too: the sum of all units ever brought in must fit.
    if row.stock.on_hand + delta > STOCK_MAX || row.brought_in.checked_add(delta).is_none() {
        return Err(Rejection::StockOverflow);
    }
    Ok(delta)
}

//! The ledger of a product: every movement of units, with its cause and the counters after it.

use bincode::{Decode, Encode};

use crate::ids::{AdjustmentId, HoldId, OrderId, Position, RefundId, Timestamp};
use crate::product::Counters;

/// Ledger rows that are stored together.
pub(crate) const SEGMENT_ROWS: usize = 32;

/// Why units moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Cause {
    /// The product was created with its first stock.
    Created,
    /// An order reserved units.
    Order(OrderId),
    /// A paid order turned reserved units into sold ones.
    Sale(OrderId),
    /// A failed payment released reserved units.
    Release(OrderId),
    /// A cancelled order released reserved units.
    Cancel(OrderId),
    /// Somebody set the stock: by an adjustment, which has the reason, or by changing the product.
    Adjustment(Option<AdjustmentId>),
    /// A hold set units aside.
    Hold(HoldId),
    /// A hold was released early and returned its units.
    HoldRelease(HoldId),
    /// A hold expired and returned its units.
    HoldExpire(HoldId),
    /// An order consumed a hold: held units became reserved units.
    HoldConsume(OrderId),
    /// A refund brought sold units back.
    Return(RefundId),
}

impl Cause {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Created => "created",
            Cause::Order(_) => "order",
            Cause::Sale(_) => "sale",
            Cause::Release(_) => "release",
            Cause::Cancel(_) => "cancel",
            Cause::Adjustment(_) => "adjustment",
            Cause::Hold(_) => "hold",
            Cause::HoldRelease(_) => "hold_release",
            Cause::HoldExpire(_) => "hold_expire",
            Cause::HoldConsume(_) => "hold_consume",
            Cause::Return(_) => "return",
        }
    }

    /// The order that moved the units, if one did.
    pub fn order(self) -> Option<OrderId> {
        match self {
            Cause::Order(id)
            | Cause::Sale(id)
            | Cause::Release(id)
            | Cause::Cancel(id)
            | Cause::HoldConsume(id) => Some(id),
            Cause::Created
            | Cause::Adjustment(_)
            | Cause::Hold(_)
            | Cause::HoldRelease(_)
            | Cause::HoldExpire(_)
            | Cause::Return(_) => None,
        }
    }

    /// The hold that moved the units, if one did. A consumed hold is named by its order.
    pub fn hold(self) -> Option<HoldId> {
        match self {
            Cause::Hold(id) | Cause::HoldRelease(id) | Cause::HoldExpire(id) => Some(id),
            _ => None,
        }
    }

    /// The refund that brought the units back, if one did.
    pub fn refund(self) -> Option<RefundId> {
        match self {
            Cause::Return(id) => Some(id),
            _ => None,
        }
    }

    /// The adjustment that moved the units, if one did.
    pub fn adjustment(self) -> Option<AdjustmentId> {
        match self {
            Cause::Adjustment(id) => id,
            _ => None,
        }
    }
}

/// One movement. Its number among the product's rows, from 0, is its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Row {
    /// The command that moved the units.
    pub position: Position,
    /// The replicated clock at that moment.
    pub at: Timestamp,
    /// The reason.
    pub cause: Cause,
    /// Change of `on_hand`.
    pub on_hand: i64,
    /// Change of `held`.
    pub held: i64,
    /// Change of `reserved`.
    pub reserved: i64,
    /// Change of `sold`.
    pub sold: i64,
    /// The counters after the movement.
    pub after: Counters,
}

impl Row {
    /// The change that the row records.
    pub(crate) fn delta(&self) -> Delta {
        Delta { on_hand: self.on_hand, held: self.held, reserved: self.reserved, sold: self.sold }
    }

    /// The counters before it, or `None` when no counters lead to those after it.
    pub(crate) fn before(&self) -> Option<Counters> {
        Some(Counters {
            on_hand: self.after.on_hand.checked_sub(self.on_hand)?,
            held: self.after.held.checked_sub(self.held)?,
            reserved: self.after.reserved.checked_sub(self.reserved)?,
            sold: self.after.sold.checked_sub(self.sold)?,
        })
    }
}

/// A change of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) on_hand: i64,
    pub(crate) held: i64,
    pub(crate) reserved: i64,
    pub(crate) sold: i64,
}

impl Delta {
    /// The counters after the change, or `None` on overflow.
    pub(crate) fn apply_to(self, before: Counters) -> Option<Counters> {
        Some(Counters {
            on_hand: before.on_hand.checked_add(self.on_hand)?,
            held: before.held.checked_add(self.held)?,
            reserved: before.reserved.checked_add(self.reserved)?,
            sold: before.sold.checked_add(self.sold)?,
        })
    }
}

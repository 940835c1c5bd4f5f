//! The rules of a product's sale: when it is open, and how much a customer may take.

use bincode::{Decode, Encode};

use crate::ids::Timestamp;

/// The rules of a sale. The default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Sale {
    /// New orders and holds are refused while the replicated clock is before this instant.
    pub opens_at: Option<Timestamp>,
    /// New orders and holds, and extensions of holds, are refused from this instant on. A hold made
    /// before may still become an order.
    pub closes_at: Option<Timestamp>,
    /// The fewest units that one order or hold may request, at least 1.
    pub min_per_order: Option<u32>,
    /// The most units that one user may have in active holds, at least 1. Holds without a user are
    /// refused.
    pub max_held_per_user: Option<u32>,
}

/// A change of [`Sale`]: `None` leaves a rule as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SaleChange {
    /// New opening, or none.
    pub opens_at: Option<Option<Timestamp>>,
    /// New closing, or none.
    pub closes_at: Option<Option<Timestamp>>,
    /// New minimum per order, or none.
    pub min_per_order: Option<Option<u32>>,
    /// New limit of held units per user, or none.
    pub max_held_per_user: Option<Option<u32>>,
}

impl Sale {
    /// The rules after a change.
    pub(crate) fn with(self, change: SaleChange) -> Sale {
        Sale {
            opens_at: change.opens_at.unwrap_or(self.opens_at),
            closes_at: change.closes_at.unwrap_or(self.closes_at),
            min_per_order: change.min_per_order.unwrap_or(self.min_per_order),
            max_held_per_user: change.max_held_per_user.unwrap_or(self.max_held_per_user),
        }
    }

    /// The field that makes no sense, if there is one. The edge should have checked it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let ends_first = |opens: Timestamp| self.closes_at.is_some_and(|closes| closes <= opens);
        if self.opens_at.is_some_and(ends_first) {
            return Some("closes_at");
        }
        if self.min_per_order == Some(0) {
            return Some("min_per_order");
        }
        (self.max_held_per_user == Some(0)).then_some("max_held_per_user")
    }
}

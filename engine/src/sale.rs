//! The rules of a product's sale: when it is open, and how much a customer may take.

use bincode::{Decode, Encode};

use crate::ids::Timestamp;

/// The longest window of a limit, in days.
pub const WINDOW_DAYS_MAX: u32 = 366;

/// A day of 24 hours, in milliseconds.
pub const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// At most this many units of one user within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct PerWindow {
    /// The most units, at least 1.
    pub units: u32,
    /// The window in milliseconds, 1 to [`WINDOW_DAYS_MAX`] days. The edge takes whole days.
    pub ms: u64,
}

impl PerWindow {
    /// The window in days, rounded up.
    pub fn days(&self) -> u64 {
        self.ms.div_ceil(DAY_MS)
    }
}

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
    /// The most units that one user may take within a window that ends now: in holds, open orders
    /// and paid orders. Orders and holds without a user are refused.
    pub per_window: Option<PerWindow>,
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
    /// New limit per window, or none.
    pub per_window: Option<Option<PerWindow>>,
}

impl Sale {
    /// The rules after a change.
    pub(crate) fn with(self, change: SaleChange) -> Sale {
        Sale {
            opens_at: change.opens_at.unwrap_or(self.opens_at),
            closes_at: change.closes_at.unwrap_or(self.closes_at),
            min_per_order: change.min_per_order.unwrap_or(self.min_per_order),
            max_held_per_user: change.max_held_per_user.unwrap_or(self.max_held_per_user),
            per_window: change.per_window.unwrap_or(self.per_window),
        }
    }

    /// Whether new orders and holds are taken at this moment.
    pub fn is_open_at(&self, clock: Timestamp) -> bool {
        self.opens_at.is_none_or(|opens| opens <= clock)
            && self.closes_at.is_none_or(|closes| clock < closes)
    }

    /// Whether it closes before it opens, or at that instant.
    pub fn closes_first(&self) -> bool {
        let ends_first = |opens: Timestamp| self.closes_at.is_some_and(|closes| closes <= opens);
        self.opens_at.is_some_and(ends_first)
    }
}

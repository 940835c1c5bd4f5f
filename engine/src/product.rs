//! Products: what is sold, and the counters that must never go wrong.

use bincode::{Decode, Encode};

use crate::ids::{Position, ProductId, Timestamp};
use crate::money::Money;

/// The longest product name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest SKU, in bytes.
pub const SKU_BYTES_MAX: usize = 64;
/// The most units a product may be given at once, and have on hand: 2^48. Far below overflow,
/// whatever is added to it.
pub const STOCK_MAX: i64 = 1 << 48;

/// The counters of one product at one location.
///
/// `available = on_hand − held − reserved`, and none of the four is ever negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Counters {
    /// Units physically there: available, held or reserved.
    pub on_hand: i64,
    /// Units in active holds.
    pub held: i64,
    /// Units in open orders.
    pub reserved: i64,
    /// Units in paid orders.
    pub sold: i64,
}

impl Counters {
    /// What can still be sold.
    pub fn available(&self) -> i64 {
        self.on_hand - self.held - self.reserved
    }

    /// All units that products and adjustments ever brought in, less those taken out.
    pub fn total(&self) -> i64 {
        self.on_hand + self.sold
    }

    /// Whether no counter is negative.
    pub fn is_sound(&self) -> bool {
        self.on_hand >= 0
            && self.held >= 0
            && self.reserved >= 0
            && self.sold >= 0
            && self.available() >= 0
    }
}

/// A product, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its name, 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// Its stock keeping unit, if it has one.
    pub sku: Option<Box<str>>,
    /// The price of one unit for orders from now on.
    pub price: Money,
    /// The most units one order may ask for, if there is a limit.
    pub max_per_order: Option<u32>,
    /// The most units one user may have in all orders and holds together, if there is a limit.
    pub max_per_user: Option<u32>,
    /// The command that first gave it a limit per user. Units of orders and holds made before do
    /// not count.
    pub counted_since: Option<Position>,
    /// Tell when no more than so many units can be sold any more.
    pub low_stock: Option<u32>,
    /// Its counters.
    pub stock: Counters,
    /// Units brought in by its creation and by adjustments, less those taken out by them. Always
    /// equal to `stock.total()`; kept apart so that the two can be compared.
    pub brought_in: i64,
    /// How many ledger rows it has.
    pub ledger_rows: u64,
    /// Archived products are gone for readers and new orders; open orders still settle.
    pub archived: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed, its counters included.
    pub updated_at: Timestamp,
    /// The command that last changed it; its `ETag`.
    pub version: Position,
}

impl Product {
    /// Whether units taken by the command at `position` count towards the limit per user.
    pub(crate) fn counts(&self, position: Position) -> bool {
        self.counted_since.is_some_and(|since| since <= position)
    }
}

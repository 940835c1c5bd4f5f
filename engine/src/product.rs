//! Products: what is for sale, and the counters that must always be right.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::ids::{Position, ProductId, Timestamp};
use crate::money::Money;
use crate::sale::{PerWindow, Sale};

/// The longest product name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest SKU, in bytes.
pub const SKU_BYTES_MAX: usize = 64;
/// The most units that a product may have on hand or get at once: 2^48. Sums of such numbers stay
/// far below overflow.
pub const STOCK_MAX: i64 = 1 << 48;

/// The counters of one product at one location.
///
/// `available = on_hand − held − reserved`. None of the four is ever negative.
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
    /// Units that can be sold.
    pub fn available(&self) -> i64 {
        self.on_hand - self.held - self.reserved
    }

    /// All units ever brought in, less those taken out.
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

/// A stored product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its name, 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// Its stock keeping unit, if it has one.
    pub sku: Option<Box<str>>,
    /// The price of one unit for new orders.
    pub price: Money,
    /// The most units that one order may request, if limited.
    pub max_per_order: Option<u32>,
    /// The most units that one user may have in all orders and holds together, if limited.
    pub max_per_user: Option<u32>,
    /// The command that first set a limit per user. Units of earlier orders and holds do not count.
    pub counted_since: Option<Position>,
    /// The threshold of the event for low stock, in available units.
    pub low_stock: Option<u32>,
    /// Its counters.
    pub stock: Counters,
    /// Units brought in by its creation and by adjustments, less those taken out. Always equal to
    /// `stock.total()`; stored separately so that a check can compare the two.
    pub brought_in: i64,
    /// How many ledger rows it has.
    pub ledger_rows: u64,
    /// Archived products are invisible to readers and new orders; their open orders still settle.
    pub archived: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed, its counters included.
    pub updated_at: Timestamp,
    /// The command that last changed it; its `ETag`.
    pub version: Position,
    /// The rules of its sale.
    pub sale: Sale,
    /// From when units count towards the limit per window, while there is one.
    pub window: Option<Counted>,
}

/// From when units count towards a limit per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Counted {
    /// The command that set the limit. Units of earlier orders and holds do not count.
    pub since: Position,
    /// Units taken before do not count: when a window became longer, they had left the shorter one.
    pub from: Timestamp,
}

/// In the flags of a stored row: the product is archived.
const ARCHIVED: u8 = 1;
/// In the flags of a stored row: the rules of a sale follow the other fields. Rows without them are
/// as before there were such rules.
const HAS_SALE: u8 = 2;

impl Encode for Product {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let has_sale = self.sale != Sale::default();
        let flags = u8::from(self.archived) * ARCHIVED + u8::from(has_sale) * HAS_SALE;
        (self.id, &self.name, &self.sku, self.price).encode(encoder)?;
        (self.max_per_order, self.max_per_user, self.counted_since).encode(encoder)?;
        (self.low_stock, self.stock, self.brought_in, self.ledger_rows).encode(encoder)?;
        (flags, self.created_at, self.updated_at, self.version).encode(encoder)?;
        match has_sale {
            true => (self.sale, self.window).encode(encoder),
            false => Ok(()),
        }
    }
}

bincode::impl_borrow_decode!(Product);

impl<C> Decode<C> for Product {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Product, DecodeError> {
        let (id, name, sku, price) = Decode::decode(decoder)?;
        let (max_per_order, max_per_user, counted_since) = Decode::decode(decoder)?;
        let (low_stock, stock, brought_in, ledger_rows) = Decode::decode(decoder)?;
        let (flags, created_at, updated_at, version): (u8, _, _, _) = Decode::decode(decoder)?;
        if flags & !(ARCHIVED | HAS_SALE) != 0 {
            return Err(DecodeError::Other("unknown flags of a product"));
        }
        let (sale, window) = match flags & HAS_SALE {
            0 => (Sale::default(), None),
            _ => Decode::decode(decoder)?,
        };
        Ok(Product {
            id,
            name,
            sku,
            price,
            max_per_order,
            max_per_user,
            counted_since,
            low_stock,
            stock,
            brought_in,
            ledger_rows,
            archived: flags & ARCHIVED != 0,
            created_at,
            updated_at,
            version,
            sale,
            window,
        })
    }
}

impl Product {
    /// Whether units taken by the command at `position` count towards the limit per user.
    pub(crate) fn counts(&self, position: Position) -> bool {
        self.counted_since.is_some_and(|since| since <= position)
    }

    /// Whether units taken by the command at `position`, at the moment `at`, count towards the
    /// limit per window at `clock`.
    pub(crate) fn window_counts(
        &self,
        position: Position,
        at: Timestamp,
        clock: Timestamp,
    ) -> bool {
        let (Some(limit), Some(counted)) = (self.sale.per_window, self.window) else {
            return false;
        };
        let end = at.plus_ms(limit.ms);
        #[cfg(feature = "planted-bugs")]
        let end = match crate::planted::is_planted(crate::planted::Bug::WindowEarly) {
            true => at.plus_ms(1_000),
            false => end,
        };
        counted.since <= position && counted.from <= at && clock < end
    }

    /// From when units count towards the limit per window `next`, which the command at `position`
    /// sets at `clock`.
    pub(crate) fn counted_under(
        &self,
        next: Option<PerWindow>,
        position: Position,
        clock: Timestamp,
    ) -> Option<Counted> {
        let next = next?;
        let (Some(limit), Some(counted)) = (self.sale.per_window, self.window) else {
            return Some(Counted { since: position, from: clock });
        };
        // What had left the shorter window was forgotten.
        let left = Timestamp(clock.0.saturating_sub(limit.ms).saturating_add(1));
        let from = if next.ms > limit.ms { counted.from.max(left) } else { counted.from };
        Some(Counted { from, ..counted })
    }
}

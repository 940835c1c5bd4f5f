//! Operations: an invocation with its outcome, typed.

use std::fmt;

use super::Process;

/// Products and quantities, each product once, ascending by name.
pub type Items = Vec<(String, u64)>;

/// One operation of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The client.
    pub process: Process,
    /// The node that was asked, if it was recorded.
    pub node: Option<String>,
    /// The request.
    pub call: Call,
    /// Its outcome.
    pub outcome: Outcome,
    /// When it began, in nanoseconds.
    pub invoked: u64,
    /// When the caller knew the outcome, or stopped waiting; `None` when the history ends before.
    pub ended: Option<u64>,
    /// The line of the invocation, from 1.
    pub line: usize,
    /// The line of the completion.
    pub end_line: Option<usize>,
}

impl Operation {
    /// The latest time of its effect: `None` for an unknown outcome, which may take effect at any
    /// later time.
    #[must_use]
    pub fn returned(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok(_) | Outcome::Fail(_) => self.ended,
            Outcome::Info(_) => None,
        }
    }

    /// Whether the shop refused it by its rules.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(&self.outcome, Outcome::Fail(reason) if reason.is_decision())
    }

    /// Whether the request allowed an old state.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(
            self.call,
            Call::ReadProduct { stale: true, .. } | Call::ReadOrder { stale: true, .. }
        )
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }
}

/// The requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `create_product`
    CreateProduct {
        /// Its name in the history.
        product: String,
        /// Initial available units.
        stock: u64,
    },
    /// `place_order`
    PlaceOrder {
        /// The idempotency key, if it was sent with one.
        key: Option<String>,
        /// The ordered items: at least one unit of at least one product.
        items: Items,
    },
    /// `cancel`
    Cancel {
        /// The order.
        order: String,
    },
    /// `read_product`
    ReadProduct {
        /// The product.
        product: String,
        /// Whether the request allowed an old state.
        stale: bool,
    },
    /// `read_order`
    ReadOrder {
        /// The order.
        order: String,
        /// Whether the request allowed an old state.
        stale: bool,
    },
    /// `dump`
    Dump,
}

impl Call {
    /// The name in the history.
    #[must_use]
    pub const fn f(&self) -> &'static str {
        match self {
            Self::CreateProduct { .. } => "create_product",
            Self::PlaceOrder { .. } => "place_order",
            Self::Cancel { .. } => "cancel",
            Self::ReadProduct { .. } => "read_product",
            Self::ReadOrder { .. } => "read_order",
            Self::Dump => "dump",
        }
    }

    /// Whether it can change anything.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        match self {
            Self::CreateProduct { .. } | Self::PlaceOrder { .. } | Self::Cancel { .. } => true,
            Self::ReadProduct { .. } | Self::ReadOrder { .. } | Self::Dump => false,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateProduct { product, stock } => {
                write!(formatter, "create_product {product} with stock {stock}")
            }
            Self::PlaceOrder { key, items } => {
                write!(formatter, "place_order")?;
                if let Some(key) = key {
                    write!(formatter, " under key {key}")?;
                }
                for (at, (product, qty)) in items.iter().enumerate() {
                    write!(formatter, "{} {qty} × {product}", if at == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::Cancel { order } => write!(formatter, "cancel {order}"),
            Self::ReadProduct { product, stale } => {
                write!(formatter, "read_product {product}{}", if *stale { " (stale)" } else { "" })
            }
            Self::ReadOrder { order, stale } => {
                write!(formatter, "read_order {order}{}", if *stale { " (stale)" } else { "" })
            }
            Self::Dump => write!(formatter, "dump"),
        }
    }
}

/// The outcome of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It succeeded with this result.
    Ok(Reply),
    /// It certainly had no effect.
    Fail(Reason),
    /// Unknown; the text has the reason.
    Info(String),
}

/// The result of a success.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Only that it succeeded.
    Done,
    /// The order that was placed, now or by an earlier request under the same key.
    Placed(String),
    /// Available units of a product. Negative only in a history that must be refused.
    Stock(i64),
    /// An order.
    Order {
        /// Its status.
        status: Status,
        /// Its items, if the answer has them.
        items: Option<Items>,
    },
    /// The whole state of a node.
    Dump(Box<Dump>),
}

/// Why an operation was refused, or could not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Fewer units are available than requested.
    InsufficientStock,
    /// There is no such order or product.
    NotFound,
    /// Another request used the key.
    KeyConflict,
    /// The order can no longer be cancelled.
    NotCancellable,
    /// The product exists already.
    AlreadyExists,
    /// A fault that says nothing about the state, such as a refused connection.
    Other(String),
}

impl Reason {
    /// Reads the `error` of a failure. Also accepts the API's own codes.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "insufficient_stock" => Self::InsufficientStock,
            "not_found" => Self::NotFound,
            "key_conflict" | "idempotency_key_reused" => Self::KeyConflict,
            "not_cancellable" | "order_not_cancellable" => Self::NotCancellable,
            "already_exists" => Self::AlreadyExists,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The word in the history.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InsufficientStock => "insufficient_stock",
            Self::NotFound => "not_found",
            Self::KeyConflict => "key_conflict",
            Self::NotCancellable => "not_cancellable",
            Self::AlreadyExists => "already_exists",
            Self::Other(text) => text,
        }
    }

    /// Whether the shop refused it by its rules, so that it says something about the state.
    #[must_use]
    pub const fn is_decision(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// The status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Placed; its stock is reserved.
    Pending,
    /// Its payment is in progress.
    Processing,
    /// Paid: final, its stock is sold.
    Paid,
    /// Payment refused: final, its stock is returned.
    Failed,
    /// Cancelled: final, its stock is returned.
    Cancelled,
}

impl Status {
    /// Reads a status in any case, or in the words of other shops.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "pending" | "placed" | "open" | "reserved" => Self::Pending,
            "processing" => Self::Processing,
            "paid" | "confirmed" => Self::Paid,
            "failed" => Self::Failed,
            "cancelled" | "canceled" => Self::Cancelled,
            _ => return None,
        })
    }

    /// The word in the history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::Paid => "PAID",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether the order keeps its units from others.
    #[must_use]
    pub const fn keeps_stock(self) -> bool {
        match self {
            Self::Pending | Self::Processing | Self::Paid => true,
            Self::Failed | Self::Cancelled => false,
        }
    }

    /// Whether an order can ever get from here to `to`, in any number of steps, even none.
    #[must_use]
    pub fn reaches(self, to: Self) -> bool {
        self == to
            || match self {
                Self::Pending => true,
                Self::Processing => matches!(to, Self::Paid | Self::Failed),
                Self::Paid | Self::Failed | Self::Cancelled => false,
            }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One node's own state at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Which node.
    pub node: String,
    /// Every product.
    pub products: Vec<Stock>,
    /// Every order.
    pub orders: Vec<DumpOrder>,
    /// Every hold.
    pub holds: Vec<DumpHold>,
    /// The log index that the state reflects and its digest, where the node says so.
    pub digest: Option<(u64, String)>,
    /// Which orders took and returned units of which products, in the order of the node's ledger;
    /// empty when the node did not say.
    pub moves: Vec<Move>,
}

/// Units of a product that an order took or returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The index in the log; several movements may have the same.
    pub index: u64,
    /// The product.
    pub product: String,
    /// The order.
    pub order: String,
    /// Whether the units were returned.
    pub back: bool,
}

/// A product in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The product.
    pub product: String,
    /// Available units.
    pub stock: i64,
}

/// An order in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpOrder {
    /// The order.
    pub order: String,
    /// The key that made it, if any.
    pub key: Option<String>,
    /// Its items.
    pub items: Items,
    /// Its status.
    pub status: Status,
}

/// A hold in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpHold {
    /// The hold.
    pub hold: String,
    /// Its product.
    pub product: String,
    /// How many units.
    pub qty: u64,
    /// Whether it still keeps them.
    pub active: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 5] =
        [Status::Pending, Status::Processing, Status::Paid, Status::Failed, Status::Cancelled];

    #[test]
    fn an_order_never_leaves_a_final_status() {
        for from in ALL {
            let reached: Vec<Status> = ALL.into_iter().filter(|to| from.reaches(*to)).collect();
            let expected: &[Status] = match from {
                Status::Pending => &ALL,
                Status::Processing => &[Status::Processing, Status::Paid, Status::Failed],
                Status::Paid => &[Status::Paid],
                Status::Failed => &[Status::Failed],
                Status::Cancelled => &[Status::Cancelled],
            };
            assert_eq!(reached, expected, "{from}");
        }
    }

    #[test]
    fn words_survive_the_round_trip() {
        for status in ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("shipped"), None);
        for word in ["insufficient_stock", "not_found", "key_conflict", "no_leader"] {
            assert_eq!(Reason::parse(word).as_str(), word);
        }
        assert!(!Reason::parse("no_leader").is_decision());
    }
}

//! Operations: an invocation with what became of it, in types.

use std::fmt;

use super::Process;

/// Products and quantities, each product once, ascending by name.
pub type Items = Vec<(String, u64)>;

/// One operation of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Who asked.
    pub process: Process,
    /// The node that was asked, if it was recorded.
    pub node: Option<String>,
    /// What was asked.
    pub call: Call,
    /// What became of it.
    pub outcome: Outcome,
    /// When it began, in nanoseconds.
    pub invoked: u64,
    /// When the caller knew the outcome, or gave up; nothing when the history ends before.
    pub ended: Option<u64>,
    /// The line of the invocation, from 1.
    pub line: usize,
    /// The line of the completion.
    pub end_line: Option<usize>,
}

impl Operation {
    /// When its effect was over at the latest: nothing for an unknown outcome, which may take
    /// effect at any later time.
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

    /// Whether an old state was good enough for it.
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

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `create_product`
    CreateProduct {
        /// Its name in the history.
        product: String,
        /// Units that can be sold at first.
        stock: u64,
    },
    /// `place_order`
    PlaceOrder {
        /// The idempotency key, if it was sent with one.
        key: Option<String>,
        /// What is ordered, at least one unit of at least one product.
        items: Items,
    },
    /// `cancel`
    Cancel {
        /// Which order.
        order: String,
    },
    /// `read_product`
    ReadProduct {
        /// Which product.
        product: String,
        /// Whether an old state was explicitly good enough.
        stale: bool,
    },
    /// `read_order`
    ReadOrder {
        /// Which order.
        order: String,
        /// Whether an old state was explicitly good enough.
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

/// What became of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It succeeded with this result.
    Ok(Reply),
    /// It certainly had no effect.
    Fail(Reason),
    /// Nobody knows; the text says why.
    Info(String),
}

/// The result of a success.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing more than that it succeeded.
    Done,
    /// The order that was placed, now or by an earlier request under the same key.
    Placed(String),
    /// Units of a product that can still be ordered. Negative only in a history to be refused.
    Stock(i64),
    /// An order as it is.
    Order {
        /// Where it stands.
        status: Status,
        /// What it is of, if the answer says so.
        items: Option<Items>,
    },
    /// A node's whole state.
    Dump(Box<Dump>),
}

/// Why an operation was refused, or could not be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Fewer units can be ordered than were asked for.
    InsufficientStock,
    /// There is no such order or product.
    NotFound,
    /// The key belongs to another request.
    KeyConflict,
    /// The order is past the point where it can be cancelled.
    NotCancellable,
    /// There is such a product already.
    AlreadyExists,
    /// Trouble that says nothing about the state, such as a connection that was refused.
    Other(String),
}

impl Reason {
    /// Reads the `error` of a failure. Also takes the API's own codes for the same reasons.
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

    /// Whether the shop decided it by its rules, so that it says something about the state.
    #[must_use]
    pub const fn is_decision(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Placed, its stock reserved.
    Pending,
    /// Its payment is under way.
    Processing,
    /// Paid: final, its stock sold.
    Paid,
    /// Payment refused: final, its stock given back.
    Failed,
    /// Cancelled: final, its stock given back.
    Cancelled,
}

impl Status {
    /// Reads a status, whatever its case, and the words that other shops use for the same.
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

    /// Whether an order may ever get from here to `to`, in any number of steps, none included.
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
    /// Who took units of which product and gave them back, in the order in which the node says
    /// that it happened; empty when it does not say so.
    pub moves: Vec<Move>,
}

/// Units of a product that were taken for an order, or given back by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The place in the log; several movements may have the same.
    pub index: u64,
    /// Of which product.
    pub product: String,
    /// Which order.
    pub order: String,
    /// Whether they were given back.
    pub back: bool,
}

/// A product in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Which product.
    pub product: String,
    /// Units that can still be ordered.
    pub stock: i64,
}

/// An order in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpOrder {
    /// Which order.
    pub order: String,
    /// The key that made it, if any.
    pub key: Option<String>,
    /// What it is of.
    pub items: Items,
    /// Where it stands.
    pub status: Status,
}

/// A hold in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpHold {
    /// Which hold.
    pub hold: String,
    /// Of which product.
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
    fn nothing_leaves_a_final_status() {
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
    fn words_are_read_back() {
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

//! Refunds: money that goes back to a customer, and units that come back.
//!
//! The order itself never changes: it stays PAID. Its row may be on disk only, where apply must not
//! read. So a request brings the [`Facts`] that it depends on, which the edge has read from the
//! final row, and all requests for an order must bring the same ones.

use bincode::{Decode, Encode};

use crate::digest::Table;
use crate::ids::{OrderId, Position, ProductId, Quantity, RefundId, Timestamp, UserId};
use crate::money::Money;
use crate::order::{Item, Order, PaymentMethod, PaymentTask};
use crate::record::Record;
use crate::trace::TraceId;

/// The most refunds of one order.
pub const PER_ORDER_MAX: usize = 100;

/// What a refund depends on of its order, which is final.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Facts {
    /// The customer.
    pub user: Option<UserId>,
    /// The command that placed the order.
    pub placed: Position,
    /// Who obtained the payment.
    pub payment_method: PaymentMethod,
    /// The order's total.
    pub total: Money,
    /// The order's lines.
    pub items: Box<[Item]>,
}

impl Facts {
    /// The facts of an order.
    pub fn of(order: &Order) -> Facts {
        Facts {
            user: order.user,
            placed: order.placed(),
            payment_method: order.payment_method,
            total: order.total,
            items: order.items.iter().copied().collect(),
        }
    }
}

/// Units of a line that a refund is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Line {
    /// The number of the line in its order, from 1.
    pub line: u32,
    /// How many of its units.
    pub quantity: Quantity,
    /// Whether they can be sold again.
    pub restock: bool,
}

/// The status of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Status {
    /// The gateway has not decided.
    Requested,
    /// The customer has the money.
    Succeeded,
    /// The customer does not get the money. Units that came back stay in stock.
    Failed,
}

impl Status {
    /// The name on the wire and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Requested => "requested",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
        }
    }
}

/// A stored refund.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// The order.
    pub order: OrderId,
    /// How many clusters had begun from others when it was requested: part of its key.
    pub epoch: u32,
    /// What it depends on of its order.
    pub facts: Facts,
    /// What the customer gets.
    pub amount: Money,
    /// The requested amount, if one was named.
    pub named_amount: Option<Money>,
    /// The units that it is for.
    pub lines: Box<[Line]>,
    /// Why, as free text.
    pub reason: Box<str>,
    /// Who decided, as the request says.
    pub actor: Box<str>,
    /// The idempotency key of the request.
    pub key: Option<Box<str>>,
    /// Its status.
    pub status: Status,
    /// Why it failed.
    pub failure_reason: Option<Box<str>>,
    /// The call to the gateway, until it has decided. There is one attempt.
    pub task: Option<PaymentTask>,
    /// The trace id of the request.
    pub trace: TraceId,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The command that last changed it.
    pub version: Position,
}

impl Refund {
    /// The units that came back into stock, of each product once.
    pub(crate) fn restocked(&self) -> Vec<(ProductId, u64)> {
        let mut units: Vec<(ProductId, u64)> = Vec::new();
        for line in self.lines.iter().filter(|line| line.restock) {
            let product = self.facts.items[line.line as usize - 1].product;
            let quantity = u64::from(line.quantity.0);
            match units.iter_mut().find(|(known, _)| *known == product) {
                Some((_, sum)) => *sum += quantity,
                None => units.push((product, quantity)),
            }
        }
        units
    }
}

impl Record for Refund {
    const TABLE: Table = Table::Refund;
    const CHUNK: u64 = 64;
    const RESIDENT_MAX: usize = 64;

    fn id(&self) -> u64 {
        self.id.0
    }

    fn is_open(&self) -> bool {
        self.status == Status::Requested
    }
}

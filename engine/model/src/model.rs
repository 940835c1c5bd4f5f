//! The state of the model, and what it predicts.

use std::collections::{BTreeMap, BTreeSet};

use engine::audit;
use engine::auth::{Mode, Token};
use engine::event::Event;
use engine::ids::{HoldId, NodeId, OrderId, Position, ProductId, RequestId, Timestamp, UserId};
use engine::outcome::Outcome;
use engine::trace::TraceId;

use crate::rows::{Adjustment, Hold, Key, Movement, Order, Product, Refund, Report, Versions};

/// Applies entries to the model.
#[derive(Clone, Debug, Default)]
pub struct Predicted {
    /// The outcome of each command.
    pub outcomes: Vec<(RequestId, Outcome)>,
    /// The events, in order.
    pub events: Vec<Event>,
    /// Claims of a task that another node had claimed before.
    pub takeovers: u64,
    /// Claims of payments that came while payments were paused.
    pub claims_put_off: u64,
    /// Results for attempts that were over.
    pub stale_results: u64,
    /// Orders whose payment deadline passed.
    pub timed_out: u64,
    /// Reports that waited and found their order.
    pub matched: u64,
    /// Reports whose order did not exist, or was not placed in time.
    pub unmatched: u64,
    /// Orders from holds that paid other prices than those of their moment.
    pub at_frozen_prices: u64,
}

/// All rows, in lists; the first of each kind has id 1.
#[derive(Debug, Default)]
pub struct Model {
    /// The replicated clock.
    pub clock: Timestamp,
    /// The products.
    pub products: Vec<Versions<Product>>,
    /// The ledger of each product.
    pub ledgers: Vec<Vec<Movement>>,
    /// The orders.
    pub orders: Vec<Order>,
    /// The holds.
    pub holds: Vec<Hold>,
    /// The idempotency keys of orders, with the command that used each.
    pub keys: BTreeMap<Box<str>, (Position, Key)>,
    /// The reports of providers.
    pub reports: Vec<Report>,
    pub(crate) report_keys: BTreeMap<Box<str>, usize>,
    /// The refunds.
    pub refunds: Vec<Refund>,
    /// The adjustments of stock.
    pub adjustments: Vec<Adjustment>,
    pub(crate) adjustment_keys: BTreeMap<Box<str>, usize>,
    /// The idempotency keys of holds, with the command that used each.
    pub hold_keys: BTreeMap<Box<str>, (Position, HoldId)>,
    /// Idempotency keys of commands whose rows have none: what each meant and did. No run uses so
    /// many that the engine forgets one.
    pub(crate) keyed: BTreeMap<u128, (u128, Outcome)>,
    pub(crate) emails: BTreeSet<Box<str>>,
    /// Whether payments are paused.
    pub payments_paused: bool,
    /// The level of the cluster.
    pub level: u32,
    /// Whether requests need credentials.
    pub auth_mode: Mode,
    /// The tokens, from id 1; `None` where one was revoked.
    pub tokens: Vec<Option<Token>>,
    /// All rows of the audit, by kind.
    pub(crate) audit: [Vec<audit::Row>; 2],
    /// The user that the sender of the command under way is limited to.
    pub(crate) bound: Option<UserId>,
    /// Name and e-mail address of each user.
    pub users: Vec<(Box<str>, Box<str>)>,
    /// Per node its newest boot and the applied numbers of that boot.
    pub(crate) sessions: BTreeMap<NodeId, (u64, BTreeSet<u64>)>,
    /// Products that changed since the books were last balanced.
    pub(crate) touched: Vec<ProductId>,
}

/// A command on its way through the model.
pub(crate) struct At<'a> {
    pub(crate) position: Position,
    pub(crate) trace: &'a TraceId,
    /// Whether the command lets payment reports wait for their order.
    pub(crate) parks: bool,
    pub(crate) predicted: &'a mut Predicted,
}

impl Model {
    /// The order of this id.
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    /// The hold of this id.
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    /// The versions of the product of this id.
    pub fn product(&self, id: ProductId) -> Option<&Versions<Product>> {
        self.products.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    pub(crate) fn active(&self, id: ProductId) -> Option<&Product> {
        self.product(id).map(Versions::now).filter(|product| !product.archived)
    }
}

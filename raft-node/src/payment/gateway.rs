//! What the worker asks of a payment provider.

use std::future::Future;
use std::pin::Pin;

use engine::ids::OrderId;
use engine::money::Money;
use engine::trace::TraceId;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};

/// Answers that are handed on in one piece.
const ANSWERS_AT_ONCE: usize = 64;

/// One call to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The gateway's idempotency key, `<cluster>-<order>-<attempt>`: the same for every try of an
    /// attempt, on every node, so that an attempt charges at most once.
    pub key: String,
    /// The order.
    pub order: OrderId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Tries of this attempt that got no answer before this one.
    pub unanswered: u32,
    /// What to charge.
    pub amount: Money,
    /// The order's trace id.
    pub trace: TraceId,
}

/// Which try of which attempt of an order a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// The order.
    pub order: OrderId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Tries of this attempt that got no answer before this one.
    pub unanswered: u32,
}

impl Charge {
    /// Which try it is.
    pub fn which(&self) -> Try {
        Try { order: self.order, attempt: self.attempt, unanswered: self.unanswered }
    }
}

/// What the gateway said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Charged, now or by an earlier try under the same key.
    Succeeded,
    /// Definitely not charged, and never under this key.
    Declined(Box<str>),
    /// Nothing definite: it may have been charged.
    NoAnswer,
}

/// A call under way.
pub type Call<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Calls under way: the answers that came together, each with the place of its call.
pub type Calls<'a> = Pin<Box<dyn Stream<Item = Vec<(usize, Answer)>> + Send + 'a>>;

/// A payment provider that honours idempotency keys.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Charges, or tells what became of an earlier try under the same key. The worker bounds the
    /// time of a call; a call that is dropped counts as unanswered.
    fn charge(&self, charge: Charge) -> Call<'_>;

    /// Makes many calls at once. For gateways that have a cheaper way to wait for all of them than
    /// for each; what each is answered must be the same. The first answer to a call counts; one
    /// that has none when there are no more counts as unanswered.
    fn charge_all(&self, charges: Vec<Charge>) -> Calls<'_> {
        let call = |(at, charge): (usize, Charge)| {
            let call = self.charge(charge);
            async move { (at, call.await) }
        };
        let calls: FuturesUnordered<_> = (0..).zip(charges).map(call).collect();
        Box::pin(calls.ready_chunks(ANSWERS_AT_ONCE))
    }
}

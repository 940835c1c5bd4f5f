//! The interface to a payment provider.

use std::future::Future;
use std::pin::Pin;

use engine::ids::OrderId;
use engine::money::Money;
use engine::trace::TraceId;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};

/// Most answers that are handed on together.
const ANSWERS_AT_ONCE: usize = 64;

/// One call to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The gateway's idempotency key, `<cluster>-<order>-<attempt>`. It is the same for every try
    /// of an attempt on every node, so an attempt charges at most once.
    pub key: String,
    /// The order.
    pub order: OrderId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Earlier tries of this attempt that got no answer.
    pub unanswered: u32,
    /// The amount.
    pub amount: Money,
    /// The order's trace id.
    pub trace: TraceId,
}

/// Identifies the try of an attempt of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// The order.
    pub order: OrderId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Earlier tries of this attempt that got no answer.
    pub unanswered: u32,
}

impl Charge {
    /// Identifies this try.
    pub fn which(&self) -> Try {
        Try { order: self.order, attempt: self.attempt, unanswered: self.unanswered }
    }
}

/// The gateway's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Charged, now or by an earlier try under the same key.
    Succeeded,
    /// Definitely not charged, now or ever, under this key.
    Declined(Box<str>),
    /// Unknown: it may have been charged.
    NoAnswer,
}

/// An open call.
pub type Call<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Open calls: a stream of the answers that came together, each with the index of its call.
pub type Calls<'a> = Pin<Box<dyn Stream<Item = Vec<(usize, Answer)>> + Send + 'a>>;

/// A payment provider that honours idempotency keys.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Charges, or returns the result of an earlier try under the same key. The worker bounds the
    /// time of a call. A dropped call counts as unanswered.
    fn charge(&self, charge: Charge) -> Call<'_>;

    /// Whether there is a provider at all. Without one the worker claims no tasks.
    fn is_there(&self) -> bool {
        true
    }

    /// Makes many calls at once, for gateways that can wait for all of them at lower cost. The
    /// answers must be the same as for single calls. The first answer to a call counts. A call
    /// without an answer at the end of the stream counts as unanswered.
    fn charge_all(&self, charges: Vec<Charge>) -> Calls<'_> {
        let call = |(at, charge): (usize, Charge)| {
            let call = self.charge(charge);
            async move { (at, call.await) }
        };
        let calls: FuturesUnordered<_> = (0..).zip(charges).map(call).collect();
        Box::pin(calls.ready_chunks(ANSWERS_AT_ONCE))
    }
}

/// No provider: payment tasks wait until a node with another gateway leads.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGateway;

impl PaymentGateway for NoGateway {
    fn charge(&self, _: Charge) -> Call<'_> {
        Box::pin(async { Answer::NoAnswer })
    }

    fn is_there(&self) -> bool {
        false
    }
}

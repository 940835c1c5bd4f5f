//! The interface to a payment provider.
//!
//! An outcome is what the provider says, not what the node makes of it. Only `Succeeded` and
//! `Declined` are definite. All others leave the order as it is, and the worker asks again.

use std::future::Future;
use std::pin::Pin;

use engine::ids::{OrderId, RefundId};
use engine::money::Money;
use engine::order::PaymentMethod;
use engine::trace::TraceId;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt as _};

/// Most answers that are handed on together.
const ANSWERS_AT_ONCE: usize = 64;

/// One call to the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The gateway's idempotency key, `<lineage>.<epoch>-<order>-<attempt>`. It is the same for
    /// every try of an attempt on every node, so an attempt charges at most once.
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
    /// Look the key up first: the provider may have seen it.
    pub look_up_first: bool,
    /// Charge under a key that the provider has not seen. Not set when it may have forgotten it.
    pub may_charge: bool,
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

/// One refund to ask the gateway for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundCall {
    /// The gateway's idempotency key, `<lineage>.<epoch>-<order>-r<refund>`.
    pub key: String,
    /// What the keys of the order's payment attempts begin with; at most one of them was charged.
    pub payment: String,
    /// The refund.
    pub refund: RefundId,
    /// The order.
    pub order: OrderId,
    /// Earlier calls that got no answer.
    pub unanswered: u32,
    /// What the customer gets.
    pub amount: Money,
    /// The trace id of the request.
    pub trace: TraceId,
    /// Look the key up first: the provider may have seen it.
    pub look_up_first: bool,
    /// Refund under a key that the provider has not seen.
    pub may_refund: bool,
}

/// The gateway's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Charged, now or by an earlier try under the same key: the whole amount.
    Succeeded,
    /// Definitely not charged, now or ever, under this key.
    Declined(Box<str>),
    /// The provider has the payment and decides later.
    Pending {
        /// When the provider wants to be asked again, in milliseconds.
        ask_in_ms: Option<u64>,
    },
    /// The provider knows nothing under this key. It may have forgotten it.
    Unseen,
    /// Unknown: it may have been charged.
    Unknown,
    /// Not carried out: the provider wants fewer calls.
    Busy {
        /// When it takes calls again, in milliseconds.
        retry_in_ms: Option<u64>,
    },
    /// Something other than the customer's payment is wrong. The order waits for an operator.
    Faulty(Fault),
}

/// What an operator has to repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, and what to do.
    pub reason: Box<str>,
    /// Whether only this payment is concerned. Otherwise all calls would fail.
    pub is_of_payment: bool,
}

/// What a gateway can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It can be asked about a key without charging.
    pub looks_up: bool,
    /// Its calls go to another machine, so a breaker guards it.
    pub is_remote: bool,
    /// How long it remembers a key after the first call, in milliseconds; `None` means for ever.
    pub key_retention_ms: Option<u64>,
}

/// An open call.
pub type Call<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Open calls: a stream of the answers that came together, each with the index of its call.
pub type Calls<'a> = Pin<Box<dyn Stream<Item = Vec<(usize, Answer)>> + Send + 'a>>;

/// A payment provider that honours idempotency keys.
pub trait PaymentGateway: Send + Sync + 'static {
    /// The payment method of the orders that it charges for.
    fn method(&self) -> PaymentMethod {
        PaymentMethod::Mock
    }

    /// What it can do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Charges, or returns the result of an earlier try under the same key. The worker bounds the
    /// time of a call. A dropped call counts as [`Answer::Unknown`].
    fn charge(&self, charge: Charge) -> Call<'_>;

    /// Asks what became of a key, without charging. Only for gateways that can.
    fn look_up<'a>(&'a self, _: &'a Charge) -> Call<'a> {
        Box::pin(async { Answer::Unknown })
    }

    /// Makes sure that a key never takes money, unless it has already: then the answer is
    /// [`Answer::Succeeded`], else [`Answer::Declined`]. Only for gateways that can.
    fn cancel<'a>(&'a self, _: &'a Charge) -> Call<'a> {
        Box::pin(async { Answer::Unknown })
    }

    /// Gives money back, or returns the result of an earlier call under the same key.
    fn refund(&self, _: RefundCall) -> Call<'_> {
        Box::pin(async { Answer::Unknown })
    }

    /// Asks what became of a refund. Only for gateways that look up.
    fn look_up_refund<'a>(&'a self, _: &'a RefundCall) -> Call<'a> {
        Box::pin(async { Answer::Unknown })
    }

    /// Looks a refund up first where that is due, and asks for it if the provider knows nothing.
    fn settle_refund(&self, refund: RefundCall) -> Call<'_> {
        Box::pin(async move {
            if refund.look_up_first {
                match self.look_up_refund(&refund).await {
                    Answer::Unseen => {}
                    answer => return answer,
                }
            }
            match refund.may_refund {
                true => self.refund(refund).await,
                false => Answer::Unseen,
            }
        })
    }

    /// Whether there is a provider at all. Without one the worker claims no tasks.
    fn is_there(&self) -> bool {
        true
    }

    /// Looks up first where that is due, and charges if the provider knows nothing and may be
    /// asked to.
    fn settle(&self, charge: Charge) -> Call<'_> {
        Box::pin(async move {
            if charge.look_up_first {
                match self.look_up(&charge).await {
                    Answer::Unseen => {}
                    answer => return answer,
                }
            }
            match charge.may_charge {
                true => self.charge(charge).await,
                false => Answer::Unseen,
            }
        })
    }

    /// Makes many calls at once, for gateways that can wait for all of them at lower cost. The
    /// answers must be the same as for single calls. The first answer to a call counts. A call
    /// without an answer at the end of the stream counts as [`Answer::Unknown`].
    fn settle_all(&self, charges: Vec<Charge>) -> Calls<'_> {
        let call = |(at, charge): (usize, Charge)| {
            let call = self.settle(charge);
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
        Box::pin(async { Answer::Unknown })
    }

    fn is_there(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Knows no key, and counts the charges.
    #[derive(Default)]
    struct Forgetful(AtomicU32);

    impl PaymentGateway for Forgetful {
        fn charge(&self, _: Charge) -> Call<'_> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Answer::Succeeded })
        }

        fn look_up<'a>(&'a self, _: &'a Charge) -> Call<'a> {
            Box::pin(async { Answer::Unseen })
        }
    }

    #[tokio::test]
    async fn a_key_that_may_be_forgotten_is_not_charged_again() {
        let gateway = Forgetful::default();
        let charge = |look_up_first, may_charge| Charge {
            key: "k-1-1".into(),
            order: OrderId(1),
            attempt: 1,
            unanswered: 1,
            amount: Money(1),
            trace: TraceId::NONE,
            look_up_first,
            may_charge,
        };
        assert_eq!(gateway.settle(charge(true, false)).await, Answer::Unseen);
        assert_eq!(gateway.settle(charge(false, false)).await, Answer::Unseen);
        assert_eq!(gateway.0.load(Ordering::Relaxed), 0);
        assert_eq!(gateway.settle(charge(true, true)).await, Answer::Succeeded);
        assert_eq!(gateway.settle(charge(false, true)).await, Answer::Succeeded);
        assert_eq!(gateway.0.load(Ordering::Relaxed), 2);
    }
}

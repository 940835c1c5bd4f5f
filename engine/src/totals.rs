//! Business counters since the cluster was founded. They are part of the replicated state, so every
//! node has the same numbers.

use bincode::{Decode, Encode};

use crate::outcome::Rejection;

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// Orders placed.
    pub orders_created: u64,
    /// Orders paid.
    pub orders_paid: u64,
    /// Orders whose payment was refused for good.
    pub orders_failed: u64,
    /// Orders cancelled, for any reason.
    pub orders_cancelled: u64,
    /// Cancelled orders whose payment deadline had passed.
    pub orders_timed_out: u64,
    /// Requests answered with the order that their key had made before.
    pub orders_replayed: u64,
    /// Holds created.
    pub holds_created: u64,
    /// Holds consumed by an order.
    pub holds_consumed: u64,
    /// Holds whose deadline passed.
    pub holds_expired: u64,
    /// Holds released early.
    pub holds_released: u64,
    /// Requests answered with the hold that their key had made before.
    pub holds_replayed: u64,
    /// Requests for a hold that were refused. They are counted here only.
    pub holds_rejected: u64,
    /// Units in paid orders.
    pub units_sold: u64,
    /// Sum of the totals of paid orders, in minor units; saturates.
    pub revenue_minor: u64,
    /// Payment attempts claimed, including those claimed again after a lease ended.
    pub payment_claims: u64,
    /// Payments that succeeded: attempts that the gateway accepted, and reports of providers.
    pub payment_successes: u64,
    /// Payments that were refused: attempts by the gateway, and reports of providers.
    pub payment_declines: u64,
    /// Calls that gave no definite answer.
    pub payment_no_answers: u64,
    /// Results for attempts that were over.
    pub payment_results_stale: u64,
    /// Payment reports that settled an order.
    pub webhooks_applied: u64,
    /// Payment reports whose key was known.
    pub webhooks_duplicate: u64,
    /// Payment reports that found no order in time.
    pub webhooks_unmatched: u64,
    /// Payment reports that could not be applied.
    pub payment_conflicts: u64,
    /// Orders refused for lack of stock.
    pub rejected_insufficient_stock: u64,
    /// Orders refused because of a limit per order or per user.
    pub rejected_purchase_limit: u64,
    /// Orders refused because too many were open.
    pub rejected_open_orders: u64,
    /// Orders refused because their key had made another order.
    pub rejected_key_reused: u64,
    /// Commands refused for any other reason.
    pub rejected_other: u64,
    /// Commands skipped because their request id was applied before.
    pub commands_ignored: u64,
    /// Products created.
    pub products_created: u64,
    /// Keys fenced.
    pub keys_fenced: u64,
    /// Adjustments of stock.
    pub stock_adjustments: u64,
    /// Users created.
    pub users_created: u64,
}

impl Totals {
    /// Counts a refusal.
    pub(crate) fn reject(&mut self, rejection: &Rejection) {
        let counter = match rejection {
            Rejection::InsufficientStock { .. } => &mut self.rejected_insufficient_stock,
            Rejection::PurchaseLimitExceeded { .. }
            | Rejection::UserLimitExceeded { .. }
            | Rejection::WindowLimitExceeded { .. }
            | Rejection::HeldLimitExceeded { .. } => &mut self.rejected_purchase_limit,
            Rejection::TooManyOpenOrders => &mut self.rejected_open_orders,
            Rejection::BatchRefused { items } => {
                return items.iter().for_each(|(_, reason)| self.reject(reason));
            }
            Rejection::KeyReused => &mut self.rejected_key_reused,
            Rejection::ProductNotFound(_)
            | Rejection::OrderNotFound
            | Rejection::UserNotFound(_)
            | Rejection::UserRequired
            | Rejection::TooManyParked
            | Rejection::HoldNotFound(_)
            | Rejection::HoldExpired(_)
            | Rejection::HoldConsumed { .. }
            | Rejection::HoldReleased(_)
            | Rejection::HoldOfAnotherUser(_)
            | Rejection::HoldNamedTwice(_)
            | Rejection::TooManyHolds
            | Rejection::SaleNotOpen { .. }
            | Rejection::SaleClosed { .. }
            | Rejection::MinimumNotMet { .. }
            | Rejection::TotalMismatch { .. }
            | Rejection::AmountOverflow
            | Rejection::KeyFenced
            | Rejection::StockMismatch { .. }
            | Rejection::StockBelowZero { .. }
            | Rejection::StockOverflow
            | Rejection::NotCancellable { .. }
            | Rejection::NotProcessing { .. }
            | Rejection::PaymentInFlight(_)
            | Rejection::NotRefundable { .. }
            | Rejection::RefundExceedsPaid { .. }
            | Rejection::ReturnExceedsSold { .. }
            | Rejection::TooManyRefunds
            | Rejection::AttemptChanged { .. }
            | Rejection::VersionMismatch { .. }
            | Rejection::ReferenceTaken { .. }
            | Rejection::ClosesBeforeOpening
            | Rejection::MinimumAboveMaximum { .. }
            | Rejection::SkuTaken
            | Rejection::EmailTaken
            | Rejection::Unauthorized
            | Rejection::OtherUser
            | Rejection::TooManyTokens
            | Rejection::TokenNotFound(_)
            | Rejection::Invalid(_) => &mut self.rejected_other,
        };
        *counter += 1;
    }
}

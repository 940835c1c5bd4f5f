//! The endpoints for reports of payment providers, and for payments without a result.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::query::segment;
use crate::retry::Repeat;
use crate::sign::signature;
use crate::wire::{
    Order, OrderRefunds, RecheckRequest, Refund, RefundRequest, SettleRequest, UnsettledList,
    WebhookReceipt, WebhookRequest,
};

/// Payments.
impl Client {
    /// `POST /payments/webhook`: reports the result of a payment, signed now with each of
    /// `secrets`; unsigned without secrets, which only `holdfast dev` accepts.
    ///
    /// The report's own key makes it safe to repeat, now or days later. Nodes refuse a signature
    /// that is older than 300 seconds, so the deadline of the call should be well below that.
    ///
    /// # Errors
    /// Rejected with `invalid_signature`, or with `idempotency_key_reused` when the key was used
    /// for another result.
    pub async fn send_webhook(
        &self,
        request: &WebhookRequest,
        secrets: &[&str],
    ) -> Result<Answer<WebhookReceipt>, Error> {
        let call = Call::write(Method::POST, "/api/v1/payments/webhook", Repeat::Keyed)
            .keyed(Some(&request.idempotency_key))?
            .json(request)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let signed = signature(secrets, now.as_secs(), call.body());
        self.run(call.signed(signed), decode::envelope).await
    }

    /// `GET /payments/unsettled`: a page of payments without a definite result, newest order first.
    /// `cursor` is the `next_cursor` of the page before.
    ///
    /// # Errors
    /// Rejected with `validation_error` when the limit or the cursor is out of range.
    pub async fn unsettled_payments(
        &self,
        limit: u64,
        cursor: Option<&str>,
    ) -> Result<Answer<UnsettledList>, Error> {
        let mut path = format!("/api/v1/payments/unsettled?limit={limit}");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            path.push_str(&segment(cursor));
        }
        self.run(Call::read(path), decode::unsettled_list).await
    }

    /// `POST /orders/{id}/settle`: ends a PROCESSING order by an operator's decision. Repeating it
    /// is a success.
    ///
    /// # Errors
    /// Rejected with `order_not_processing`, `payment_in_flight`, `attempt_changed`, or
    /// `payment_not_cancelled` when the gateway does not confirm a failure.
    pub async fn settle_order(
        &self,
        id: u64,
        request: &SettleRequest,
    ) -> Result<Answer<Order>, Error> {
        let path = format!("/api/v1/orders/{id}/settle");
        let call = Call::write(Method::POST, path, Repeat::Cancel).json(request)?;
        self.run(call, decode::order).await
    }

    /// `POST /orders/{id}/recheck`: makes the payment of a PROCESSING order due.
    ///
    /// # Errors
    /// Rejected with `order_not_processing`, `payment_in_flight` or `attempt_changed`.
    pub async fn recheck_payment(
        &self,
        id: u64,
        request: &RecheckRequest,
    ) -> Result<Answer<Order>, Error> {
        let path = format!("/api/v1/orders/{id}/recheck");
        let call = Call::write(Method::POST, path, Repeat::Replace).json(request)?;
        self.run(call, decode::order).await
    }

    /// `POST /orders/{id}/refunds`: gives money, and perhaps units, of a PAID order back. Without
    /// an idempotency key the client makes one, so that a retry refunds once.
    ///
    /// # Errors
    /// Rejected with `not_refundable`, `refund_exceeds_paid`, `return_exceeds_sold` and others.
    pub async fn request_refund(
        &self,
        order: u64,
        request: &RefundRequest,
    ) -> Result<Answer<Refund>, Error> {
        let path = format!("/api/v1/orders/{order}/refunds");
        let call = Call::write(Method::POST, path, Repeat::Keyed)
            .keyed(request.idempotency_key.as_deref())?
            .json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `GET /orders/{id}/refunds`: the refunds of an order.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn refunds(&self, order: u64) -> Result<Answer<OrderRefunds>, Error> {
        self.run(Call::read(format!("/api/v1/orders/{order}/refunds")), decode::envelope).await
    }

    /// `GET /refunds/{id}`: a refund.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn refund(&self, id: u64) -> Result<Answer<Refund>, Error> {
        self.run(Call::read(format!("/api/v1/refunds/{id}")), decode::envelope).await
    }
}

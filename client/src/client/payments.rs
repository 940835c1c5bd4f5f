//! The endpoint for reports of payment providers.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::retry::Repeat;
use crate::sign::signature;
use crate::wire::{WebhookReceipt, WebhookRequest};

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
}

//! The endpoints under `/holds`.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::retry::Repeat;
use crate::wire::{ExtendRequest, Hold, HoldRequest};

/// Holds. The [`Error`] of each method says what is known about the effect. To turn a hold into an
/// order, give its id to [`Client::create_order`]; see [`crate::wire::OrderRequest::from_hold`].
impl Client {
    /// `POST /holds`: sets units aside until a deadline. Keys work as in [`Client::create_order`].
    ///
    /// # Errors
    /// Rejected with `insufficient_stock`, `not_found`, `validation_error` and others.
    pub async fn create_hold(&self, request: &HoldRequest) -> Result<Answer<Hold>, Error> {
        let call = Call::write(Method::POST, "/api/v1/holds", Repeat::Keyed)
            .keyed(request.idempotency_key.as_deref())?
            .json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `GET /holds/{id}`.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn hold(&self, id: u64) -> Result<Answer<Hold>, Error> {
        self.run(Call::read(path(id)), decode::envelope).await
    }

    /// `DELETE /holds/{id}`: releases an active hold. A hold that was already released is a
    /// success, so a retry is safe and needs no key.
    ///
    /// # Errors
    /// Rejected with `not_found`, or with `hold_expired` or `hold_consumed` once it has ended
    /// otherwise.
    pub async fn release_hold(&self, id: u64) -> Result<Answer<()>, Error> {
        let call = Call::write(Method::DELETE, path(id), Repeat::Cancel);
        self.run(call, decode::nothing).await
    }

    /// `POST /holds/{id}/extend`: extends an active hold. After an unknown outcome the client
    /// retries it: the second request counts from a slightly later moment.
    ///
    /// # Errors
    /// Rejected with `not_found`, `validation_error`, or with `hold_expired`, `hold_consumed` or
    /// `hold_released` once it has ended.
    pub async fn extend_hold(
        &self,
        id: u64,
        request: &ExtendRequest,
    ) -> Result<Answer<Hold>, Error> {
        let path = format!("{}/extend", path(id));
        let call = Call::write(Method::POST, path, Repeat::Replace).json(request)?;
        self.run(call, decode::envelope).await
    }
}

fn path(id: u64) -> String {
    format!("/api/v1/holds/{id}")
}

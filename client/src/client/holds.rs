//! The endpoints under `/holds`.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::query::HoldQuery;
use crate::retry::Repeat;
use crate::wire::{ExtendRequest, Hold, HoldList, HoldRequest, Would};

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

    /// `POST /holds?dry_run=true`: what [`Client::create_hold`] would come to, without setting
    /// units aside or using its key.
    ///
    /// # Errors
    /// Rejected with the code that the hold would be refused with.
    pub async fn dry_run_hold(&self, request: &HoldRequest) -> Result<Answer<Would>, Error> {
        let call = Call::write(Method::POST, "/api/v1/holds?dry_run=true", Repeat::Read);
        self.run(call.json(request)?, decode::would).await
    }

    /// `GET /holds`: one page of active holds, by ascending id.
    ///
    /// # Errors
    /// Rejected with `validation_error` when a size or a cursor is out of range.
    pub async fn holds(&self, query: &HoldQuery) -> Result<Answer<HoldList>, Error> {
        self.run(Call::read(query.path()), decode::hold_list).await
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

//! The endpoints for stock under `/products/{id}`.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::query::LedgerQuery;
use crate::retry::Repeat;
use crate::wire::{Adjustment, AdjustmentRequest, LedgerList};

/// Stock. The [`Error`] of each method says what is known about the effect.
impl Client {
    /// `POST /products/{id}/adjustments`: adds or removes units.
    ///
    /// If the request has no idempotency key, the client makes one, so the stock is adjusted at
    /// most once, however often the call is sent.
    ///
    /// # Errors
    /// Rejected with `not_found`, `stock_mismatch`, `insufficient_stock` or `validation_error`.
    pub async fn adjust_stock(
        &self,
        product: u64,
        request: &AdjustmentRequest,
    ) -> Result<Answer<Adjustment>, Error> {
        let path = format!("/api/v1/products/{product}/adjustments");
        let call = Call::write(Method::POST, path, Repeat::Keyed)
            .keyed(request.idempotency_key.as_deref())?
            .json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `GET /products/{id}/ledger`: a part of the ledger of a product, oldest row first.
    ///
    /// # Errors
    /// Rejected with `not_found`, or `validation_error` when the place or the limit is out of
    /// range.
    pub async fn ledger(
        &self,
        product: u64,
        query: &LedgerQuery,
    ) -> Result<Answer<LedgerList>, Error> {
        self.run(Call::read(query.path(product)), decode::ledger_list).await
    }
}

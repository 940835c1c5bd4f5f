//! The endpoints under `/products`.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::query::ProductQuery;
use crate::retry::Repeat;
use crate::wire::{Product, ProductList, ProductPatch, ProductRequest};

/// Products. The [`Error`] of each method says what is known about the effect.
///
/// The API has no keys for these writes. The client retries them when they were certainly not
/// applied; after an unknown outcome it retries only an unconditional replacement.
impl Client {
    /// `GET /products`: one page of products, by ascending id.
    ///
    /// # Errors
    /// Rejected with `validation_error` when the limit or the cursor is out of range.
    pub async fn products(&self, query: &ProductQuery) -> Result<Answer<ProductList>, Error> {
        self.run(Call::read(query.path()), decode::product_list).await
    }

    /// `GET /products/{id}`.
    ///
    /// # Errors
    /// Rejected with `not_found`, also for a product that was archived.
    pub async fn product(&self, id: u64) -> Result<Answer<Product>, Error> {
        self.run(Call::read(path(id)), decode::envelope).await
    }

    /// `POST /products`: creates a product. The client does not retry it after an unknown outcome,
    /// since a second request would create a second product.
    ///
    /// # Errors
    /// Rejected with `validation_error`.
    pub async fn create_product(&self, request: &ProductRequest) -> Result<Answer<Product>, Error> {
        let call = Call::write(Method::POST, "/api/v1/products", Repeat::Once).json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `PUT /products/{id}`: replaces all fields that a request may set, if the product has the
    /// version `if_match`, or unconditionally without one.
    ///
    /// Without `if_match` the client retries it after an unknown outcome. A retry sets the stock to
    /// the same number again, even if units were sold meanwhile; set `if_match` where that matters.
    ///
    /// # Errors
    /// Rejected with `not_found`, `version_mismatch` or `validation_error`.
    pub async fn replace_product(
        &self,
        id: u64,
        request: &ProductRequest,
        if_match: Option<u64>,
    ) -> Result<Answer<Product>, Error> {
        let call =
            Call::write(Method::PUT, path(id), Repeat::Replace).if_match(if_match).json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `PATCH /products/{id}`: updates the given fields, if the product has the version `if_match`,
    /// or unconditionally without one. The client does not retry it after an unknown outcome.
    ///
    /// # Errors
    /// Rejected with `not_found`, `version_mismatch` or `validation_error`.
    pub async fn patch_product(
        &self,
        id: u64,
        request: &ProductPatch,
        if_match: Option<u64>,
    ) -> Result<Answer<Product>, Error> {
        let call =
            Call::write(Method::PATCH, path(id), Repeat::Once).if_match(if_match).json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `DELETE /products/{id}`: archives a product, if it has the version `if_match`, or
    /// unconditionally without one. Open orders still settle; new ones no longer find it. Archiving
    /// it again is a success. The client does not retry it after an unknown outcome.
    ///
    /// # Errors
    /// Rejected with `not_found` or `version_mismatch`.
    pub async fn archive_product(
        &self,
        id: u64,
        if_match: Option<u64>,
    ) -> Result<Answer<()>, Error> {
        let call = Call::write(Method::DELETE, path(id), Repeat::Once).if_match(if_match);
        self.run(call, decode::nothing).await
    }
}

fn path(id: u64) -> String {
    format!("/api/v1/products/{id}")
}

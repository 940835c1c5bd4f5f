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

/// Products. Each method fails with an [`Error`] that tells the outcome.
///
/// The API has no keys for these writes. The client repeats them when they were certainly not
/// applied; in doubt it repeats only an unconditional replacement.
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

    /// `POST /products`: creates a product. It is not repeated in doubt, since the second one
    /// would be another product.
    ///
    /// # Errors
    /// Rejected with `validation_error`.
    pub async fn create_product(&self, request: &ProductRequest) -> Result<Answer<Product>, Error> {
        let call = Call::write(Method::POST, "/api/v1/products", Repeat::Once).json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `PUT /products/{id}`: replaces everything that a request may set, if the product is at
    /// the version `if_match` or none is named.
    ///
    /// Without `if_match` it is repeated in doubt. A repetition sets the stock to the same figure
    /// again, also when units were sold in between; name the version where that matters.
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

    /// `PATCH /products/{id}`: changes what the request names, if the product is at the version
    /// `if_match` or none is named. It is not repeated in doubt.
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

    /// `DELETE /products/{id}`: archives a product, if it is at the version `if_match` or none
    /// is named. Open orders still settle; new ones find it no more. Archiving it again is no
    /// failure. It is not repeated in doubt.
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

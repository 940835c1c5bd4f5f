//! The endpoints under `/orders`.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::{Error, Invalid};
use crate::query::{OrderQuery, segment};
use crate::retry::Repeat;
use crate::scope::Consistency;
use crate::wire::{
    ByKey, CancelRequest, Order, OrderEvent, OrderList, OrderRequest, PurchaseRequest, Would,
};

/// Orders. The [`Error`] of each method says what is known about the effect.
impl Client {
    /// `POST /orders`: places an order.
    ///
    /// If the request has no idempotency key, the client makes one, so the order is placed at most
    /// once, however often the call is sent. The key is in the answer and in the error. To continue
    /// after [`Error::Unknown`], repeat the request with that key.
    ///
    /// # Errors
    /// Rejected with `insufficient_stock`, `not_found`, `validation_error` and others.
    pub async fn create_order(&self, request: &OrderRequest) -> Result<Answer<Order>, Error> {
        let call = Call::write(Method::POST, "/api/v1/orders", Repeat::Keyed)
            .keyed(request.idempotency_key.as_deref())?
            .json(request)?;
        self.run(call, decode::order).await
    }

    /// `POST /orders?dry_run=true`: what [`Client::create_order`] would come to, without placing
    /// the order or using its key.
    ///
    /// # Errors
    /// Rejected with the code that the order would be refused with.
    pub async fn dry_run_order(&self, request: &OrderRequest) -> Result<Answer<Would>, Error> {
        let call = Call::write(Method::POST, "/api/v1/orders?dry_run=true", Repeat::Read);
        self.run(call.json(request)?, decode::would).await
    }

    /// `POST /orders/purchase`: buys one product; the order in the answer contains the product
    /// after the sale. Keys work as in [`Client::create_order`].
    ///
    /// # Errors
    /// Rejected with `insufficient_stock`, `not_found`, `validation_error` and others.
    pub async fn purchase(&self, request: &PurchaseRequest) -> Result<Answer<Order>, Error> {
        let call = Call::write(Method::POST, "/api/v1/orders/purchase", Repeat::Keyed)
            .keyed(request.idempotency_key.as_deref())?
            .json(request)?;
        self.run(call, decode::order).await
    }

    /// `GET /orders/{id}`.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn order(&self, id: u64) -> Result<Answer<Order>, Error> {
        self.run(Call::read(format!("/api/v1/orders/{id}")), decode::order).await
    }

    /// `GET /orders`: one page of orders, newest first.
    ///
    /// # Errors
    /// Rejected with `validation_error` when a page number, a size or a cursor is out of range.
    pub async fn orders(&self, query: &OrderQuery) -> Result<Answer<OrderList>, Error> {
        self.run(Call::read(query.path()), decode::order_list).await
    }

    /// `GET /orders/by-key/{key}`: the state of a key. Always linearizable, so `unused` is certain
    /// at the moment of the answer; a request that is still on its way may use the key later.
    ///
    /// # Errors
    /// Rejected with `idempotency_key_invalid`.
    pub async fn order_by_key(&self, key: &str) -> Result<Answer<ByKey>, Error> {
        if key.is_empty() || key.chars().count() > 255 {
            return Err(Invalid::IdempotencyKey.into());
        }
        let path = format!("/api/v1/orders/by-key/{}", segment(key));
        let linearizable = self.with_consistency(Consistency::Linearizable);
        linearizable.run(Call::read(path), decode::envelope).await
    }

    /// `GET /orders/by-reference/{reference}`: the order with a `client_reference`.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn order_by_reference(&self, reference: &str) -> Result<Answer<Order>, Error> {
        let path = format!("/api/v1/orders/by-reference/{}", segment(reference));
        self.run(Call::read(path), decode::order).await
    }

    /// `POST /orders/by-key/{key}/fence`: makes sure that a key never makes an order from now on.
    /// The answer is `fenced`, now or before, or `applied` with the order that the key has made.
    /// This resolves the unknown outcome after [`Error::Unknown`] for good; it is safe to repeat.
    ///
    /// # Errors
    /// Rejected with `idempotency_key_invalid`.
    pub async fn fence_key(&self, key: &str) -> Result<Answer<ByKey>, Error> {
        if key.is_empty() || key.chars().count() > 255 {
            return Err(Invalid::IdempotencyKey.into());
        }
        let path = format!("/api/v1/orders/by-key/{}/fence", segment(key));
        self.run(Call::write(Method::POST, path, Repeat::Replace), decode::envelope).await
    }

    /// `POST /orders/{id}/cancel`: cancels a PENDING order. A CANCELLED order is a success, so a
    /// retry is safe and needs no key.
    ///
    /// # Errors
    /// Rejected with `not_found`, or `order_not_cancellable` once the payment has begun.
    pub async fn cancel_order(
        &self,
        id: u64,
        request: &CancelRequest,
    ) -> Result<Answer<Order>, Error> {
        let path = format!("/api/v1/orders/{id}/cancel");
        let call = Call::write(Method::POST, path, Repeat::Cancel).json(request)?;
        self.run(call, decode::order).await
    }

    /// `GET /orders/{id}/events`: the history of an order, oldest step first.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn order_history(&self, id: u64) -> Result<Answer<Vec<OrderEvent>>, Error> {
        self.run(Call::read(format!("/api/v1/orders/{id}/events")), decode::envelope).await
    }
}

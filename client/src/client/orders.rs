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
    ByKey, CancelRequest, Order, OrderEvent, OrderList, OrderRequest, PurchaseRequest,
};

/// Orders. Each method fails with an [`Error`] that tells the outcome.
impl Client {
    /// `POST /orders`: places an order.
    ///
    /// Without an idempotency key in the request the client makes one, so the order is placed at
    /// most once however often the call has to be sent. The key is in the answer and in the
    /// error; to go on after [`Error::Unknown`], repeat the request with that key in it.
    ///
    /// # Errors
    /// Rejected with `insufficient_stock`, `not_found`, `validation_error` and others.
    pub async fn create_order(&self, request: &OrderRequest) -> Result<Answer<Order>, Error> {
        let call = Call::write(Method::POST, "/api/v1/orders", Repeat::Keyed)
            .keyed(request.idempotency_key.as_deref())?
            .json(request)?;
        self.run(call, decode::order).await
    }

    /// `POST /orders/purchase`: buys one product; the order in the answer carries the product
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

    /// `GET /orders/by-key/{key}`: what became of a key. Always linearizable, so `unused` is
    /// certain for the moment of the answer; an attempt still on its way may use the key later.
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

    /// `POST /orders/by-key/{key}/fence`: makes sure that a key makes no order any more. The answer
    /// is `fenced`, also when it was before, or `applied` with the order that the key had made.
    /// This ends the doubt after [`Error::Unknown`] for good; it is safe to repeat.
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

    /// `POST /orders/{id}/cancel`: cancels an order that is PENDING, and answers an order that
    /// is CANCELLED already as a success. It is therefore safe to repeat and needs no key.
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

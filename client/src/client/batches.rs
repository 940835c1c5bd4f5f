//! `POST /orders/batch`: many orders in one call, each under a key.

use hyper::Method;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Client;
use crate::answer::{Answer, Receipt};
use crate::attempt::Cause;
use crate::call::Call;
use crate::decode;
use crate::error::{Error, Invalid, Report};
use crate::retry::{self, Repeat};
use crate::wire::{BatchRequest, BatchResult, Outcome};

impl Client {
    /// `POST /orders/batch`: places many orders, each by itself or all or none.
    ///
    /// The client gives an order without an idempotency key one, the same in every attempt, so each
    /// order is placed at most once, however often the call is sent. If the batch is not atomic,
    /// the client sends those orders again, under their keys, whose result says that a retry may
    /// help, until it runs out of attempts or time; then the last result stands. An earlier attempt
    /// may have placed such an order: its status is then 200.
    ///
    /// There is one result per order, in order. To continue after an error or an unknown result,
    /// set your own keys and repeat the batch.
    ///
    /// # Errors
    /// Atomic batches are rejected with `insufficient_stock`, `batch_rejected` and others, whose
    /// problem names the orders in `results`; any batch with `validation_error`.
    pub async fn place_batch(
        &self,
        request: &BatchRequest,
    ) -> Result<Answer<Vec<BatchResult>>, Error> {
        if !(1..=BatchRequest::ORDERS_MAX).contains(&request.orders.len()) {
            return Err(Invalid::Batch.into());
        }
        let mut request = request.clone();
        for order in &mut request.orders {
            order.idempotency_key.get_or_insert_with(|| Uuid::new_v4().to_string());
        }
        let deadline = Instant::now() + self.scope.deadline.unwrap_or(self.inner.deadline);
        let mut answer = self.send_batch(&request).await?;
        let attempts_max = self.scope.attempts_max.unwrap_or(self.inner.attempts_max);
        while answer.receipt.attempts < attempts_max {
            let again: Vec<usize> = (0..answer.data.len())
                .filter(|at| answer.data[*at].retryable == Some(true))
                .collect();
            if again.is_empty() {
                break;
            }
            let wait = self.inner.backoff.delay(answer.receipt.attempts - 1, rand::random());
            let left = deadline.saturating_duration_since(Instant::now());
            if wait + retry::ANSWER_TIME_MIN > left {
                break;
            }
            sleep(wait).await;
            let orders = again.iter().map(|at| request.orders[*at].clone()).collect();
            let rest = BatchRequest { atomic: false, orders };
            let client = self.with_deadline(left - wait);
            // The results are worth more than the reason why a retry did not help.
            let Ok(more) = client.send_batch(&rest).await else { break };
            answer.receipt.attempts += more.receipt.attempts;
            answer.receipt.position = answer.receipt.position.max(more.receipt.position);
            for (at, result) in again.into_iter().zip(more.data) {
                answer.data[at] = BatchResult { index: at as u64, ..result };
            }
        }
        Ok(answer)
    }

    async fn send_batch(&self, request: &BatchRequest) -> Result<Answer<Vec<BatchResult>>, Error> {
        let call =
            Call::write(Method::POST, "/api/v1/orders/batch", Repeat::Keyed).json(request)?;
        let (count, started) = (request.orders.len(), Instant::now());
        let answer = self.run(call, decode::envelope::<Vec<BatchResult>>).await?;
        let sound = |(at, result): (usize, &BatchResult)| result.index == at as u64;
        if answer.data.len() == count && answer.data.iter().enumerate().all(sound) {
            return Ok(answer);
        }
        // It is unclear which result belongs to which order, so nothing is known about any.
        let Receipt { status, url, attempts, trace_id, .. } = answer.receipt;
        let source = format!("the number of results is not {count}, that of the orders").into();
        let cause = Cause::Body { status, url, source };
        let elapsed = started.elapsed();
        let report = Report { cause, attempts, elapsed, idempotency_key: None, trace_id };
        Err(report.into_error(Outcome::Unknown))
    }
}

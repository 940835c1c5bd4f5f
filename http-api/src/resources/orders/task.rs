//! The task hook: another system dispatches the step after an order again.
//!
//! That step is the payment. Its task is stored with the order, is due at once, and only a result
//! removes it. So a task cannot get lost, and dispatching never pays twice. The hook checks that
//! the order exists and logs that.

use client::wire::TaskQueued;
use engine::ids::OrderId;

use super::read;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::call::Call;
use crate::failure::Failure;
use crate::freshness::Freshness;
use crate::request::fields::{Errors, Fields};
use crate::request::json::{self, Object};

/// The `error` when the order is missing, as clients of the hook expect it.
pub(crate) const REQUIRED: &str = "order_id is required";

/// `POST /tasks/order-processed`
pub(crate) async fn order_processed(call: &Call<'_>) -> Result<Reply, Failure> {
    let object = if call.body.is_empty() { Object::default() } else { json::parse(&call.body)? };
    let id = read(&call.fields(&object))?;
    call.wait_until_fresh(Freshness::Linearizable).await?;
    let (position, order) = read::one(call, id, Freshness::Linearizable).await?;
    tracing::info!(
        event = "order.processed",
        order_id = id.0,
        user_id = order.user.map(|user| user.0),
        status = order.status.as_str(),
        trace_id = %call.trace,
    );
    let body = TaskQueued::new(views::order(&order));
    Ok(reply::of(202, &body).at(position).version(body.data.version))
}

fn read(fields: &Fields<'_, '_>) -> Result<OrderId, Failure> {
    if fields.optional("order_id").is_none() {
        return Err(Failure::malformed_as(REQUIRED));
    }
    let mut errors = Errors::default();
    fields.check_names(&["order_id"], &mut errors);
    let id = fields.id("order_id", &mut errors);
    errors.finish(id.map(OrderId))
}

#[cfg(test)]
mod tests {
    use client::wire::ErrorCode;

    use super::*;
    use crate::request::fields::Handling;

    fn order_of(body: &str) -> Result<OrderId, Failure> {
        read(&Fields::of(&json::parse(body.as_bytes())?, Handling::Lenient))
    }

    #[test]
    fn an_order_is_required() {
        assert_eq!(order_of(r#"{"order_id":7,"x":1}"#).unwrap(), OrderId(7));
        for body in ["{}", r#"{"order_id":null}"#] {
            let text = format!("{:?}", order_of(body).unwrap_err());
            assert!(text.contains("Some(\"order_id is required\")"), "{body}: {text}");
        }
        for body in [r#"{"order_id":"7"}"#, r#"{"order_id":0}"#, r#"{"order_id":1.5}"#] {
            let code = order_of(body).unwrap_err().code();
            assert_eq!(code, ErrorCode::ValidationError, "{body}");
        }
        for body in ["", " ", "[]", "{"] {
            let code = order_of(body).unwrap_err().code();
            assert_eq!(code, ErrorCode::MalformedRequest, "{body}");
        }
    }
}

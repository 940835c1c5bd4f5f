//! Schemas of orders, of what is known about keys, of batches and of tasks.

use client::wire;
use engine::command::BATCH_ORDERS_MAX;
use engine::order::{LINES_MAX, REASON_BYTES_MAX};
use serde_json::{Value, json};

use crate::bounds::LIMIT_MAX;
use crate::describe::shapes::Shapes;
use crate::describe::words::{described, schema};

/// All of them.
pub(crate) fn all() -> Value {
    requests().and(answers())
}

fn requests() -> Shapes {
    Shapes::requests()
        .of::<wire::OrderRequest>()
        .rule("OrderRequest", "oneOf", items_or("hold_id", json!({})))
        .is("OrderRequest.items", lines())
        .of::<wire::OrderLineRequest>()
        .of::<wire::PurchaseRequest>()
        .of::<wire::CancelRequest>()
        .plain("CancelRequest.reason", REASON_BYTES_MAX)
        .of::<wire::BatchRequest>()
        .optional("BatchRequest.atomic")
        .with("BatchRequest.orders", json!({"minItems": 1, "maxItems": BATCH_ORDERS_MAX}))
        .of::<wire::TaskRequest>()
}

fn answers() -> Shapes {
    let number = json!({"type": "integer", "minimum": 1, "maximum": LINES_MAX});
    let batch = json!({"minItems": 1, "maxItems": BATCH_ORDERS_MAX});
    let page = json!({"maxItems": LIMIT_MAX});
    Shapes::answers()
        .of::<wire::OrderStatus>()
        .of::<wire::SagaStatus>()
        .of::<wire::PaymentMethod>()
        .of::<wire::PaymentStatus>()
        .of::<wire::KeyState>()
        .of::<wire::Order>()
        .with("Order.items", json!({"minItems": 1, "maxItems": LINES_MAX}))
        .of::<wire::OrderLine>()
        .is("OrderLine.id", number)
        .of::<wire::OrderEvent>()
        .is("OrderEvent.index", schema("Position"))
        .of::<wire::ByKey>()
        .of::<wire::BatchResult>()
        .with("BatchResult.status", json!({"minimum": 200, "maximum": 599}))
        .with("BatchResult.error_code", json!({"pattern": "^[A-Z_]+$"}))
        .of::<wire::RefusedOrder>()
        .with("RefusedOrder.status", json!({"minimum": 400, "maximum": 599}))
        .of::<wire::OrderAnswer>()
        .of::<wire::TaskQueued>()
        .with("TaskQueued.message", json!({"const": "Task queued"}))
        .is("TaskQueued.success", json!({"type": "boolean", "const": true}))
        .is("TaskQueued.order_id", described("Id", "The same as `data.id`."))
        .of::<wire::OrderList>()
        .with("OrderList.data", page)
        .of::<wire::PageMeta>()
        .with("PageMeta.current_page", json!({"minimum": 1}))
        .with("PageMeta.per_page", json!({"minimum": 1, "maximum": LIMIT_MAX}))
        .with("PageMeta.last_page", json!({"minimum": 1}))
        .envelope::<Vec<wire::OrderEvent>>("OrderHistory")
        .with("OrderHistory.data", json!({"minItems": 1}))
        .envelope::<wire::ByKey>("ByKeyAnswer")
        .envelope::<Vec<wire::BatchResult>>("BatchAnswer")
        .with("BatchAnswer.data", batch.clone())
        .of::<wire::WouldOrder>()
        .with("WouldOrder.status", json!({"minimum": 200, "maximum": 599}))
        .of::<wire::Would>()
        .with("Would.status", json!({"minimum": 200, "maximum": 299}))
        .with("Would.results", batch)
        .of::<wire::DryRun>()
        .with("DryRun.dry_run", json!({"const": true}))
        .either("OrderOrDryRunAnswer", &["OrderAnswer", "DryRun"])
        .either("BatchOrDryRunAnswer", &["BatchAnswer", "DryRun"])
        .either("HoldOrDryRunAnswer", &["HoldAnswer", "DryRun"])
}

/// The lines that an order or a hold asks for.
pub(crate) fn lines() -> Value {
    json!({
        "type": ["array", "null"],
        "minItems": 1,
        "maxItems": LINES_MAX,
        "items": schema("OrderLineRequest"),
    })
}

/// Either `items` or `other`; `more` adds keywords to the latter.
pub(crate) fn items_or(other: &str, more: Value) -> Value {
    let items = json!({
        "required": ["items"],
        "properties": {"items": {"type": "array"}, (other): {"type": "null"}},
    });
    let mut instead = json!({
        "required": [other],
        "properties": {(other): {"type": "integer"}, "items": {"type": "null"}},
    });
    if let (Value::Object(instead), Value::Object(more)) = (&mut instead, more) {
        instead.extend(more);
    }
    json!([items, instead])
}

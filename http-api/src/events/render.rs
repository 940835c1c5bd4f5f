//! Turns the engine's events into wire types and text.

use std::sync::OnceLock;

use bytes::Bytes;
use client::wire::{self, EventType, OrderLineRequest, OrderStatus};
use engine::event::{Event, HoldChange, Kind, OrderChange, RefundChange};
use engine::ids::{OrderId, UserId};

use crate::answer::views::moment;

/// An event, and its text in a stream of events, made once for all subscribers.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) event: Event,
    pub(crate) kind: EventType,
    text: OnceLock<Bytes>,
}

impl Rendered {
    /// Not rendered yet.
    pub(crate) fn new(event: Event) -> Rendered {
        Rendered { kind: kind(&event.kind), event, text: OnceLock::new() }
    }

    /// Its block in a stream of events.
    pub(crate) fn text(&self) -> &Bytes {
        self.text.get_or_init(|| {
            let data = serde_json::to_string(&view(&self.event)).expect("keys are strings");
            format!("id: {}\nevent: {}\ndata: {data}\n\n", self.event.id(), self.kind).into()
        })
    }
}

/// The type on the wire.
fn kind(kind: &Kind) -> EventType {
    match kind {
        Kind::Order { change, .. } => match change {
            OrderChange::Placed => EventType::OrderPlaced,
            OrderChange::Processing => EventType::OrderProcessing,
            OrderChange::Paid => EventType::OrderPaid,
            OrderChange::Failed { .. } => EventType::OrderFailed,
            OrderChange::Cancelled { .. } => EventType::OrderCancelled,
        },
        Kind::OrderRejected { .. } => EventType::OrderRejected,
        Kind::PaymentConflict { .. } => EventType::PaymentConflict,
        Kind::PaymentUnmatched { .. } => EventType::PaymentUnmatched,
        Kind::Hold { change, .. } => match change {
            HoldChange::Created => EventType::HoldCreated,
            HoldChange::Extended => EventType::HoldExtended,
            HoldChange::Consumed(_) => EventType::HoldConsumed,
            HoldChange::Expired => EventType::HoldExpired,
            HoldChange::Released => EventType::HoldReleased,
        },
        Kind::ProductCreated(_) => EventType::ProductCreated,
        Kind::ProductUpdated(_) => EventType::ProductUpdated,
        Kind::ProductArchived(_) => EventType::ProductArchived,
        Kind::StockAdjusted { .. } => EventType::StockAdjusted,
        Kind::SoldOut(_) => EventType::StockSoldOut,
        Kind::LowStock { .. } => EventType::StockLow,
        Kind::PaymentSettled { .. } => EventType::PaymentSettled,
        Kind::Refund { change, .. } => match change {
            RefundChange::Requested => EventType::RefundRequested,
            RefundChange::Succeeded => EventType::RefundSucceeded,
            RefundChange::Failed { .. } => EventType::RefundFailed,
        },
    }
}

/// The wire type of an event.
pub(crate) fn view(event: &Event) -> wire::Event {
    let kind = kind(&event.kind);
    let user = |user: Option<UserId>| user.map(|user| user.0);
    let mut view = wire::Event {
        id: event.id().to_string(),
        event_type: kind.to_string(),
        name: kind.name().map(str::to_owned),
        timestamp: moment(event.at),
        trace_id: event.trace.to_string(),
        user_id: user(event.kind.user()),
        ..wire::Event::default()
    };
    match &event.kind {
        Kind::Order { order, change, total, products, .. } => {
            let status = status(change);
            view.order_id = Some(order.0);
            view.status = Some(status);
            view.saga_status = Some(status.into());
            view.total_amount = Some(total.to_string());
            view.total_amount_minor = Some(total.0);
            view.product_ids = Some(products.iter().map(|product| product.0).collect());
            view.reason = match change {
                OrderChange::Failed { reason } => Some(reason.to_string()),
                OrderChange::Cancelled { reason } => reason.as_deref().map(str::to_owned),
                _ => None,
            };
            view.cancelled_at = (status == OrderStatus::Cancelled).then(|| view.timestamp.clone());
        }
        Kind::PaymentConflict { webhook, order, report, amount, conflict } => {
            payment(&mut view, webhook.0, *order, report.as_str(), *amount);
            view.reason = Some(conflict.as_str().to_owned());
        }
        Kind::PaymentUnmatched { webhook, order, report, amount } => {
            payment(&mut view, webhook.0, *order, report.as_str(), *amount);
        }
        Kind::Hold { hold, lines, expires_at, change, .. } => {
            let line = |line: &engine::order::Line| OrderLineRequest {
                product_id: line.product.0,
                quantity: line.quantity.0.into(),
            };
            view.hold_id = Some(hold.0);
            view.items = Some(lines.iter().map(line).collect());
            view.expires_at = Some(moment(*expires_at));
            view.order_id = match change {
                HoldChange::Consumed(order) => Some(order.0),
                _ => None,
            };
        }
        Kind::OrderRejected { product, .. }
        | Kind::ProductCreated(product)
        | Kind::ProductUpdated(product)
        | Kind::ProductArchived(product) => view.product_id = Some(product.0),
        Kind::StockAdjusted { product, adjustment, delta, available } => {
            view.product_id = Some(product.0);
            view.adjustment_id = Some(adjustment.0);
            view.delta = Some(*delta);
            view.available_stock = Some(*available);
        }
        Kind::SoldOut(product) => {
            view.product_id = Some(product.0);
            view.available_stock = Some(0);
        }
        Kind::LowStock { product, available, threshold } => {
            view.product_id = Some(product.0);
            view.available_stock = Some(*available);
            view.low_stock_threshold = Some(*threshold);
        }
        Kind::Refund { refund, order, amount, change, .. } => {
            view.refund_id = Some(refund.0);
            view.order_id = Some(order.0);
            view.amount = Some(amount.to_string());
            view.amount_minor = Some(amount.0);
            view.reason = match change {
                RefundChange::Failed { reason } => Some(reason.to_string()),
                RefundChange::Requested | RefundChange::Succeeded => None,
            };
        }
        Kind::PaymentSettled { order, attempt, reference, reason, actor, .. } => {
            let paid = reference.is_some();
            view.order_id = Some(order.0);
            view.status = Some(if paid { OrderStatus::Paid } else { OrderStatus::Failed });
            view.attempt = Some(*attempt);
            view.provider_ref = reference.as_deref().map(str::to_owned);
            view.reason = Some(reason.to_string());
            view.actor = Some(actor.to_string());
        }
    }
    view
}

fn payment(
    view: &mut wire::Event,
    webhook: u64,
    order: OrderId,
    result: &str,
    amount: Option<engine::money::Money>,
) {
    view.webhook_id = Some(webhook);
    view.order_id = Some(order.0);
    view.result = Some(result.to_owned());
    view.amount = amount.map(|amount| amount.to_string());
    view.amount_minor = amount.map(|amount| amount.0);
}

fn status(change: &OrderChange) -> OrderStatus {
    match change {
        OrderChange::Placed => OrderStatus::Pending,
        OrderChange::Processing => OrderStatus::Processing,
        OrderChange::Paid => OrderStatus::Paid,
        OrderChange::Failed { .. } => OrderStatus::Failed,
        OrderChange::Cancelled { .. } => OrderStatus::Cancelled,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use engine::ids::{AdjustmentId, HoldId, Position, ProductId, RefundId, Timestamp, WebhookId};
    use engine::money::Money;
    use engine::trace::TraceId;
    use engine::webhook::{Conflict, Report};

    use super::*;

    /// An order of user 7 over products 1 and 3.
    pub(in crate::events) fn order(change: OrderChange) -> Kind {
        let products = [ProductId(1), ProductId(3)].into_iter().collect();
        let (order, user) = (OrderId(9), Some(UserId(7)));
        Kind::Order { order, user, change, total: Money(199_998), products }
    }

    /// The first event of a command.
    pub(in crate::events) fn event(command: u64, kind: Kind) -> Event {
        let position = Position::new(4711, command);
        let at = Timestamp(1_771_842_600_000);
        Event { position, n: 0, at, trace: TraceId::NONE, kind }
    }

    /// One of each kind.
    pub(in crate::events) fn all() -> Vec<Kind> {
        let (product, webhook, user) = (ProductId(3), WebhookId(5), Some(UserId(7)));
        let hold = |change| Kind::Hold {
            hold: HoldId(2),
            user,
            lines: Box::new([]),
            expires_at: Timestamp(1),
            change,
        };
        let refund = |change| Kind::Refund {
            refund: RefundId(6),
            order: OrderId(9),
            user,
            amount: Money(5),
            change,
        };
        let (report, amount, gone) = (Report::Succeeded, Some(Money(5)), OrderId(8));
        vec![
            order(OrderChange::Placed),
            order(OrderChange::Processing),
            order(OrderChange::Paid),
            order(OrderChange::Failed { reason: "declined".into() }),
            order(OrderChange::Cancelled { reason: None }),
            Kind::OrderRejected { product, user },
            hold(HoldChange::Created),
            hold(HoldChange::Extended),
            hold(HoldChange::Consumed(OrderId(9))),
            hold(HoldChange::Expired),
            hold(HoldChange::Released),
            Kind::ProductCreated(product),
            Kind::ProductUpdated(product),
            Kind::ProductArchived(product),
            Kind::StockAdjusted { product, adjustment: AdjustmentId(4), delta: -2, available: 1 },
            Kind::LowStock { product, available: 1, threshold: 2 },
            Kind::SoldOut(product),
            Kind::PaymentConflict {
                webhook,
                order: gone,
                report,
                amount,
                conflict: Conflict::Late,
            },
            Kind::PaymentUnmatched { webhook, order: gone, report, amount: None },
            Kind::PaymentSettled {
                order: OrderId(9),
                user,
                attempt: 1,
                reference: Some("p-1".into()),
                reason: "seen at the bank".into(),
                actor: "ann".into(),
            },
            refund(RefundChange::Requested),
            refund(RefundChange::Succeeded),
            refund(RefundChange::Failed { reason: "closed account".into() }),
        ]
    }

    #[test]
    fn the_engine_and_the_wire_have_the_same_words() {
        let kinds = all();
        let words: Vec<_> = kinds.iter().map(|it| (kind(it), it.as_str())).collect();
        for (kind, word) in &words {
            assert_eq!(kind.as_str(), *word);
        }
        let found: Vec<_> = words.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, EventType::ALL, "one of each, in the order of the wire's list");
    }

    #[test]
    fn a_block_has_id_event_and_one_line_of_data() {
        let reason = "two\nlines\r\n\nid: 1.0".into();
        let rendered = Rendered::new(event(3, order(OrderChange::Failed { reason })));
        let text = String::from_utf8(rendered.text().to_vec()).unwrap();
        let golden = concat!(
            "id: 4939841539.0\nevent: order.failed\n",
            r#"data: {"id":"4939841539.0","type":"order.failed","name":"OrderFailed","#,
            r#""timestamp":"2026-02-23T10:30:00.000Z","#,
            r#""trace_id":"00000000-0000-0000-0000-000000000000","order_id":9,"user_id":7,"#,
            r#""status":"FAILED","saga_status":"CANCELLED","total_amount":"1999.98","#,
            r#""total_amount_minor":199998,"product_ids":[1,3],"#,
            r#""reason":"two\nlines\r\n\nid: 1.0"}"#,
            "\n\n",
        );
        assert_eq!(text, golden);
    }
}

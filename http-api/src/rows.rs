//! Orders written straight from the engine's rows, for answers that hold many of them.
//!
//! What goes out is what [`views::order`] makes, byte for byte; what is saved are its copies. A
//! test compares the two.

use client::wire;
use engine::ids::Timestamp;
use engine::money::Money;
use engine::order::{Item, Order, Status};
use engine::trace::TraceId;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use crate::views;

/// An order as it goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderRow<'a>(pub(crate) &'a Order);

impl Serialize for OrderRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        View::of(self.0).serialize(serializer)
    }
}

/// The fields of [`wire::Order`] in their order.
#[derive(serde::Serialize)]
struct View<'a> {
    id: u64,
    order_id: u64,
    user_id: Option<u64>,
    status: wire::OrderStatus,
    saga_status: wire::SagaStatus,
    payment_method: wire::PaymentMethod,
    payment_status: Option<wire::PaymentStatus>,
    hold_id: Option<u64>,
    idempotency_key: Option<&'a str>,
    items: Lines<'a>,
    total_amount: Amount,
    total_price: Amount,
    total_amount_minor: i64,
    failure_reason: Option<&'a str>,
    cancelled_at: Option<Moment>,
    created_at: Moment,
    updated_at: Moment,
    version: u64,
    metadata: Option<&'a RawValue>,
    trace_id: Trace<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u64>,
}

impl<'a> View<'a> {
    fn of(order: &'a Order) -> View<'a> {
        let status = views::status(order.status);
        let single = if let [item] = &*order.items { Some(item) } else { None };
        let reason = order.failure_reason.as_deref();
        View {
            id: order.id.0,
            order_id: order.id.0,
            user_id: order.user.map(|user| user.0),
            status,
            saga_status: status.into(),
            payment_method: views::payment_method(order.payment_method),
            payment_status: views::payment_status(order),
            hold_id: order.hold.map(|hold| hold.0),
            idempotency_key: order.key.as_deref(),
            items: Lines(order),
            total_amount: Amount(order.total),
            total_price: Amount(order.total),
            total_amount_minor: order.total.0,
            failure_reason: reason.filter(|_| order.status == Status::Failed),
            cancelled_at: (order.status == Status::Cancelled).then_some(Moment(order.updated_at)),
            created_at: Moment(order.created_at),
            updated_at: Moment(order.updated_at),
            version: order.version.0,
            // It was made canonical when it came in.
            metadata: order.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            trace_id: Trace(&order.trace),
            product_id: single.map(|item| item.product.0),
            quantity: single.map(|item| u64::from(item.quantity.0)),
        }
    }
}

/// The lines of an order.
struct Lines<'a>(&'a Order);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let order = self.0;
        let mut lines = serializer.serialize_seq(Some(order.items.len()))?;
        for (item, id) in order.items.iter().zip(1..) {
            lines.serialize_element(&Line::of(order, item, id))?;
        }
        lines.end()
    }
}

/// The fields of [`wire::OrderLine`] in their order.
#[derive(serde::Serialize)]
struct Line {
    id: u64,
    order_id: u64,
    product_id: u64,
    quantity: u64,
    unit_price: Amount,
    unit_price_minor: i64,
    line_total: Amount,
}

impl Line {
    fn of(order: &Order, item: &Item, id: u64) -> Line {
        Line {
            id,
            order_id: order.id.0,
            product_id: item.product.0,
            quantity: item.quantity.0.into(),
            unit_price: Amount(item.unit_price),
            unit_price_minor: item.unit_price.0,
            // The total of the order was checked when it was placed, and no line is larger.
            line_total: Amount(item.unit_price.times(item.quantity).unwrap_or(order.total)),
        }
    }
}

/// An amount as decimal text with two places, written without going through a formatter.
#[derive(Clone, Copy)]
struct Amount(Money);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A sign, nineteen digits and a point.
        let mut text = [b'0'; 24];
        let mut at = text.len();
        let mut rest = self.0.0.unsigned_abs();
        let mut places = 0;
        while rest > 0 || places < 3 {
            at -= 1;
            if places == 2 {
                text[at] = b'.';
                at -= 1;
            }
            text[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
            places += 1;
        }
        if self.0.0 < 0 {
            at -= 1;
            text[at] = b'-';
        }
        serializer.serialize_str(std::str::from_utf8(&text[at..]).expect("ASCII"))
    }
}

/// A moment.
struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = views::moment_text(self.0);
        serializer.serialize_str(std::str::from_utf8(&text).expect("ASCII"))
    }
}

/// A trace id.
struct Trace<'a>(&'a TraceId);

impl Serialize for Trace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            TraceId::Text(text) => serializer.serialize_str(text),
            uuid @ TraceId::Uuid(_) => serializer.collect_str(uuid),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::ids::{HoldId, OrderId, Position, ProductId, Quantity, UserId};
    use engine::order::{Items, PaymentMethod, PaymentTask};
    use proptest::prelude::*;

    use super::*;

    fn order() -> impl Strategy<Value = Order> {
        let numbers = (1..u64::MAX, 0..253_402_300_800_999_u64, any::<i64>());
        let texts = (
            proptest::option::of("\\PC{1,12}"),
            proptest::option::of("[a-z \"\\\\]{1,9}"),
            prop_oneof!["[!-~]{1,20}", Just("550e8400-e29b-41d4-a716-446655440000".to_owned())],
        );
        let items =
            proptest::collection::vec((1..9_u64, 1..1_000_000_u32, 0..9_999_999_999_i64), 1..4);
        let kinds = (0..5_usize, 0..3_usize, any::<bool>(), any::<bool>());
        (numbers, texts, items, kinds).prop_map(|(numbers, texts, items, kinds)| {
            let (id, at, total) = numbers;
            let (key, failure_reason, trace) = texts;
            let (status, method, some, retried) = kinds;
            let item = |(product, quantity, price)| Item {
                product: ProductId(product),
                quantity: Quantity(quantity),
                unit_price: Money(price),
            };
            let statuses = wire::OrderStatus::ALL;
            let methods = [PaymentMethod::Mock, PaymentMethod::Webhook, PaymentMethod::None];
            Order {
                id: OrderId(id),
                user: some.then_some(UserId(7)),
                hold: retried.then_some(HoldId(id)),
                user_of_hold: false,
                status: views::engine_status(statuses[status]),
                payment_method: methods[method],
                items: Items(items.into_iter().map(item).collect()),
                total: Money(total),
                key: key.map(Into::into),
                metadata: some.then(|| r#"{"a":[0.1,-2],"b":"\n\""}"#.into()),
                failure_reason: failure_reason.map(Into::into),
                trace: TraceId::parse(&trace).unwrap(),
                created_at: Timestamp(at),
                updated_at: Timestamp(at / 2),
                version: Position(id),
                task: retried.then_some(PaymentTask {
                    attempt: 1,
                    attempts_max: 1,
                    unanswered: 1,
                    due: Timestamp(0),
                    claim: None,
                }),
                payment_deadline: None,
                history: Vec::new(),
            }
        })
    }

    proptest! {
        #[test]
        fn a_row_goes_out_as_its_view_does(order in order()) {
            let row = serde_json::to_string(&OrderRow(&order)).unwrap();
            prop_assert_eq!(row, serde_json::to_string(&views::order(&order)).unwrap());
        }
    }

    #[test]
    fn amounts_have_two_places() {
        for (minor, text) in
            [(0, "0.00"), (5, "0.05"), (10, "0.10"), (99_999, "999.99"), (-5, "-0.05")]
        {
            let amount = serde_json::to_string(&Amount(Money(minor))).unwrap();
            assert_eq!(amount, format!("\"{text}\""));
        }
        for minor in [i64::MAX, i64::MIN, 100, 12_345] {
            let amount = serde_json::to_string(&Amount(Money(minor))).unwrap();
            assert_eq!(amount, format!("\"{}\"", Money(minor)));
        }
    }
}

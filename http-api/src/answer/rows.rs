//! Writes orders as JSON straight from the engine's rows, for answers to placed orders.
//!
//! The text equals that of [`views::order`], byte for byte; a test compares the two. It saves the
//! copies of the view and serde's work per field, which costs more than the fields of a small
//! order.

use engine::keys;
use engine::money::Money;
use engine::order::{Item, Order, Status};
use engine::trace::TraceId;
use serde_json::value::RawValue;

use crate::answer::views;

/// About the size of an answer with an order of one line, in bytes.
pub(crate) const ORDER_BYTES: usize = 1024;

/// A success with one order: the text of [`client::wire::OrderAnswer`].
pub(crate) fn answer(order: &Order) -> Vec<u8> {
    let mut out = Vec::with_capacity(ORDER_BYTES);
    let mut text = Text(&mut out);
    text.raw(r#"{"success":true,"order_id":"#).number(order.id.0);
    text.raw(r#","status":""#).raw(views::status(order.status).as_str());
    text.raw(r#"","data":"#).order(order).raw("}");
    out
}

/// Appends an order: the text of [`client::wire::Order`].
pub(crate) fn order(order: &Order, out: &mut Vec<u8>) {
    Text(out).order(order);
}

/// Appends JSON.
struct Text<'o>(&'o mut Vec<u8>);

impl Text<'_> {
    /// Text that needs no escapes.
    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        let mut room = Digits::default();
        self.raw(digits(number, &mut room))
    }

    fn number_or_null(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.raw("null"),
        }
    }

    fn signed(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.raw("-");
        }
        self.number(number.unsigned_abs())
    }

    /// A string of any text.
    fn string(&mut self, text: &str) -> &mut Self {
        if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            serde_json::to_writer(&mut *self.0, text).expect("a string goes into memory");
            return self;
        }
        self.raw("\"").raw(text).raw("\"")
    }

    fn string_or_null(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.string(text),
            None => self.raw("null"),
        }
    }

    /// An amount as a string of decimal text with two places.
    fn amount(&mut self, amount: Money) -> &mut Self {
        let mut room = Digits::default();
        let text = digits(amount.0.unsigned_abs(), &mut room);
        self.raw(if amount.0 < 0 { "\"-" } else { "\"" });
        let (whole, places) = match text.len().checked_sub(2) {
            None | Some(0) => ("0", text),
            Some(point) => text.split_at(point),
        };
        self.raw(whole).raw(if places.len() < 2 { ".0" } else { "." }).raw(places).raw("\"")
    }

    fn moment(&mut self, at: engine::ids::Timestamp) -> &mut Self {
        self.raw("\"");
        self.0.extend_from_slice(&views::moment_text(at));
        self.raw("\"")
    }

    fn trace(&mut self, trace: &TraceId) -> &mut Self {
        match trace {
            TraceId::Text(text) => self.string(text),
            TraceId::Uuid(bytes) => {
                let mut room = [0; uuid::fmt::Hyphenated::LENGTH];
                let text = uuid::Uuid::from_bytes(*bytes).hyphenated().encode_lower(&mut room);
                self.raw("\"").raw(text).raw("\"")
            }
        }
    }

    /// The fields of [`client::wire::Order`] in their order.
    fn order(&mut self, order: &Order) -> &mut Self {
        let status = views::status(order.status);
        let saga_status = client::wire::SagaStatus::from(status);
        self.raw(r#"{"id":"#).number(order.id.0).raw(r#","order_id":"#).number(order.id.0);
        self.raw(r#","user_id":"#).number_or_null(order.user.map(|user| user.0));
        self.raw(r#","status":""#).raw(status.as_str());
        self.raw(r#"","saga_status":""#).raw(saga_status.as_str());
        let method = views::payment_method(order.payment_method);
        self.raw(r#"","payment_method":""#).raw(method.as_str());
        let payment_status = views::payment_status(order);
        self.raw(r#"","payment_status":"#).string_or_null(payment_status.map(|it| it.as_str()));
        self.raw(r#","hold_id":"#).number_or_null(order.hold.map(|hold| hold.0));
        self.raw(r#","idempotency_key":"#).string_or_null(order.key.as_deref().map(keys::plain));
        self.raw(r#","items":["#);
        for (item, id) in order.items.iter().zip(1..) {
            self.raw(if id == 1 { "" } else { "," }).line(order, item, id);
        }
        self.raw(r#"],"total_amount":"#).amount(order.total);
        self.raw(r#","total_price":"#).amount(order.total);
        self.raw(r#","total_amount_minor":"#).signed(order.total.0);
        let reason = views::failure_reason(order);
        self.raw(r#","failure_reason":"#).string_or_null(reason).raw(r#","cancelled_at":"#);
        match order.status {
            Status::Cancelled => self.moment(order.updated_at),
            _ => self.raw("null"),
        };
        self.raw(r#","created_at":"#).moment(order.created_at);
        self.raw(r#","updated_at":"#).moment(order.updated_at);
        self.raw(r#","version":"#).number(order.version.0);
        // It was made canonical on arrival; metadata that cannot be parsed is left out.
        let metadata = order.metadata.as_deref();
        let metadata = metadata.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        self.raw(r#","metadata":"#).raw(metadata.map_or("null", RawValue::get));
        if let Some(reference) = &order.reference {
            self.raw(r#","client_reference":"#).string(reference);
        }
        self.raw(r#","trace_id":"#).trace(&order.trace);
        if let [item] = &*order.items {
            self.raw(r#","product_id":"#).number(item.product.0);
            self.raw(r#","quantity":"#).number(item.quantity.0.into());
        }
        self.raw("}")
    }

    /// The fields of [`client::wire::OrderLine`] in their order.
    fn line(&mut self, order: &Order, item: &Item, id: u64) -> &mut Self {
        self.raw(r#"{"id":"#).number(id).raw(r#","order_id":"#).number(order.id.0);
        self.raw(r#","product_id":"#).number(item.product.0);
        self.raw(r#","quantity":"#).number(item.quantity.0.into());
        self.raw(r#","unit_price":"#).amount(item.unit_price);
        self.raw(r#","unit_price_minor":"#).signed(item.unit_price.0);
        // Placing the order checked its total, and no line is larger.
        let total = item.unit_price.times(item.quantity).unwrap_or(order.total);
        self.raw(r#","line_total":"#).amount(total).raw("}")
    }
}

/// A buffer for the digits of 64 bits.
pub(crate) type Digits = [u8; 20];

/// Writes a number in decimal.
pub(crate) fn digits(number: u64, room: &mut Digits) -> &str {
    let mut at = room.len();
    let mut rest = number;
    loop {
        at -= 1;
        room[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            return std::str::from_utf8(&room[at..]).expect("digits are ASCII");
        }
    }
}

#[cfg(test)]
mod tests {
    use client::wire;
    use engine::ids::{HoldId, OrderId, Position, ProductId, Quantity, Timestamp, UserId};
    use engine::order::{History, PaymentMethod, PaymentTask};
    use proptest::prelude::*;

    use super::*;

    fn some_order() -> impl Strategy<Value = Order> {
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
            let methods = [
                PaymentMethod::Mock,
                PaymentMethod::Webhook,
                PaymentMethod::None,
                PaymentMethod::Gateway,
            ];
            Order {
                id: OrderId(id),
                user: some.then_some(UserId(7)),
                hold: retried.then_some(HoldId(id)),
                user_of_hold: false,
                status: views::engine_status(statuses[status]),
                payment_method: methods[method],
                items: items.into_iter().map(item).collect(),
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
                history: History::new(),
                reference: retried.then(|| r#"cart "7""#.into()),
            }
        })
    }

    proptest! {
        #[test]
        fn a_row_has_the_same_json_as_its_view(row in some_order()) {
            let view = wire::OrderAnswer::new(views::order(&row));
            let mut text = Vec::new();
            order(&row, &mut text);
            let expected = serde_json::to_string(&view.data).unwrap();
            prop_assert_eq!(String::from_utf8(text), Ok(expected));
            let expected = serde_json::to_string(&view).unwrap();
            prop_assert_eq!(String::from_utf8(answer(&row)), Ok(expected));
        }
    }

    #[test]
    fn amounts_have_two_places() {
        let amount = |minor| {
            let mut text = Vec::new();
            Text(&mut text).amount(Money(minor));
            String::from_utf8(text).unwrap()
        };
        for (minor, text) in
            [(0, "0.00"), (5, "0.05"), (10, "0.10"), (99_999, "999.99"), (-5, "-0.05")]
        {
            assert_eq!(amount(minor), format!("\"{text}\""));
        }
        for minor in [i64::MAX, i64::MIN, 100, 12_345] {
            assert_eq!(amount(minor), format!("\"{}\"", Money(minor)));
        }
    }
}

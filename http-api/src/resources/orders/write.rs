//! Writes orders: place, purchase, cancel, and fence their keys.

use std::borrow::Cow;
use std::time::Instant;

use client::wire::{self, ByKey, Envelope, ErrorCode, KeyState, OrderAnswer};
use engine::command::{CancelOrder, Command, FenceKey, OrderTerms, PlaceOrder};
use engine::ids::{HoldId, OrderId, ProductId, Quantity, UserId};
use engine::layout::Added;
use engine::order::{
    LINES_MAX, Line, METADATA_BYTES_MAX, Order, PaymentMethod, REASON_BYTES_MAX,
    REFERENCE_CHARS_MAX, is_reference,
};
use engine::outcome::Outcome;
use raft_node::Applied;

use super::dry_run;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::rows;
use crate::answer::views;
use crate::bounds::METADATA_KEYS_MAX;
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields, NOT_A_STRING, idempotency_key, is_key, key_invalid};
use crate::request::json::{self, Value};
use crate::request::query::percent_decode;
use crate::settings::{Gateway, Settings};

pub(crate) const MISSING: &str = "Order not found.";

/// `POST /orders`
pub(crate) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let header_key = extract::idempotency_key(call.headers)?;
    let object = json::parse(&call.body)?;
    let command = read_order(&call.fields(&object), header_key.as_deref(), &call.app.settings)?;
    if dry_run::is_asked(call)? {
        return dry_run::answer(call, Command::PlaceOrder(command)).await;
    }
    let placed = place(call, command).await?;
    Ok(placed.reply(rows::answer(&placed.order)))
}

/// `POST /orders/purchase`
pub(crate) async fn purchase(call: &Call<'_>) -> Result<Reply, Failure> {
    let header_key = extract::idempotency_key(call.headers)?;
    let object = json::parse(&call.body)?;
    let command = read_purchase(&call.fields(&object), header_key.as_deref(), &call.app.settings)?;
    if dry_run::is_asked(call)? {
        return dry_run::answer(call, Command::PlaceOrder(command)).await;
    }
    let placed = place(call, command).await?;
    let mut view = views::order(&placed.order);
    view.product = match &placed.applied.product {
        Some(product) => Some(Box::new(views::product(product))),
        // A replayed purchase shows the product as it is now, or none if it was archived since.
        None => placed.order.items.first().and_then(|item| {
            let product = item.product;
            call.app.handle.read(|state| state.product(product).map(views::product)).map(Box::new)
        }),
    };
    let body = serde_json::to_vec(&OrderAnswer::new(view));
    Ok(placed.reply(body.expect("wire types have string keys and finite values")))
}

/// An order that was placed, now or by an earlier request with the same key.
struct Placed {
    applied: Applied,
    order: Box<Order>,
    replayed: bool,
}

impl Placed {
    fn reply(&self, body: Vec<u8>) -> Reply {
        let Order { id, version, .. } = *self.order;
        let status = if self.replayed { 200 } else { 201 };
        let reply = reply::json(status, body).at(self.applied.position).version(version.0);
        if self.replayed { reply.replayed() } else { reply.location("orders", id.0) }
    }
}

async fn place(call: &Call<'_>, command: PlaceOrder) -> Result<Placed, Failure> {
    let started = Instant::now();
    let mut applied = call.propose(Command::PlaceOrder(command)).await?;
    call.app.metrics.reserved(started.elapsed());
    let (id, replayed) = match &applied.outcome {
        Outcome::Placed(id) => (*id, false),
        Outcome::Replayed(id) => (*id, true),
        Outcome::Rejected(rejection) => {
            let ended = call.own_end(rejection).await;
            let rejection = ended.as_ref().unwrap_or(rejection);
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    };
    let order = order_after(call, &mut applied, id).await?;
    if !replayed {
        log_order(call, "order.created", &order);
    }
    Ok(Placed { applied, order, replayed })
}

/// Logs an event of an order.
pub(crate) fn log_order(call: &Call<'_>, event: &'static str, order: &Order) {
    tracing::debug!(
        event,
        order_id = order.id.0,
        user_id = order.user.map(|user| user.0),
        trace_id = %call.trace,
    );
}

/// The order right after the command. The command took effect, so if reading the row fails, the
/// caller gets an unknown outcome.
async fn order_after(
    call: &Call<'_>,
    applied: &mut Applied,
    id: OrderId,
) -> Result<Box<Order>, Failure> {
    match applied.order.take() {
        Some(order) => Ok(order),
        None => call.stored_order(id).await.map(Box::new).map_err(|_| Failure::unknown()),
    }
}

const ORDER_FIELDS: [&str; 8] = [
    "user_id",
    "hold_id",
    "items",
    "payment_method",
    "idempotency_key",
    "metadata",
    "expected_total",
    "client_reference",
];

const PURCHASE_FIELDS: [&str; 6] =
    ["product_id", "quantity", "user_id", "idempotency_key", "expected_total", "client_reference"];

/// Reads the body of `POST /orders`.
pub(crate) fn read_order(
    fields: &Fields<'_, '_>,
    header_key: Option<&str>,
    settings: &Settings,
) -> Result<PlaceOrder, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&ORDER_FIELDS, &mut errors);
    let key = read_key(fields, header_key, settings, &mut errors)?;
    let user = read_user(fields, settings, &mut errors);
    let (hold, lines) = read_hold_or_lines(fields, &mut errors);
    // By default, orders from holds are paid through a webhook.
    let usual =
        if hold.is_some() { PaymentMethod::Webhook } else { usual_payment_method(settings) };
    let payment_method = read_payment_method(fields, usual, &mut errors);
    let metadata = read_metadata(fields, &mut errors);
    let terms = read_terms(fields, &mut errors).into();
    errors.check()?;
    let payment_method = available(payment_method, settings.gateway)?;
    let usual = order_of(lines, user, key, settings);
    let open_orders_max = match payment_method {
        PaymentMethod::None => settings.open_unpaid_orders_max,
        PaymentMethod::Mock | PaymentMethod::Webhook | PaymentMethod::Gateway => {
            usual.open_orders_max
        }
    };
    Ok(PlaceOrder { hold, payment_method, metadata, terms, open_orders_max, ..usual })
}

/// The payment method as this node's gateway carries it out.
fn available(method: PaymentMethod, gateway: Gateway) -> Result<PaymentMethod, Failure> {
    let refused = |detail| Err(Failure::new(ErrorCode::PaymentMethodUnavailable, detail));
    match (method, gateway) {
        (PaymentMethod::Mock | PaymentMethod::Gateway, Gateway::None) => refused(
            "This node has no payment gateway, so it takes no order with the payment methods \
             gateway and mock; use webhook or none, or start the nodes with --payment-gateway.",
        ),
        (PaymentMethod::Mock, Gateway::Http) => refused(
            "The payment method mock is for the simulated gateway; this node has a payment \
             service: use gateway.",
        ),
        (PaymentMethod::Gateway, Gateway::Simulated) => Ok(PaymentMethod::Mock),
        (method, _) => Ok(method),
    }
}

/// Who decides about the payment of an order that does not say so and comes from no hold.
fn usual_payment_method(settings: &Settings) -> PaymentMethod {
    match settings.gateway {
        Gateway::None => PaymentMethod::Webhook,
        Gateway::Simulated => PaymentMethod::Mock,
        Gateway::Http => PaymentMethod::Gateway,
    }
}

/// Reads the body of `POST /orders/purchase`.
fn read_purchase(
    fields: &Fields<'_, '_>,
    header_key: Option<&str>,
    settings: &Settings,
) -> Result<PlaceOrder, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&PURCHASE_FIELDS, &mut errors);
    let key = read_key(fields, header_key, settings, &mut errors)?;
    let user = read_user(fields, settings, &mut errors);
    let line = read_line(fields, &mut errors);
    let terms = read_terms(fields, &mut errors);
    errors.finish(line.map(|line| PlaceOrder {
        terms: terms.into(),
        ..order_of(vec![line], user, key, settings)
    }))
}

/// What orders may say from level 1 on.
fn read_terms(fields: &Fields<'_, '_>, errors: &mut Errors) -> OrderTerms {
    let reference = fields.text("client_reference", REFERENCE_CHARS_MAX, errors);
    if reference.as_deref().is_some_and(|text| !is_reference(text)) {
        fields.fault("client_reference", "must have printable ASCII characters only.", errors);
    }
    OrderTerms { expected_total: fields.amount("expected_total", errors), reference }
}

/// An order with every setting resolved.
fn order_of(
    lines: Vec<Line>,
    user: Option<UserId>,
    key: Option<Box<str>>,
    settings: &Settings,
) -> PlaceOrder {
    PlaceOrder {
        user,
        hold: None,
        lines,
        payment_method: usual_payment_method(settings),
        key,
        metadata: None,
        payment_attempts_max: settings.payment_attempts_max,
        payment_deadline_ms: settings.payment_deadline_ms,
        open_orders_max: settings.open_orders_max,
        require_user: settings.require_users,
        terms: Added::default(),
    }
}

fn read_key(
    fields: &Fields<'_, '_>,
    header: Option<&str>,
    settings: &Settings,
    errors: &mut Errors,
) -> Result<Option<Box<str>>, Failure> {
    let key = idempotency_key(header, fields.key(errors))?;
    if key.is_none() && settings.require_idempotency_key {
        fields.required("idempotency_key", errors);
    }
    Ok(key.map(Box::from))
}

/// The user. Optional with a hold, whose user the order gets.
pub(crate) fn read_user(
    fields: &Fields<'_, '_>,
    settings: &Settings,
    errors: &mut Errors,
) -> Option<UserId> {
    if settings.require_users && fields.optional("hold_id").is_none() {
        fields.required("user_id", errors);
    }
    fields.id("user_id", errors).map(UserId)
}

/// Either a hold, whose lines the order takes over, or lines.
fn read_hold_or_lines(fields: &Fields<'_, '_>, errors: &mut Errors) -> (Option<HoldId>, Vec<Line>) {
    if fields.optional("hold_id").is_none() {
        return (None, read_lines(fields, errors));
    }
    if fields.optional("items").is_some() {
        fields.fault("items", "must be left out of an order from a hold.", errors);
    }
    (fields.id("hold_id", errors).map(HoldId), Vec::new())
}

pub(crate) fn read_lines(fields: &Fields<'_, '_>, errors: &mut Errors) -> Vec<Line> {
    let elements = match fields.required("items", errors) {
        None => return Vec::new(),
        Some(Value::Array(elements)) => elements,
        Some(_) => {
            fields.fault("items", "must be an array.", errors);
            return Vec::new();
        }
    };
    if elements.is_empty() {
        fields.fault("items", "is required.", errors);
    }
    if elements.len() > LINES_MAX {
        // One error for all, so that the answer stays small.
        fields.fault("items", &format!("must not have more than {LINES_MAX} items."), errors);
        return Vec::new();
    }
    let read = |(index, element): (usize, &Value<'_>)| match element {
        Value::Object(line) => {
            let fields = fields.element(line, "items", index);
            fields.check_names(&["product_id", "quantity"], errors);
            read_line(&fields, errors)
        }
        _ => {
            fields.fault(&format!("items.{index}"), "must be an object.", errors);
            None
        }
    };
    elements.iter().enumerate().filter_map(read).collect()
}

fn read_line(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Line> {
    let product = fields.required("product_id", errors).and(fields.id("product_id", errors));
    let range = 1..=u64::from(Quantity::MAX.0);
    let quantity = fields.required_integer("quantity", range, errors);
    let quantity = quantity.and_then(|quantity| u32::try_from(quantity).ok());
    Some(Line { product: ProductId(product?), quantity: Quantity(quantity?) })
}

fn read_payment_method(
    fields: &Fields<'_, '_>,
    usual: PaymentMethod,
    errors: &mut Errors,
) -> PaymentMethod {
    let name = "payment_method";
    let word = match fields.optional(name) {
        None => return usual,
        Some(Value::Text(word)) => word.parse::<wire::PaymentMethod>(),
        Some(_) => {
            fields.fault(name, NOT_A_STRING, errors);
            return usual;
        }
    };
    word.map(views::engine_payment_method).unwrap_or_else(|_| {
        fields.fault(name, "must be mock, webhook or none.", errors);
        usual
    })
}

fn read_metadata(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Box<str>> {
    let name = "metadata";
    let object = match fields.optional(name)? {
        Value::Object(object) => object,
        _ => {
            fields.fault(name, "must be an object.", errors);
            return None;
        }
    };
    if object.0.len() > METADATA_KEYS_MAX {
        fields.fault(name, &format!("must not have more than {METADATA_KEYS_MAX} keys."), errors);
        return None;
    }
    let text = json::canonical(object);
    if text.len() > METADATA_BYTES_MAX {
        let rest = format!("must not be greater than {METADATA_BYTES_MAX} bytes.");
        fields.fault(name, &rest, errors);
        return None;
    }
    Some(text.into_boxed_str())
}

/// `POST /orders/{id}/cancel`
pub(crate) async fn cancel(call: &Call<'_>) -> Result<Reply, Failure> {
    let order = OrderId(call.id(MISSING)?);
    let reason = read_reason(call)?;
    let mut applied = call.propose(Command::CancelOrder(CancelOrder { order, reason })).await?;
    let already = match &applied.outcome {
        Outcome::Cancelled { already, .. } => *already,
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    };
    let row = order_after(call, &mut applied, order).await?;
    if !already {
        log_order(call, "order.cancelled", &row);
    }
    Ok(reply::json(200, rows::answer(&row)).at(applied.position).version(row.version.0))
}

/// `POST /orders/by-key/{key}/fence`
pub(crate) async fn fence(call: &Call<'_>) -> Result<Reply, Failure> {
    let key: Cow<'_, str> = percent_decode(call.argument)?;
    if !is_key(&key) {
        return Err(key_invalid());
    }
    let command = FenceKey { key: Box::from(key.as_ref()) };
    let mut applied = call.propose(Command::FenceKey(command)).await?;
    let body = match &applied.outcome {
        Outcome::KeyFenced { already } => {
            if !already {
                tracing::info!(event = "key.fenced", trace_id = %call.trace);
            }
            ByKey { state: KeyState::Fenced, order: None }
        }
        Outcome::KeyApplied(id) => {
            let id = *id;
            let order = order_after(call, &mut applied, id).await?;
            ByKey { state: KeyState::Applied, order: Some(views::order(&order)) }
        }
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(rejection).at(applied.position));
        }
        other => return Err(unexpected(call, other)),
    };
    Ok(reply::of(200, &Envelope::new(body)).at(applied.position))
}

/// Reads the optional body of a cancel.
fn read_reason(call: &Call<'_>) -> Result<Option<Box<str>>, Failure> {
    if call.body.is_empty() {
        return Ok(None);
    }
    let object = json::parse(&call.body)?;
    reason_of(&call.fields(&object))
}

fn reason_of(fields: &Fields<'_, '_>) -> Result<Option<Box<str>>, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&["reason"], &mut errors);
    let reason = fields.text("reason", REASON_BYTES_MAX, &mut errors);
    errors.check()?;
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    fn read_with(
        body: &str,
        key: Option<&str>,
        settings: &Settings,
    ) -> Result<PlaceOrder, Failure> {
        read_order(&Fields::of(&json::parse(body.as_bytes())?, Handling::Lenient), key, settings)
    }

    fn simulated() -> Settings {
        Settings { gateway: Gateway::Simulated, ..Settings::default() }
    }

    fn read(body: &str) -> Result<PlaceOrder, Failure> {
        read_with(body, None, &simulated())
    }

    #[test]
    fn an_order_is_read_with_its_settings() {
        let settings = Settings {
            payment_attempts_max: 3,
            payment_deadline_ms: 5,
            open_orders_max: 7,
            open_unpaid_orders_max: 6,
            ..Settings::default()
        };
        let body = r#"{"user_id":1,"items":[{"product_id":1,"quantity":2},{"quantity":1,"product_id":3}],
            "payment_method":"none","idempotency_key":"k","metadata":{"b":1,"a":[]},"note":"ignored"}"#;
        let order = read_with(body, Some("k"), &settings).unwrap();
        let line =
            |product, quantity| Line { product: ProductId(product), quantity: Quantity(quantity) };
        assert_eq!(order.lines, [line(1, 2), line(3, 1)]);
        assert_eq!(order.user, Some(UserId(1)));
        assert_eq!(order.payment_method, PaymentMethod::None);
        assert_eq!(order.key.as_deref(), Some("k"));
        assert_eq!(order.metadata.as_deref(), Some(r#"{"a":[],"b":1}"#));
        assert_eq!((order.payment_attempts_max, order.payment_deadline_ms), (3, 5));
        assert_eq!((order.open_orders_max, order.require_user), (6, false));
        let paid = body.replace("none", "webhook");
        assert_eq!(read_with(&paid, Some("k"), &settings).unwrap().open_orders_max, 7);

        let bare = read(
            r#"{"items":[{"product_id":1,"quantity":1000000}],"user_id":null,"hold_id":null}"#,
        );
        let bare = bare.unwrap();
        assert_eq!((bare.user, bare.key, bare.metadata), (None, None, None));
        assert_eq!(bare.payment_method, PaymentMethod::Mock);
    }

    #[test]
    fn an_order_from_a_hold_waits_for_a_webhook_unless_it_says_otherwise() {
        let order = read(r#"{"hold_id":5,"items":null}"#).unwrap();
        assert_eq!((order.hold, order.lines.len()), (Some(HoldId(5)), 0));
        assert_eq!(order.payment_method, PaymentMethod::Webhook);
        let order = read(r#"{"hold_id":5,"payment_method":"mock"}"#).unwrap();
        assert_eq!(order.payment_method, PaymentMethod::Mock);
        let settings = Settings { require_users: true, ..Settings::default() };
        let order = read_with(r#"{"hold_id":5}"#, None, &settings).unwrap();
        assert!(order.user.is_none() && order.require_user, "the hold names the user");
    }

    #[test]
    fn without_a_gateway_orders_wait_for_a_webhook_and_none_is_charged() {
        let read = |body: &str| read_with(body, None, &Settings::default());
        let lines = r#""items":[{"product_id":1,"quantity":1}]"#;
        let method = |body: &str| read(body).unwrap().payment_method;
        assert_eq!(method(&format!("{{{lines}}}")), PaymentMethod::Webhook);
        let none = format!(r#"{{{lines},"payment_method":"none"}}"#);
        assert_eq!(method(&none), PaymentMethod::None);
        for of in [lines, r#""hold_id":5"#] {
            let refused = read(&format!(r#"{{{of},"payment_method":"mock"}}"#)).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::PaymentMethodUnavailable);
        }
        let wrong = read(r#"{"items":[],"payment_method":"mock"}"#).unwrap_err();
        assert_eq!(wrong.code(), ErrorCode::ValidationError, "fields come first");
    }

    #[test]
    fn every_invalid_field_is_a_422_that_names_it() {
        let quantities = [
            "0",
            "-1",
            "1.5",
            "1e3",
            "1e400",
            "\"2\"",
            "2147483648",
            "9007199254740993",
            "9223372036854775808",
            "1000000000000000000000000000000",
            "true",
            "null",
            "[1]",
            "{}",
            "1000001",
        ];
        for quantity in quantities {
            let body = format!(r#"{{"items":[{{"product_id":1,"quantity":{quantity}}}]}}"#);
            let failure = read(&body).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{quantity}");
            assert!(format!("{failure:?}").contains("\"items.0.quantity\": ["), "{quantity}");
        }
        let long = format!("\"{}\"", "9".repeat(10_000));
        let many_keys: Vec<_> = (0..21).map(|i| format!("\"{i}\":0")).collect();
        let item = r#"{"product_id":1,"quantity":1}"#;
        for (field, body) in [
            ("items", "{}".to_owned()),
            ("items", r#"{"items":null}"#.to_owned()),
            ("items", r#"{"items":[]}"#.to_owned()),
            ("items", r#"{"items":{}}"#.to_owned()),
            ("items", format!(r#"{{"items":[{}]}}"#, vec![item; 101].join(","))),
            ("items", format!(r#"{{"items":[{}]}}"#, vec!["0"; 10_001].join(","))),
            ("items.0", r#"{"items":[1]}"#.to_owned()),
            ("items.1.product_id", format!(r#"{{"items":[{item},{{"quantity":1}}]}}"#)),
            (
                "items.0.product_id",
                format!(r#"{{"items":[{{"product_id":{long},"quantity":1}}]}}"#),
            ),
            ("items.0.product_id", r#"{"items":[{"product_id":0,"quantity":1}]}"#.to_owned()),
            ("user_id", format!(r#"{{"items":[{item}],"user_id":"1"}}"#)),
            ("user_id", format!(r#"{{"items":[{item}],"user_id":0}}"#)),
            ("items", format!(r#"{{"items":[{item}],"hold_id":5}}"#)),
            ("hold_id", r#"{"hold_id":"5"}"#.to_owned()),
            ("hold_id", r#"{"hold_id":0}"#.to_owned()),
            ("payment_method", format!(r#"{{"items":[{item}],"payment_method":"card"}}"#)),
            ("payment_method", format!(r#"{{"items":[{item}],"payment_method":1}}"#)),
            ("idempotency_key", format!(r#"{{"items":[{item}],"idempotency_key":1}}"#)),
            ("metadata", format!(r#"{{"items":[{item}],"metadata":[]}}"#)),
            ("metadata", format!(r#"{{"items":[{item}],"metadata":{{{}}}}}"#, many_keys.join(","))),
            (
                "metadata",
                format!(r#"{{"items":[{item}],"metadata":{{"a":"{}"}}}}"#, "x".repeat(4096)),
            ),
        ] {
            let failure = read(&body).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{field}");
            let text = format!("{failure:?}");
            assert!(text.contains(&format!("\"{field}\": [")), "{field}: {text}");
        }
    }

    #[test]
    fn all_invalid_fields_are_listed_together() {
        let body = r#"{"user_id":-1,"items":[{"product_id":"1"},{"product_id":1,"quantity":0}],"metadata":1}"#;
        let text = format!("{:?}", read(body).unwrap_err());
        for field in
            ["user_id", "items.0.product_id", "items.0.quantity", "items.1.quantity", "metadata"]
        {
            assert!(text.contains(&format!("\"{field}\": [")), "{field}: {text}");
        }
    }

    #[test]
    fn keys_are_validated_before_fields() {
        let body = r#"{"items":[],"idempotency_key":"a"}"#;
        let code = |key| read_with(body, key, &Settings::default()).unwrap_err().code();
        assert_eq!(code(Some("b")), ErrorCode::IdempotencyKeyMismatch);
        assert_eq!(code(Some("")), ErrorCode::IdempotencyKeyInvalid);
        assert_eq!(code(Some("a")), ErrorCode::ValidationError);
    }

    #[test]
    fn settings_make_fields_required() {
        let settings =
            Settings { require_users: true, require_idempotency_key: true, ..Settings::default() };
        let body = r#"{"items":[{"product_id":1,"quantity":1}]}"#;
        let text = format!("{:?}", read_with(body, None, &settings).unwrap_err());
        assert!(text.contains("The user id field is required."), "{text}");
        assert!(text.contains("The idempotency key field is required."), "{text}");
        let body = r#"{"user_id":1,"items":[{"product_id":1,"quantity":1}]}"#;
        assert!(read_with(body, Some("k"), &settings).unwrap().require_user);
    }

    #[test]
    fn a_purchase_is_an_order_of_one_line() {
        let settings = Settings::default();
        let read = |body: &str| {
            let object = json::parse(body.as_bytes()).unwrap();
            read_purchase(&Fields::of(&object, Handling::Lenient), None, &settings)
        };
        let order = read(r#"{"product_id":4,"quantity":3,"idempotency_key":"k"}"#).unwrap();
        assert_eq!(order.lines, [Line { product: ProductId(4), quantity: Quantity(3) }]);
        assert_eq!(order.key.as_deref(), Some("k"));
        let text = format!("{:?}", read("{}").unwrap_err());
        assert!(text.contains("The product id field is required."), "{text}");
        assert!(text.contains("The quantity field is required."), "{text}");
    }

    #[test]
    fn the_reason_of_a_cancel_is_optional() {
        let read =
            |body: &str| reason_of(&Fields::of(&json::parse(body.as_bytes())?, Handling::Lenient));
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"reason":"late"}"#).unwrap().as_deref(), Some("late"));
        let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(256));
        for body in ["", r#"{"reason":1}"#, "[]", "{", &long] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}

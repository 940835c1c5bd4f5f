//! Turns the engine's rows into wire types. Amounts and times become text only here.

use std::borrow::Cow;

use client::wire::{self, MemberRole, PaymentStatus};
use engine::adjustment::{Adjustment, Change};
use engine::hold::{self, Hold};
use engine::ids::{Position, Timestamp};
use engine::keys;
use engine::ledger::Cause;
use engine::money::Money;
use engine::order::{HistoryRow, Item, Line, Order, PaymentMethod, Status};
use engine::product::Product;
use engine::user::User;
use engine::webhook::Conflict;
use raft_node::LedgerEntry;
use time::OffsetDateTime;

use crate::process::Process;

/// Why an order failed or was cancelled, if anybody said why.
pub(crate) fn failure_reason(order: &Order) -> Option<&str> {
    let is_undone = matches!(order.status, Status::Failed | Status::Cancelled);
    order.failure_reason.as_deref().filter(|_| is_undone)
}

/// The wire type of an order.
pub(crate) fn order(order: &Order) -> wire::Order {
    let status = status(order.status);
    let total = order.total.to_string();
    let single = if let [item] = &*order.items { Some(item) } else { None };
    wire::Order {
        id: order.id.0,
        order_id: order.id.0,
        user_id: order.user.map(|user| user.0),
        status,
        saga_status: status.into(),
        payment_method: payment_method(order.payment_method),
        payment_status: payment_status(order),
        hold_id: order.hold.map(|hold| hold.0),
        idempotency_key: order.key.as_deref().map(|key| keys::plain(key).to_owned()),
        items: lines(order),
        total_amount: total.clone(),
        total_price: total,
        total_amount_minor: order.total.0,
        failure_reason: failure_reason(order).map(str::to_owned),
        // A cancelled order never changes again, so its last change is the cancel.
        cancelled_at: (order.status == Status::Cancelled).then(|| moment(order.updated_at)),
        created_at: moment(order.created_at),
        updated_at: moment(order.updated_at),
        version: order.version.0,
        // It was made canonical on arrival. Metadata that cannot be parsed is left out, so that the
        // order can still be read.
        metadata: order.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        client_reference: order.reference.as_deref().map(str::to_owned),
        trace_id: Some(order.trace.to_string()),
        product_id: single.map(|item| item.product.0),
        quantity: single.map(|item| u64::from(item.quantity.0)),
        product: None,
    }
}

fn lines(order: &Order) -> Vec<wire::OrderLine> {
    let line = |(item, id): (&engine::order::Item, u64)| wire::OrderLine {
        id,
        order_id: order.id.0,
        product_id: item.product.0,
        quantity: item.quantity.0.into(),
        unit_price: item.unit_price.to_string(),
        unit_price_minor: item.unit_price.0,
        // Placing the order checked its total, and no line is larger.
        line_total: item.unit_price.times(item.quantity).unwrap_or(order.total).to_string(),
    };
    order.items.iter().zip(1..).map(line).collect()
}

pub(crate) fn payment_status(order: &Order) -> Option<PaymentStatus> {
    match order.status {
        Status::Pending | Status::Processing => {
            let unanswered = order.task.is_some_and(|task| task.unanswered > 0);
            Some(if unanswered { PaymentStatus::Unsettled } else { PaymentStatus::Pending })
        }
        Status::Paid => Some(PaymentStatus::Succeeded),
        Status::Failed => Some(PaymentStatus::Declined),
        Status::Cancelled => None,
    }
}

/// The history of an order, oldest step first.
pub(crate) fn history(order: &Order) -> Vec<wire::OrderEvent> {
    order.history.iter().map(|row| step(order, row)).collect()
}

fn step(order: &Order, row: &HistoryRow) -> wire::OrderEvent {
    // The row stores one reason, why the order ended. It belongs to the last step.
    let ends = row.to == order.status && row.to.is_final();
    wire::OrderEvent {
        index: row.position.0,
        from: row.from.map(status),
        to: status(row.to),
        time: moment(row.at),
        cause: Cow::Borrowed(row.cause.as_str()),
        reason: order.failure_reason.as_deref().filter(|_| ends).map(str::to_owned),
        trace_id: Some(row.trace.as_deref().unwrap_or(&order.trace).to_string()),
    }
}

/// The wire type of a product.
pub(crate) fn product(product: &Product) -> wire::Product {
    let stock = units(product.stock.available());
    wire::Product {
        id: product.id.0,
        name: product.name.to_string(),
        sku: product.sku.as_deref().map(str::to_owned),
        price: product.price.to_string(),
        price_minor: product.price.0,
        stock,
        available_stock: stock,
        total_stock: units(product.stock.total()),
        on_hand: units(product.stock.on_hand),
        held: units(product.stock.held),
        reserved: units(product.stock.reserved),
        sold: units(product.stock.sold),
        max_per_order: product.max_per_order.map(u64::from),
        max_per_user: product.max_per_user.map(u64::from),
        low_stock_threshold: product.low_stock.map(u64::from),
        opens_at: product.sale.opens_at.map(moment),
        closes_at: product.sale.closes_at.map(moment),
        min_per_order: product.sale.min_per_order.map(u64::from),
        max_held_per_user: product.sale.max_held_per_user.map(u64::from),
        per_window: product
            .sale
            .per_window
            .map(|limit| wire::PerWindow { units: u64::from(limit.units), days: limit.days() }),
        created_at: moment(product.created_at),
        updated_at: moment(product.updated_at),
        version: product.version.0,
    }
}

/// The engine asserts that no counter is negative. If one is, 0 is the safe answer.
pub(crate) fn units(counter: i64) -> u64 {
    u64::try_from(counter).unwrap_or(0)
}

/// The wire type of an adjustment, with the product after the request.
pub(crate) fn adjustment(row: &Adjustment, product: Option<wire::Product>) -> wire::Adjustment {
    wire::Adjustment {
        id: row.id.0,
        product_id: row.product.0,
        delta: row.delta,
        set: match row.change {
            Change::By(_) => None,
            Change::To(stock) => Some(units(stock)),
        },
        expected: row.expected.map(units),
        reason: row.reason.to_string(),
        stock: units(row.available),
        idempotency_key: row.key.as_deref().map(str::to_owned),
        created_at: moment(row.at),
        version: row.position.0,
        trace_id: Some(row.trace.to_string()),
        product,
    }
}

/// The wire type of a ledger row.
pub(crate) fn ledger_row(entry: &LedgerEntry) -> wire::LedgerRow {
    let LedgerEntry { place, row, reason } = entry;
    wire::LedgerRow {
        index: place.position.0,
        line: place.line.into(),
        time: moment(row.at),
        cause: Cow::Borrowed(row.cause.as_str()),
        reference: reference(row.cause),
        reason: reason.as_deref().map(str::to_owned),
        deltas: wire::LedgerDeltas {
            stock: row.on_hand - row.held - row.reserved,
            on_hand: row.on_hand,
            held: row.held,
            reserved: row.reserved,
            sold: row.sold,
        },
        counters: wire::LedgerCounters {
            stock: units(row.after.available()),
            on_hand: units(row.after.on_hand),
            held: units(row.after.held),
            reserved: units(row.after.reserved),
            sold: units(row.after.sold),
        },
    }
}

/// What moved units, as a kind and an id.
fn reference(cause: Cause) -> Option<wire::LedgerReference> {
    let named = [
        ("order", cause.order().map(|id| id.0)),
        ("hold", cause.hold().map(|id| id.0)),
        ("adjustment", cause.adjustment().map(|id| id.0)),
        ("refund", cause.refund().map(|id| id.0)),
    ];
    let found = named.into_iter().find_map(|(kind, id)| Some((kind, id?)));
    found.map(|(kind, id)| wire::LedgerReference { kind: Cow::Borrowed(kind), id })
}

/// The wire type of a user.
pub(crate) fn user(user: &User) -> wire::User {
    wire::User {
        id: user.id.0,
        name: user.name.to_string(),
        email: user.email.to_string(),
        created_at: moment(user.created_at),
        version: user.version.0,
    }
}

/// The cluster as this node sees it.
pub(crate) fn cluster(handle: &raft_node::Handle) -> wire::Cluster {
    let status = handle.status();
    let (process, metrics) = (Process::now(), handle.metrics());
    let node = wire::NodeState {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: metrics.uptime_seconds,
        disk_free_bytes: metrics.disk_free_bytes,
        disk_reserve_bytes: Some(metrics.disk_reserve_bytes),
        memory_bytes: process.memory_bytes,
        memory_limit_bytes: process.memory_limit_bytes,
        files_open: process.files_open,
        files_max: process.files_max,
    };
    let own = status.node_id;
    let member = |member: raft_node::Member| wire::Member {
        level_newest: member.speaks,
        version: (member.id == own).then(|| node.version.clone()),
        uptime_seconds: (member.id == own).then_some(node.uptime_seconds),
        id: member.id.0,
        role: member.role.parse().unwrap_or(MemberRole::Unknown),
        raft_addr: member.raft_addr,
        http_addr: member.http_addr,
        replaces: member.replaces.map(|id| id.0),
        match_index: member.match_index,
        lag: member.lag,
        healthy: member.healthy,
        last_contact_ms: member.last_contact_ms,
    };
    let mut members: Vec<_> = status.members.into_iter().map(member).collect();
    members.sort_by_key(|member| member.id);
    wire::Cluster {
        cluster_id: status.cluster_id,
        node_id: status.node_id.0,
        leader_id: status.leader_id.map(|id| id.0),
        term: status.term,
        commit_index: status.commit_index,
        applied_index: status.applied_index,
        digest: format!("{:016x}", status.digest),
        level: status.level,
        level_newest: status.level_newest,
        payments_paused: status.payments_paused,
        rebuilt_from: status.rebuilt_from.map(|id| id.0),
        next_member_id: status.next_member_id.0,
        warnings: status.warnings,
        node: Some(node),
        // The server knows these two.
        insecure: Vec::new(),
        unsafe_settings: Vec::new(),
        log_entries_left: Some(metrics.log_entries_left),
        members,
    }
}

/// The wire type of a hold at a time of the replicated clock.
pub(crate) fn hold(hold: &Hold, now: Timestamp) -> wire::Hold {
    let (status, order) = match hold.status_at(now) {
        hold::Status::Active => (wire::HoldStatus::Active, None),
        hold::Status::Consumed(order) => (wire::HoldStatus::Consumed, Some(order)),
        hold::Status::Expired => (wire::HoldStatus::Expired, None),
        hold::Status::Released => (wire::HoldStatus::Released, None),
    };
    let price = |at: usize| Some(hold.unit_prices.as_deref()?.get(at)?.to_string());
    let line = |(at, line): (usize, &Line)| wire::HoldLine {
        product_id: line.product.0,
        quantity: line.quantity.0.into(),
        unit_price: price(at),
    };
    let items: Vec<_> = hold.lines.iter().enumerate().map(line).collect();
    let single =
        if let [line] = &items[..] { Some((line.product_id, line.quantity)) } else { None };
    // The total was checked when the hold was made.
    let total = hold.items().and_then(|items| {
        let amount = |item: &Item| item.unit_price.times(item.quantity);
        items.iter().try_fold(Money(0), |sum, item| sum.plus(amount(item)?))
    });
    wire::Hold {
        id: hold.id.0,
        hold_id: hold.id.0,
        user_id: hold.user.map(|user| user.0),
        status,
        items,
        total_amount: total.map(|total| total.to_string()),
        expires_at: moment(hold.expires_at),
        order_id: order.map(|order| order.0),
        idempotency_key: hold.key.as_deref().map(|key| keys::plain(key).to_owned()),
        created_at: moment(hold.created_at),
        updated_at: moment(hold.updated_at),
        version: hold.version.0,
        trace_id: Some(hold.trace.to_string()),
        product_id: single.map(|(product, _)| product),
        quantity: single.map(|(_, quantity)| quantity),
        qty: single.map(|(_, quantity)| quantity),
    }
}

/// The wire type of a line with its price.
pub(crate) fn priced_line(item: &Item) -> wire::PricedLine {
    wire::PricedLine {
        product_id: item.product.0,
        quantity: item.quantity.0.into(),
        unit_price: item.unit_price.to_string(),
    }
}

/// Why the result of a payment cannot be applied.
pub(crate) fn conflict(conflict: Conflict) -> wire::WebhookConflict {
    match conflict {
        Conflict::Late => wire::WebhookConflict::Late,
        Conflict::UnderWay => wire::WebhookConflict::UnderWay,
        Conflict::Amount => wire::WebhookConflict::Amount,
        Conflict::Method => wire::WebhookConflict::Method,
    }
}

pub(crate) fn status(status: Status) -> wire::OrderStatus {
    match status {
        Status::Pending => wire::OrderStatus::Pending,
        Status::Processing => wire::OrderStatus::Processing,
        Status::Paid => wire::OrderStatus::Paid,
        Status::Failed => wire::OrderStatus::Failed,
        Status::Cancelled => wire::OrderStatus::Cancelled,
    }
}

/// The engine's status for one from the wire.
pub(crate) fn engine_status(status: wire::OrderStatus) -> Status {
    match status {
        wire::OrderStatus::Pending => Status::Pending,
        wire::OrderStatus::Processing => Status::Processing,
        wire::OrderStatus::Paid => Status::Paid,
        wire::OrderStatus::Failed => Status::Failed,
        wire::OrderStatus::Cancelled => Status::Cancelled,
    }
}

pub(crate) fn payment_method(method: PaymentMethod) -> wire::PaymentMethod {
    match method {
        PaymentMethod::Mock => wire::PaymentMethod::Mock,
        PaymentMethod::Webhook => wire::PaymentMethod::Webhook,
        PaymentMethod::None => wire::PaymentMethod::None,
        PaymentMethod::Gateway => wire::PaymentMethod::Gateway,
    }
}

/// The engine's payment method for one from the wire.
pub(crate) fn engine_payment_method(method: wire::PaymentMethod) -> PaymentMethod {
    match method {
        wire::PaymentMethod::Mock => PaymentMethod::Mock,
        wire::PaymentMethod::Webhook => PaymentMethod::Webhook,
        wire::PaymentMethod::None => PaymentMethod::None,
        wire::PaymentMethod::Gateway => PaymentMethod::Gateway,
    }
}

/// The time on this node's own clock, for answers about the node.
pub(crate) fn now() -> String {
    let since_epoch =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    moment(Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
}

/// The end of the year 9999, the last time that RFC 3339 can express.
const MOMENT_MAX: Timestamp = Timestamp(253_402_300_799_999);

/// RFC 3339 in UTC, with milliseconds: `2026-02-23T10:30:00.000Z`.
pub(crate) fn moment(at: Timestamp) -> String {
    String::from_utf8(moment_text(at).to_vec()).expect("ASCII")
}

/// The same as bytes of ASCII.
pub(crate) fn moment_text(at: Timestamp) -> [u8; 24] {
    let ms = at.0.min(MOMENT_MAX.0);
    let seconds = i64::try_from(ms / 1000).expect("capped above");
    let moment = OffsetDateTime::from_unix_timestamp(seconds).expect("capped above");
    let mut text = *b"0000-00-00T00:00:00.000Z";
    // Writes digits in place: each order has three times, and the general formatter is slower.
    let mut digits = |range: std::ops::Range<usize>, mut number: u32| {
        for at in range.rev() {
            text[at] = b'0' + u8::try_from(number % 10).expect("a digit");
            number /= 10;
        }
    };
    digits(0..4, moment.year().unsigned_abs());
    digits(5..7, u8::from(moment.month()).into());
    digits(8..10, moment.day().into());
    digits(11..13, moment.hour().into());
    digits(14..16, moment.minute().into());
    digits(17..19, moment.second().into());
    digits(20..23, u32::try_from(ms % 1000).expect("less than a thousand"));
    text
}

/// Reads the version of a row from an `ETag`, also in its weak form.
pub(crate) fn version_of_tag(tag: &str) -> Option<Position> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok().map(Position) } else { None }
}

#[cfg(test)]
mod tests {
    use engine::ids::{OrderId, ProductId, Quantity, UserId};
    use engine::money::Money;
    use engine::order::{Cause, Item, PaymentTask};
    use engine::trace::TraceId;

    use super::*;

    fn placed() -> Order {
        let item = Item { product: ProductId(1), quantity: Quantity(2), unit_price: Money(99_999) };
        let row = HistoryRow {
            position: Position(4711),
            from: None,
            to: Status::Pending,
            at: Timestamp(1_771_842_600_123),
            cause: Cause::Placed,
            trace: None,
        };
        Order {
            id: OrderId(7),
            user: Some(UserId(1)),
            hold: None,
            user_of_hold: false,
            status: Status::Pending,
            payment_method: PaymentMethod::Mock,
            items: [item].into_iter().collect(),
            total: Money(199_998),
            key: Some("order-abc-123".into()),
            metadata: Some(r#"{"a":0.1}"#.into()),
            failure_reason: None,
            trace: TraceId::parse("t-1").unwrap(),
            created_at: Timestamp(1_771_842_600_123),
            updated_at: Timestamp(1_771_842_600_123),
            version: Position(4711),
            task: Some(PaymentTask {
                attempt: 1,
                attempts_max: 1,
                unanswered: 0,
                due: Timestamp(0),
                claim: None,
            }),
            payment_deadline: None,
            history: [row].into_iter().collect(),
            reference: None,
        }
    }

    #[test]
    fn an_order_has_the_documented_json() {
        let golden = concat!(
            r#"{"id":7,"order_id":7,"user_id":1,"status":"PENDING","saga_status":"RESERVED","#,
            r#""payment_method":"mock","payment_status":"pending","hold_id":null,"#,
            r#""idempotency_key":"order-abc-123","items":[{"id":1,"order_id":7,"product_id":1,"#,
            r#""quantity":2,"unit_price":"999.99","unit_price_minor":99999,"#,
            r#""line_total":"1999.98"}],"total_amount":"1999.98","total_price":"1999.98","#,
            r#""total_amount_minor":199998,"failure_reason":null,"cancelled_at":null,"#,
            r#""created_at":"2026-02-23T10:30:00.123Z","updated_at":"2026-02-23T10:30:00.123Z","#,
            r#""version":4711,"metadata":{"a":0.1},"trace_id":"t-1","product_id":1,"quantity":2}"#,
        );
        assert_eq!(serde_json::to_string(&order(&placed())).unwrap(), golden);
    }

    #[test]
    fn the_final_status_decides_which_fields_are_set() {
        let mut row = placed();
        row.failure_reason = Some("card expired".into());
        for (status, payment, reason, cancelled) in [
            (Status::Pending, Some(PaymentStatus::Pending), None, false),
            (Status::Processing, Some(PaymentStatus::Pending), None, false),
            (Status::Paid, Some(PaymentStatus::Succeeded), None, false),
            (Status::Failed, Some(PaymentStatus::Declined), Some("card expired"), false),
            (Status::Cancelled, None, Some("card expired"), true),
        ] {
            row.status = status;
            let view = order(&row);
            assert_eq!(view.payment_status, payment, "{status}");
            assert_eq!(view.failure_reason.as_deref(), reason, "{status}");
            assert_eq!(view.cancelled_at.is_some(), cancelled, "{status}");
            assert_eq!(view.status.as_str(), status.as_str());
            assert_eq!(engine_status(view.status), status);
        }
        row.status = Status::Processing;
        row.task.as_mut().unwrap().unanswered = 1;
        assert_eq!(order(&row).payment_status, Some(PaymentStatus::Unsettled));
    }

    #[test]
    fn only_the_last_step_has_the_reason() {
        let mut row = placed();
        row.status = Status::Cancelled;
        row.failure_reason = Some("changed my mind".into());
        row.history.push(HistoryRow {
            position: Position(5000),
            from: Some(Status::Pending),
            to: Status::Cancelled,
            at: Timestamp(1_771_842_601_000),
            cause: Cause::Cancelled,
            trace: TraceId::parse("t-2").map(Box::new),
        });
        let steps = history(&row);
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].from, steps[0].reason.as_deref()), (None, None));
        assert_eq!(steps[0].trace_id.as_deref(), Some("t-1"));
        assert_eq!(steps[1].reason.as_deref(), Some("changed my mind"));
        assert_eq!(steps[1].trace_id.as_deref(), Some("t-2"));
        assert_eq!(steps[1].cause, "cancelled");
    }

    #[test]
    fn times_are_formatted_as_the_library_does() {
        let format = time::format_description::well_known::Rfc3339;
        for ms in [0, 1, 999, 1_000, 951_827_696_789, 1_771_842_600_000, MOMENT_MAX.0] {
            let text = moment(Timestamp(ms));
            let read = OffsetDateTime::parse(&text, &format).unwrap();
            assert_eq!(read.unix_timestamp_nanos(), i128::from(ms) * 1_000_000, "{text}");
            assert_eq!(text.len(), 24);
        }
        assert_eq!(moment(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn tags_are_read_back_exactly() {
        assert_eq!(version_of_tag("\"4711\""), Some(Position(4711)));
        assert_eq!(version_of_tag("\"0\""), Some(Position(0)));
        assert_eq!(version_of_tag("W/\"4711\""), Some(Position(4711)));
        for tag in [
            "4711",
            "\"\"",
            "\"04711\"",
            "w/\"4711\"",
            "W/W/\"1\"",
            "\"-1\"",
            "\"99999999999999999999\"",
            "\"",
        ] {
            assert_eq!(version_of_tag(tag), None, "{tag}");
        }
    }
}

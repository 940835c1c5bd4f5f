//! One line of text for each outcome and event.

use engine::event::{Event, HoldChange, Kind};
use engine::ids::Position;
use engine::outcome::Outcome;
use engine::webhook::Fate;

/// Entry and command, as `2.1`.
pub(super) fn position(position: Position) -> String {
    format!("{}.{}", position.index(), position.command())
}

/// What a command came to.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rejected(rejection) => format!("refused: {rejection}"),
        Outcome::Claimed(claims) => {
            let claims = claims.iter().map(|claim| {
                let (order, attempt, amount) = (claim.order, claim.attempt, claim.amount);
                format!(" {order}#{attempt} {amount} unanswered={}", claim.unanswered)
            });
            format!("claimed{}", claims.collect::<String>())
        }
        Outcome::Placed(id) => format!("placed order {id}"),
        Outcome::Replayed(id) => format!("replayed order {id}"),
        Outcome::Cancelled { order, already: false } => format!("cancelled order {order}"),
        Outcome::Cancelled { order, already: true } => format!("order {order} was cancelled"),
        Outcome::Settled(results) => format!("settled {results}"),
        Outcome::Batch(outcomes) => {
            let texts: Vec<_> = outcomes.iter().map(self::outcome).collect();
            format!("batch: {}", texts.join("; "))
        }
        Outcome::KeyFenced { already: false } => "fenced the key".into(),
        Outcome::KeyFenced { already: true } => "the key was fenced".into(),
        Outcome::KeyApplied(id) => format!("the key made order {id}"),
        Outcome::Reported { order, fate, status, duplicate } => {
            let fate = match fate {
                Fate::Parked => "parked".to_owned(),
                Fate::Applied => "applied".to_owned(),
                Fate::Conflict(conflict) => format!("in conflict ({})", conflict.as_str()),
                Fate::Unmatched => "unmatched".to_owned(),
            };
            let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
            let before = if *duplicate { " before" } else { "" };
            format!("report {fate}{before}: order {order} is {status}")
        }
        Outcome::HoldCreated(id) => format!("made hold {id}"),
        Outcome::HoldReplayed(id) => format!("replayed hold {id}"),
        Outcome::HoldReleased { hold, already: false } => format!("released hold {hold}"),
        Outcome::HoldReleased { hold, already: true } => format!("hold {hold} was released"),
        Outcome::HoldExtended(id) => format!("extended hold {id}"),
        Outcome::ProductCreated(id) => format!("created product {id}"),
        Outcome::ProductUpdated(id) => format!("updated product {id}"),
        Outcome::StockAdjusted { adjustment, product } => {
            format!("made adjustment {adjustment} of product {product}")
        }
        Outcome::AdjustmentReplayed { adjustment, product } => {
            format!("replayed adjustment {adjustment} of product {product}")
        }
        Outcome::ProductArchived(id) => format!("archived product {id}"),
        Outcome::UserCreated(id) => format!("created user {id}"),
        Outcome::Ticked => "ticked".into(),
        Outcome::ClusterBegun => "began a cluster".into(),
        Outcome::PaymentsSet => "set payments".into(),
        Outcome::Noted => "noted".to_owned(),
        Outcome::LevelRaised(level) => format!("at level {level}"),
        Outcome::AuthSet { mode, already: false } => format!("auth is {}", mode.as_str()),
        Outcome::AuthSet { mode, already: true } => format!("auth was {}", mode.as_str()),
        Outcome::TokenCreated(id) => format!("created token {id}"),
        Outcome::TokenRevoked { token, already: false } => format!("revoked token {token}"),
        Outcome::TokenRevoked { token, already: true } => format!("token {token} was revoked"),
        Outcome::OrderSettled { order, already: false } => format!("settled order {order}"),
        Outcome::OrderSettled { order, already: true } => format!("order {order} was settled"),
        Outcome::PaymentRechecked(id) => format!("the payment of order {id} is due"),
        Outcome::RefundRequested(id) => format!("requested refund {id}"),
        Outcome::RefundReplayed(id) => format!("replayed refund {id}"),
        Outcome::RefundsClaimed(claims) => {
            let claims = claims.iter().map(|claim| {
                format!(" {} {} unanswered={}", claim.refund, claim.amount, claim.unanswered)
            });
            format!("claimed refunds{}", claims.collect::<String>())
        }
        Outcome::RefundsSettled(results) => format!("settled {results} refunds"),
        Outcome::Repeated(did) => format!("the key did it before: {}", self::outcome(did)),
        Outcome::Ignored => "ignored".into(),
    }
}

/// An event, indented below the command that caused it.
pub(super) fn event(event: &Event) -> String {
    let what = match &event.kind {
        Kind::Order { order, total, .. } => format!("order {order} total {total}"),
        Kind::OrderRejected { product, .. } => format!("product {product}"),
        Kind::PaymentConflict { order, report, conflict, .. } => {
            format!("order {order} {} {}", report.as_str(), conflict.as_str())
        }
        Kind::PaymentUnmatched { order, report, .. } => {
            format!("order {order} {}", report.as_str())
        }
        Kind::Hold { hold, change: HoldChange::Consumed(order), .. } => {
            format!("hold {hold} order {order}")
        }
        Kind::Hold { hold, expires_at, .. } => format!("hold {hold} until {}", expires_at.0),
        Kind::StockAdjusted { product, delta, available, .. } => {
            format!("product {product} by {delta} to {available}")
        }
        Kind::LowStock { product, available, threshold } => {
            format!("product {product} available {available} of {threshold}")
        }
        Kind::Refund { refund, order, amount, .. } => {
            format!("refund {refund} of order {order}: {amount}")
        }
        Kind::PaymentSettled { order, attempt, reference, actor, .. } => {
            let reference = reference.as_deref().unwrap_or("none");
            format!("order {order}#{attempt} reference {reference} by {actor}")
        }
        Kind::ProductCreated(id)
        | Kind::ProductUpdated(id)
        | Kind::ProductArchived(id)
        | Kind::SoldOut(id) => format!("product {id}"),
    };
    format!("  event {} {what}", event.kind.as_str())
}

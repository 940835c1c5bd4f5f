//! Holds: units set aside for a customer until a moment, and what became of them.

use std::fmt;

use bincode::{Decode, Encode};

use crate::ids::{HoldId, OrderId, Position, Timestamp, UserId};
use crate::order::Line;
use crate::trace::TraceId;

/// Where a hold stands. All but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Status {
    /// Its units are held. Past its deadline it is unusable all the same: see [`Hold::status_at`].
    Active,
    /// An order took its units over.
    Consumed(OrderId),
    /// Its deadline passed and its units went back.
    Expired,
    /// It was released early and its units went back.
    Released,
}

impl Status {
    /// The name on the wire and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Consumed(_) => "consumed",
            Status::Expired => "expired",
            Status::Released => "released",
        }
    }

    /// Whether nothing may follow.
    pub fn is_final(self) -> bool {
        self != Status::Active
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hold, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// For whom, if the request said so.
    pub user: Option<UserId>,
    /// Its lines, as the customer gave them.
    pub lines: Vec<Line>,
    /// Where it stands.
    pub status: Status,
    /// The customer's idempotency key.
    pub key: Option<Box<str>>,
    /// How long the request asked for, in milliseconds.
    pub ttl_ms: u64,
    /// The moment from which on it is unusable.
    pub expires_at: Timestamp,
    /// The trace id of the request that made it.
    pub trace: TraceId,
    /// The command that made it.
    pub created: Position,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The command that last changed it; its `ETag`.
    pub version: Position,
}

impl Hold {
    /// Where it stands at a moment of the replicated clock: one that is past its deadline is
    /// expired, whether or not it was swept.
    pub fn status_at(&self, now: Timestamp) -> Status {
        match self.status {
            Status::Active if self.expires_at <= now => Status::Expired,
            status => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_over_at_its_deadline_and_not_before() {
        let mut hold = Hold {
            id: HoldId(1),
            user: None,
            lines: Vec::new(),
            status: Status::Active,
            key: None,
            ttl_ms: 5,
            expires_at: Timestamp(100),
            trace: TraceId::NONE,
            created: Position(0),
            created_at: Timestamp(95),
            updated_at: Timestamp(95),
            version: Position(0),
        };
        assert_eq!(hold.status_at(Timestamp(99)), Status::Active);
        assert_eq!(hold.status_at(Timestamp(100)), Status::Expired);
        hold.status = Status::Consumed(OrderId(7));
        assert_eq!(hold.status_at(Timestamp(100)), Status::Consumed(OrderId(7)));
    }
}

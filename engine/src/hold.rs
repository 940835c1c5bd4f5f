//! Holds: units set aside for a customer until a deadline, and how they ended.

use std::fmt;

use bincode::{Decode, Encode};

use crate::ids::{HoldId, OrderId, Position, Timestamp, UserId};
use crate::order::Line;
use crate::trace::TraceId;

/// The status of a hold. All but the first are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Status {
    /// Its units are held. It is unusable past its deadline even so: see [`Hold::status_at`].
    Active,
    /// An order consumed its units.
    Consumed(OrderId),
    /// Its deadline passed; its units are available again.
    Expired,
    /// It was released early; its units are available again.
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

    /// Whether no status may follow.
    pub fn is_final(self) -> bool {
        self != Status::Active
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stored hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The customer, if the request named one.
    pub user: Option<UserId>,
    /// Its lines, as the customer gave them.
    pub lines: Vec<Line>,
    /// Its status.
    pub status: Status,
    /// The customer's idempotency key.
    pub key: Option<Box<str>>,
    /// The requested time to live, in milliseconds.
    pub ttl_ms: u64,
    /// The moment from which it is unusable.
    pub expires_at: Timestamp,
    /// The trace id of the request that created it.
    pub trace: TraceId,
    /// The command that created it.
    pub created: Position,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The command that last changed it; its `ETag`.
    pub version: Position,
}

impl Hold {
    /// Its status at a moment of the replicated clock: past its deadline a hold is expired, whether
    /// or not it was swept.
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
    fn a_hold_expires_at_its_deadline_and_not_before() {
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

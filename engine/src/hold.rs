//! Holds: units set aside for a customer until a deadline, and how they ended.

use std::fmt;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::ids::{HoldId, OrderId, Position, Timestamp, UserId};
use crate::money::Money;
use crate::order::{Item, Items, Line};
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// Whether the client left it to the server. Holds that were created at level 0 do not say so.
    pub ttl_is_default: bool,
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
    /// The price of one unit of each line when the hold was created, which its order pays. Holds
    /// that were created at level 0 have none.
    pub unit_prices: Option<Box<[Money]>>,
}

/// Added to the number of the status when prices follow the other fields. Rows without prices are
/// as before holds had any.
const HAS_PRICES: u32 = 4;

/// Added to the number of the status when the client did not name the time to live.
const HAS_DEFAULT_TTL: u32 = 8;

impl Encode for Hold {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let (number, order) = match self.status {
            Status::Active => (0, None),
            Status::Consumed(order) => (1, Some(order)),
            Status::Expired => (2, None),
            Status::Released => (3, None),
        };
        let number = number
            + HAS_PRICES * u32::from(self.unit_prices.is_some())
            + HAS_DEFAULT_TTL * u32::from(self.ttl_is_default);
        (self.id, self.user, &self.lines, number).encode(encoder)?;
        order.map_or(Ok(()), |order| order.encode(encoder))?;
        (&self.key, self.ttl_ms, self.expires_at, &self.trace).encode(encoder)?;
        (self.created, self.created_at, self.updated_at, self.version).encode(encoder)?;
        // As many as lines, so their number is not repeated.
        let prices = self.unit_prices.iter().flatten();
        prices.into_iter().try_for_each(|price| price.encode(encoder))
    }
}

bincode::impl_borrow_decode!(Hold);

impl<C> Decode<C> for Hold {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Hold, DecodeError> {
        let (id, user, lines, number): (_, _, Vec<Line>, u32) = Decode::decode(decoder)?;
        let status = match number % HAS_PRICES {
            0 => Status::Active,
            1 => Status::Consumed(Decode::decode(decoder)?),
            2 => Status::Expired,
            _ => Status::Released,
        };
        let (key, ttl_ms, expires_at, trace) = Decode::decode(decoder)?;
        let (created, created_at, updated_at, version) = Decode::decode(decoder)?;
        if number >= 2 * HAS_DEFAULT_TTL {
            return Err(DecodeError::Other("unknown status of a hold"));
        }
        let unit_prices = match number & HAS_PRICES {
            0 => None,
            _ => Some(lines.iter().map(|_| Money::decode(decoder)).collect::<Result<_, _>>()?),
        };
        Ok(Hold {
            id,
            user,
            lines,
            status,
            key,
            ttl_ms,
            ttl_is_default: number & HAS_DEFAULT_TTL != 0,
            expires_at,
            trace,
            created,
            created_at,
            updated_at,
            version,
            unit_prices,
        })
    }
}

impl Hold {
    /// Its lines with the prices at which it was created, if it has them.
    pub fn items(&self) -> Option<Items> {
        let prices = self.unit_prices.as_deref()?;
        let mut items = Items::new();
        for (&Line { product, quantity }, &unit_price) in self.lines.iter().zip(prices) {
            items.push(Item { product, quantity, unit_price });
        }
        Some(items)
    }

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
    use crate::codec;
    use crate::ids::{ProductId, Quantity};

    #[test]
    fn a_hold_expires_at_its_deadline_and_not_before() {
        let mut hold = Hold {
            id: HoldId(1),
            user: None,
            lines: Vec::new(),
            status: Status::Active,
            key: None,
            ttl_ms: 5,
            ttl_is_default: false,
            expires_at: Timestamp(100),
            trace: TraceId::NONE,
            created: Position(0),
            created_at: Timestamp(95),
            updated_at: Timestamp(95),
            version: Position(0),
            unit_prices: None,
        };
        assert_eq!(hold.status_at(Timestamp(99)), Status::Active);
        assert_eq!(hold.status_at(Timestamp(100)), Status::Expired);
        hold.status = Status::Consumed(OrderId(7));
        assert_eq!(hold.status_at(Timestamp(100)), Status::Consumed(OrderId(7)));
    }

    #[test]
    fn prices_come_after_a_row_as_it_was_before_holds_had_any() {
        let line = |product| Line { product: ProductId(product), quantity: Quantity(2) };
        let statuses =
            [Status::Active, Status::Consumed(OrderId(7)), Status::Expired, Status::Released];
        for (number, status) in (0..).zip(statuses) {
            let plain = Hold {
                id: HoldId(1),
                user: Some(UserId(2)),
                lines: vec![line(3), line(4)],
                status,
                key: Some("k".into()),
                ttl_ms: 5,
                ttl_is_default: false,
                expires_at: Timestamp(100),
                trace: TraceId::NONE,
                created: Position(1),
                created_at: Timestamp(95),
                updated_at: Timestamp(96),
                version: Position(2),
                unit_prices: None,
            };
            let (mut before, mut bytes, mut priced_bytes) = (Vec::new(), Vec::new(), Vec::new());
            // As derived for the fields in order.
            let Hold { id, user, lines, key, trace, .. } = plain.clone();
            codec::encode_into(&(id, user, lines, status, key, 5_u64), &mut before);
            let times = (Timestamp(95), Timestamp(96), Position(2));
            codec::encode_into(&(Timestamp(100), trace, Position(1), times), &mut before);
            codec::encode_into(&plain, &mut bytes);
            assert_eq!(bytes, before, "{status}");
            assert_eq!(codec::decode(&bytes), Ok(plain.clone()));
            let unit_prices = Some(Box::from([Money(7), Money(8)]));
            let priced = Hold { unit_prices, ..plain };
            codec::encode_into(&priced, &mut priced_bytes);
            assert_eq!(priced_bytes.len(), bytes.len() + 2);
            assert_eq!((bytes[8], priced_bytes[8]), (number, number + 4), "the status");
            assert_eq!(codec::decode(&priced_bytes), Ok(priced.clone()));
            priced_bytes[8] += 8;
            let default = Hold { ttl_is_default: true, ..priced };
            assert_eq!(codec::decode(&priced_bytes), Ok(default));
            priced_bytes[8] += 8;
            assert!(codec::decode::<Hold>(&priced_bytes).is_err());
        }
    }
}

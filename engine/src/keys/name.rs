//! A key's entry in the index: its hashed name, and what it was used for.

use smallvec::SmallVec;

use crate::ids::OrderId;

/// What a key is for. The same text in two scopes is two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It makes an order.
    Order,
    /// It makes a hold.
    Hold,
    /// It makes an adjustment of stock.
    Adjustment,
    /// It makes a payment report.
    Webhook,
    /// It makes a refund.
    Refund,
    /// It is the reference of an order.
    Reference,
}

impl Scope {
    fn prefix(self) -> &'static [u8] {
        match self {
            Scope::Order => b"order\0",
            Scope::Hold => b"hold\0",
            Scope::Adjustment => b"adjustment\0",
            Scope::Webhook => b"webhook\0",
            Scope::Refund => b"refund\0",
            Scope::Reference => b"reference\0",
        }
    }
}

/// The hash of a key's scope and text, by which the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash(pub(super) u128);

impl KeyHash {
    /// The hash of a key.
    pub(crate) fn of(scope: Scope, key: &str) -> KeyHash {
        let mut text: SmallVec<[u8; 512]> = SmallVec::from_slice(scope.prefix());
        text.extend_from_slice(key.as_bytes());
        let hash = blake3::hash(&text);
        let (half, _) = hash.as_bytes().split_first_chunk::<16>().expect("a hash has 32 bytes");
        KeyHash(u128::from_le_bytes(*half))
    }
}

/// What a key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// The id of what it made; the scope says of which kind.
    pub(crate) id: u64,
    /// The hashed meaning of the request that made it.
    pub(crate) fingerprint: u64,
}

impl Used {
    /// The reference of an order. What else the request said is no part of it.
    pub(crate) fn by(order: OrderId) -> Used {
        Used { id: order.0, fingerprint: 0 }
    }

    /// A fenced key of orders: it "made" order 0, which never exists.
    pub(crate) const FENCED: Used = Used { id: 0, fingerprint: 0 };

    /// The order that a key of orders made, unless the key was fenced.
    pub(crate) fn order(self) -> Option<OrderId> {
        (self.id > 0).then_some(OrderId(self.id))
    }
}

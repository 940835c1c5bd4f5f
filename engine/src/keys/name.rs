//! The name of a key in the index, and what the index says of it.

use smallvec::SmallVec;

use crate::ids::OrderId;

/// What a key is for. The same text is another key in another scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It makes an order.
    Order,
    /// It makes a hold.
    Hold,
    /// It adjusts the stock of a product.
    Adjustment,
    /// It brings the result of a payment.
    Webhook,
}

impl Scope {
    fn prefix(self) -> &'static [u8] {
        match self {
            Scope::Order => b"order\0",
            Scope::Hold => b"hold\0",
            Scope::Adjustment => b"adjustment\0",
            Scope::Webhook => b"webhook\0",
        }
    }
}

/// A key's name in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash(pub(super) u128);

impl KeyHash {
    /// The name of a key.
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
    /// The id of what it made; the key's scope says of what kind.
    pub(crate) id: u64,
    /// The meaning of the request that made it.
    pub(crate) fingerprint: u32,
}

impl Used {
    /// A key of orders that is closed for ever: it made order 0, which there never is.
    pub(crate) const FENCED: Used = Used { id: 0, fingerprint: 0 };

    /// The order that a key of orders made, unless it was fenced.
    pub(crate) fn order(self) -> Option<OrderId> {
        (self.id > 0).then_some(OrderId(self.id))
    }
}

//! Idempotency keys: which order a key made, and from what request.
//!
//! A key is known by a 128-bit hash of its scope and text, so the index costs the same for a short
//! key and a long one. Keys are not stored by themselves: each lives in its order's row and comes
//! back from there.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::{OrderId, ProductId, Quantity, UserId};
use crate::order::{Order, PaymentMethod};

/// The longest idempotency key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// The scope of keys that make orders.
const SCOPE_ORDER: &[u8] = b"order\0";

/// A key's name in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyHash(u128);

impl KeyHash {
    /// The name of a key that makes orders.
    pub(crate) fn of_order(key: &str) -> KeyHash {
        let mut text: SmallVec<[u8; 512]> = SmallVec::from_slice(SCOPE_ORDER);
        text.extend_from_slice(key.as_bytes());
        let hash = blake3::hash(&text);
        let (half, _) = hash.as_bytes().split_first_chunk::<16>().expect("a hash has 32 bytes");
        KeyHash(u128::from_le_bytes(*half))
    }

    /// Which of the maps it is in. Its highest bits tell, since the maps go by the others.
    fn shard(self) -> usize {
        (self.0 >> 120) as usize % SHARDS
    }
}

/// What a key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// The order it made.
    pub(crate) order: OrderId,
    /// The meaning of the request that made it.
    pub(crate) fingerprint: u64,
}

/// The index of all used keys.
///
/// It is looked up and added to, never iterated, so the order of the hash maps is never observed.
/// There are many of them because a map that grows moves everything it holds: one map of ten
/// million keys would stop the node for a tenth of a second.
#[derive(Debug)]
pub(crate) struct Keys {
    shards: Vec<FxHashMap<KeyHash, Used>>,
    len: usize,
}

/// How many maps share the keys.
const SHARDS: usize = 256;

impl Default for Keys {
    fn default() -> Keys {
        Keys { shards: vec![FxHashMap::default(); SHARDS], len: 0 }
    }
}

impl Keys {
    /// What the key was used for, if it was.
    pub(crate) fn get(&self, key: KeyHash) -> Option<Used> {
        self.shards[key.shard()].get(&key).copied()
    }

    /// Notes a key's use. False when it had been used before, which the caller must have ruled out.
    pub(crate) fn insert(&mut self, key: KeyHash, used: Used) -> bool {
        let new = self.shards[key.shard()].insert(key, used).is_none();
        self.len += usize::from(new);
        new
    }

    /// How many keys were used.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// The meaning of a request for an order: who asks for what, paid how. Settings and the key itself
/// are not part of it.
pub(crate) fn fingerprint(
    user: Option<UserId>,
    lines: impl ExactSizeIterator<Item = (ProductId, Quantity)>,
    payment_method: PaymentMethod,
    metadata: Option<&str>,
) -> u64 {
    let mut text: SmallVec<[u8; 256]> = SmallVec::new();
    text.push(u8::from(user.is_some()));
    text.extend_from_slice(&user.unwrap_or_default().0.to_le_bytes());
    text.push(match payment_method {
        PaymentMethod::Mock => 0,
        PaymentMethod::Webhook => 1,
        PaymentMethod::None => 2,
    });
    text.extend_from_slice(&(lines.len() as u64).to_le_bytes());
    for (product, quantity) in lines {
        text.extend_from_slice(&product.0.to_le_bytes());
        text.extend_from_slice(&quantity.0.to_le_bytes());
    }
    text.push(u8::from(metadata.is_some()));
    text.extend_from_slice(metadata.unwrap_or_default().as_bytes());
    xxh3_64(&text)
}

/// The fingerprint of the request that made an order, taken back from its row.
pub(crate) fn fingerprint_of(order: &Order) -> u64 {
    fingerprint(
        order.user,
        order.items.iter().map(|item| (item.product, item.quantity)),
        order.payment_method,
        order.metadata.as_deref(),
    )
}

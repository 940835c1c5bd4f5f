//! The keys under which gateways know payment attempts.
//!
//! A key must never be used for two payments, neither by two clusters on one account of a provider
//! nor by a cluster and its restored copy. So it begins with the *lineage*: 12 hexadecimal digits
//! that are made of the cluster's secret, which a copy keeps. The epoch tells the copy's new orders
//! from those of the original. Orders that are older than level 1 keep the keys that begin with the
//! name of the cluster: their attempts may be under way.

use std::fmt::{self, Write as _};

use bincode::{Decode, Encode};

use crate::ids::{OrderId, RefundId};
use crate::secret::Secret;

/// What the hash of the secret is for.
const CONTEXT: &str = "holdfast 2026 lineage of payment keys";

/// The row. The default is that of a cluster which had no order before level 1; only other values
/// are stored and hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct KeyScheme {
    /// Orders up to this id have keys that begin with the name of the cluster.
    pub(crate) named: u64,
}

impl KeyScheme {
    /// Whether this is the default.
    pub(crate) fn is_plain(&self) -> bool {
        *self == KeyScheme::default()
    }
}

/// Where all payments of a cluster and of its copies come from: 12 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineageId([u8; 6]);

impl LineageId {
    pub(crate) fn of(secret: &Secret) -> LineageId {
        let hash = blake3::derive_key(CONTEXT, &secret.0);
        let mut id = [0; 6];
        id.copy_from_slice(&hash[..6]);
        LineageId(id)
    }
}

impl fmt::Display for LineageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes the keys of payment attempts.
#[derive(Clone, Debug)]
pub struct PaymentKeys {
    /// `None` at level 0, where all keys begin with the name.
    pub(crate) lineage: Option<LineageId>,
    /// Orders up to this id have keys that begin with the name of the cluster.
    pub(crate) named: u64,
}

/// Room for the numbers of most keys.
const KEY_DIGITS: usize = 24;

impl PaymentKeys {
    /// What the keys of all attempts of an order begin with: `<lineage>.<epoch>-<order>`, or
    /// `<cluster>[.<epoch>]-<order>` for orders that are older than level 1.
    pub fn prefix(&self, cluster: &str, epoch: u32, order: OrderId) -> String {
        let mut key = String::with_capacity(cluster.len() + KEY_DIGITS);
        let _ = match self.lineage.filter(|_| order.0 > self.named) {
            Some(lineage) => write!(key, "{lineage}.{epoch}-{order}"),
            None if epoch > 0 => write!(key, "{cluster}.{epoch}-{order}"),
            None => write!(key, "{cluster}-{order}"),
        };
        key
    }

    /// The key of a refund, which was requested in this epoch.
    pub fn refund(&self, cluster: &str, epoch: u32, order: OrderId, refund: RefundId) -> String {
        let mut key = self.prefix(cluster, epoch, order);
        let _ = write!(key, "-r{refund}");
        key
    }

    /// The key of an attempt, from 1.
    pub fn attempt(&self, cluster: &str, epoch: u32, order: OrderId, attempt: u32) -> String {
        let mut key = self.prefix(cluster, epoch, order);
        let _ = write!(key, "-{attempt}");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_begin_with_the_lineage_but_for_orders_before_level_1() {
        let secret = Secret([7; 32]);
        let lineage = LineageId::of(&secret);
        assert_eq!(lineage.to_string().len(), 12);
        assert_ne!(lineage, LineageId::of(&Secret([8; 32])));
        let keys = PaymentKeys { lineage: Some(lineage), named: 5 };
        assert_eq!(keys.attempt("shop", 0, OrderId(5), 2), "shop-5-2");
        assert_eq!(keys.attempt("shop", 1, OrderId(5), 2), "shop.1-5-2");
        assert_eq!(keys.attempt("shop", 0, OrderId(6), 1), format!("{lineage}.0-6-1"));
        assert_eq!(keys.attempt("shop", 2, OrderId(6), 3), format!("{lineage}.2-6-3"));
        let before = PaymentKeys { lineage: None, named: 0 };
        assert_eq!(before.attempt("shop", 0, OrderId(5), 2), "shop-5-2");
    }
}

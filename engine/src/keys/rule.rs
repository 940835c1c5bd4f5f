//! How the meanings of requests are compared, and where keys are placed.
//!
//! At level 0 both follow from hashes that anybody can compute, so anybody can find two requests
//! that count as one, and keys that crowd one place. From level 1 on both depend on the cluster's
//! secret.

use bincode::{Decode, Encode};

use super::meaning::Meaning;
use super::name::Scope;
use crate::secret::Secret;

/// What the hashes of the secret are for.
const MEANINGS: &str = "holdfast 2026 meanings of requests with a key";
const PLACES: &str = "holdfast 2026 places of keys in memory";

/// The row: up to which id the rows of each kind have short meanings, since they are older than
/// level 1. The default is that of a cluster which had no row before; only other values are stored
/// and hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ShortMeanings {
    pub(crate) orders: u64,
    pub(crate) holds: u64,
    pub(crate) webhooks: u64,
    pub(crate) adjustments: u64,
    pub(crate) refunds: u64,
}

impl ShortMeanings {
    /// Whether this is the default.
    pub(crate) fn is_plain(&self) -> bool {
        *self == ShortMeanings::default()
    }

    fn has(&self, scope: Scope, id: u64) -> bool {
        let last = match scope {
            Scope::Order => self.orders,
            Scope::Hold => self.holds,
            Scope::Webhook => self.webhooks,
            Scope::Adjustment => self.adjustments,
            Scope::Refund => self.refunds,
            // What else a request with a reference said is never compared.
            Scope::Reference => 0,
        };
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::ShortMeaningsForgotten) {
            return false;
        }
        id <= last
    }
}

/// Makes the fingerprints that stand for meanings in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rule {
    /// Made of the cluster's secret. `None` at level 0, where all fingerprints are short.
    meanings: Option<[u8; 32]>,
    short: ShortMeanings,
}

impl Rule {
    /// The rule of level 1 and above.
    pub(super) fn keyed(secret: &Secret, short: ShortMeanings) -> Rule {
        Rule { meanings: Some(blake3::derive_key(MEANINGS, &secret.0)), short }
    }

    /// Which rows keep short fingerprints.
    pub(crate) fn short_meanings(&self) -> ShortMeanings {
        self.short
    }

    /// Whether a row has a short fingerprint.
    pub(crate) fn is_short(&self, scope: Scope, id: u64) -> bool {
        self.meanings.is_none() || self.short.has(scope, id)
    }

    /// The fingerprint of a request that made, or that is compared with, this row.
    pub(crate) fn fingerprint(&self, scope: Scope, id: u64, meaning: &Meaning) -> u64 {
        match self.meanings {
            Some(secret) if !self.short.has(scope, id) => meaning.keyed(&secret),
            _ => meaning.short(),
        }
    }
}

/// Spreads the names of keys over places. The default keeps the lowest bits, as they come.
///
/// For any two names that were chosen without the secret, the values are independent and evenly
/// spread (multiply-shift with two words, Dietzfelbinger 1996). The index never shows its order, so
/// nobody can learn the secret from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places(Option<[u128; 3]>);

impl Places {
    pub(super) fn keyed(secret: &Secret) -> Places {
        let mut factors = [0; 48];
        blake3::Hasher::new_derive_key(PLACES).update(&secret.0).finalize_xof().fill(&mut factors);
        let (factors, _) = factors.as_chunks::<16>();
        Places(Some(std::array::from_fn(|at| u128::from_le_bytes(factors[at]))))
    }

    /// A number whose lowest bits are a place.
    pub(super) fn of(self, low: u64, high: u64) -> u64 {
        let Places(Some([first, second, offset])) = self else { return low };
        let sum = first
            .wrapping_mul(u128::from(low))
            .wrapping_add(second.wrapping_mul(u128::from(high)))
            .wrapping_add(offset);
        (sum >> 64) as u64
    }
}

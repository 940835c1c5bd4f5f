//! Who may do what: tokens with their scopes, and whether credentials are required.
//!
//! Tokens are replicated, so all nodes agree on them at each position of the log. The state has
//! hashes of secrets, never a secret: a stolen disk or backup opens nothing. Nodes make and check
//! secrets; nothing here knows HTTP.

use std::fmt;

use bincode::{Decode, Encode};

use crate::ids::{Position, Timestamp, TokenId, UserId};

/// The most tokens at a time.
pub const TOKENS_MAX: usize = 10_000;

/// The longest name of an owner, in bytes.
pub const OWNER_BYTES_MAX: usize = 64;

/// The longest label of a token, in bytes.
pub const LABEL_BYTES_MAX: usize = 100;

/// Whether requests need credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Mode {
    /// Credentials count for nothing: everybody may do everything.
    #[default]
    Off,
    /// Credentials that are given must be right and bind; requests without any are let through, and
    /// counted.
    Optional,
    /// Requests without credentials are refused.
    Required,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 3] = [Mode::Off, Mode::Optional, Mode::Required];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Optional => "optional",
            Mode::Required => "required",
        }
    }
}

/// Defines the scopes with their bits and names.
macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal $name:literal,)+) => {
        /// One right. Its number is its bit in [`Scopes`] and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope {
            $($(#[$doc])* $variant = $bit,)+
        }

        impl Scope {
            /// All of them, by their bits.
            pub const ALL: &'static [Scope] = &[$(Scope::$variant),+];

            /// Its name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Scope::$variant => $name),+ }
            }
        }
    };
}

scopes! {
    /// Read products.
    CatalogRead = 0 "catalog:read",
    /// Create, change and archive products.
    CatalogWrite = 1 "catalog:write",
    /// Read the ledger of stock.
    StockRead = 2 "stock:read",
    /// Adjust stock.
    StockWrite = 3 "stock:write",
    /// Read orders and holds.
    OrdersRead = 4 "orders:read",
    /// Place and cancel orders, make and release holds, fence keys.
    OrdersWrite = 5 "orders:write",
    /// Read users.
    UsersRead = 6 "users:read",
    /// Create users.
    UsersWrite = 7 "users:write",
    /// Subscribe to events.
    EventsRead = 8 "events:read",
    /// Report results of payments without a signature.
    PaymentsWebhook = 9 "payments:webhook",
    /// Settle, refund and resolve payments by hand.
    PaymentsAdmin = 10 "payments:admin",
    /// Process an order as a task.
    Tasks = 11 "tasks",
    /// Read the metrics.
    MetricsRead = 12 "metrics:read",
    /// Read the state of the cluster and the audit.
    ClusterRead = 13 "cluster:read",
    /// Add members.
    ClusterJoin = 14 "cluster:join",
    /// Remove members, transfer leadership, take snapshots, pause payments, raise the level.
    ClusterAdmin = 15 "cluster:admin",
    /// Read backups, which contain everything.
    Backup = 16 "backup",
    /// Create and revoke tokens, and set whether credentials are required.
    AuthAdmin = 17 "auth:admin",
}

/// A set of [`Scope`]s, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Scopes(pub u32);

impl Scopes {
    /// All scopes that this build knows.
    pub const ALL: Scopes = Scopes((1 << Scope::ALL.len()) - 1);

    /// Those that a token bound to a user may have: what a customer does in a shop.
    pub const OF_USERS: Scopes = Scopes(
        1 << Scope::CatalogRead as u32
            | 1 << Scope::OrdersRead as u32
            | 1 << Scope::OrdersWrite as u32
            | 1 << Scope::UsersRead as u32
            | 1 << Scope::EventsRead as u32,
    );

    /// This set with one more scope.
    #[must_use]
    pub fn with(self, scope: Scope) -> Scopes {
        Scopes(self.0 | 1 << scope as u32)
    }

    /// Whether the scope is among them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u32) != 0
    }

    /// Whether all of these are among `others`.
    pub fn is_within(self, others: Scopes) -> bool {
        self.0 & !others.0 == 0
    }

    /// Its scopes, by their bits.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }
}

/// A token. Its row never changes; revoking it removes the row.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// Its id, from 1, never used again.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// The name of its owner, which outlives it: two tokens of one owner allow a rotation.
    pub owner: Box<str>,
    /// The user whose rows it is limited to.
    pub user: Option<UserId>,
    /// What it may do.
    pub scopes: Scopes,
    /// What people call it.
    pub label: Box<str>,
    /// The command that created it.
    pub created: Position,
    /// The replicated clock then.
    pub created_at: Timestamp,
    /// From this moment of the replicated clock on it counts for nothing.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// Whether it still counts at a moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// Leaves the hash out: nobody needs it in a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("user", &self.user)
            .field("scopes", &self.scopes)
            .field("created", &self.created)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_a_bit_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(names.len(), Scope::ALL.len());
        for (at, scope) in Scope::ALL.iter().enumerate() {
            assert_eq!(*scope as usize, at);
            let alone = Scopes::default().with(*scope);
            assert!(alone.iter().eq([*scope]) && alone.is_within(Scopes::ALL));
        }
        assert_eq!(Scopes::ALL.iter().count(), Scope::ALL.len());
        assert!(!Scopes::ALL.is_within(Scopes::OF_USERS));
        assert!(!Scopes::OF_USERS.has(Scope::AuthAdmin));
    }
}

//! Tokens, their scopes, and whether requests need credentials.

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// Whether requests need credentials. `off`: they count for nothing. `optional`: those that are
    /// given must be right. `required`: requests without any are refused.
    AuthMode {
        /// Credentials count for nothing.
        Off = "off",
        /// Credentials that are given must be right; requests without any are let through.
        Optional = "optional",
        /// Requests without credentials are refused.
        Required = "required",
    }
}

words! {
    /// A right that a token gives.
    Scope {
        /// Read products.
        CatalogRead = "catalog:read",
        /// Create, change and archive products.
        CatalogWrite = "catalog:write",
        /// Read the ledger of stock.
        StockRead = "stock:read",
        /// Adjust stock.
        StockWrite = "stock:write",
        /// Read orders and holds.
        OrdersRead = "orders:read",
        /// Place and cancel orders, make and release holds, fence keys.
        OrdersWrite = "orders:write",
        /// Read users.
        UsersRead = "users:read",
        /// Create users.
        UsersWrite = "users:write",
        /// Subscribe to events.
        EventsRead = "events:read",
        /// Report results of payments without a signature.
        PaymentsWebhook = "payments:webhook",
        /// Settle, refund and resolve payments by hand.
        PaymentsAdmin = "payments:admin",
        /// Call the task hook.
        Tasks = "tasks",
        /// Read the metrics.
        MetricsRead = "metrics:read",
        /// Read the state of the cluster and the audit.
        ClusterRead = "cluster:read",
        /// Add members.
        ClusterJoin = "cluster:join",
        /// Remove members, transfer leadership, take snapshots, pause payments, raise the level.
        ClusterAdmin = "cluster:admin",
        /// Read backups, which contain everything.
        Backup = "backup",
        /// Create and revoke tokens, and set whether credentials are required.
        AuthAdmin = "auth:admin",
    }
}

words! {
    /// Who sent a request.
    ActorKind {
        /// Nobody said.
        Nobody = "nobody",
        /// An operator with the root token of the node.
        Root = "root",
        /// The owner of a token.
        Token = "token",
        /// A customer with a token that their shop signed.
        Customer = "customer",
    }
}

/// The body of `PUT /auth/mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuthRequest {
    /// The mode from here on.
    pub mode: AuthMode,
}

/// Whether requests need credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Auth {
    /// The mode of the cluster.
    pub mode: AuthMode,
    /// The mode of the node that answered: one with a root token treats `off` as `required`.
    pub here: AuthMode,
    /// How many tokens there are, those that have expired included.
    pub tokens: u64,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Token {
    /// Its id, from 1.
    pub id: u64,
    /// The name of its owner. Several tokens may have one owner.
    pub owner: String,
    /// The user whose orders, holds, keys and events it is limited to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was created.
    pub created_at: String,
    /// From then on it counts for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Whether it has expired, by the cluster's clock.
    pub expired: bool,
}

/// A token that was just created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
// `NewToken` is what generated Go code calls the constructor of `Token`.
#[cfg_attr(feature = "schema", schemars(rename = "CreatedToken"))]
pub struct NewToken {
    /// Its id, from 1.
    pub id: u64,
    /// The token itself, for `Authorization: Bearer`. Nobody can read it again: the cluster keeps a
    /// hash.
    pub token: String,
    /// From then on it counts for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// The body of `POST /auth/tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenRequest {
    /// The name of its owner.
    pub owner: String,
    /// What it may do; at least one scope. With a user: `catalog:read`, `orders:read`,
    /// `orders:write`, `users:read`, `events:read`.
    pub scopes: Vec<Scope>,
    /// Limit it to the orders, holds, keys and events of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// It counts for this many seconds; without it, until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// A token that was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevokedToken {
    /// Its id.
    pub id: u64,
    /// Whether it was revoked before.
    pub already: bool,
}

/// What the credentials of a request are worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// Who sent the request.
    pub actor: ActorKind,
    /// The token that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<u64>,
    /// The name of its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The user whose orders, holds, keys and events they are limited to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What the credentials allow; without any, what the mode lets everybody do.
    pub scopes: Vec<Scope>,
    /// When they end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Whether this node asks for credentials.
    pub mode: AuthMode,
}

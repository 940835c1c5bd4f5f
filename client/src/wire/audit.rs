//! The audit: who administered what.

use serde::{Deserialize, Serialize};

use super::word::words;

words! {
    /// What rows of the audit are about.
    AuditKind {
        /// Access, payments, members, and the cluster as a whole.
        Administration = "administration",
        /// Products and their stock.
        Catalogue = "catalogue",
    }
}

words! {
    /// What came of something that was asked for.
    AuditOutcome {
        /// It was done.
        Done = "done",
        /// It was refused, and changed nothing.
        Refused = "refused",
    }
}

/// One row of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditRow {
    /// Its id, dense within its kind, from 1.
    pub id: u64,
    /// The place of the command in the log.
    pub position: u64,
    /// When it was, by the cluster's clock.
    pub at: String,
    /// Who asked: `nobody`, `node`, or the kind and id of their credentials, such as `token:17`,
    /// `root:1` (with the node) and `customer:7` (with the user).
    pub actor: String,
    /// What for, such as `token.create`. Further actions may come.
    pub action: String,
    /// The id of the token, order, product or member, or the level, that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The trace id of the request.
    pub trace_id: String,
}

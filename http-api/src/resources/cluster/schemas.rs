//! The shapes of the cluster, its members and snapshots.

use client::wire;
use raft_node::members::ADDRESS_BYTES_MAX;
use serde_json::{Value, json};

use crate::describe::words::{
    count, described, flag, nullable, object, schema, success, text, words,
};

/// All of them.
pub(crate) fn all() -> Value {
    let optional = |name: &str| nullable(schema(name));
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
    json!({
        "MemberRequest": {
            "type": "object",
            "required": ["id", "raft_addr"],
            "properties": {
                "id": described("Id", "One that no member has or ever had."),
                "raft_addr": address("Where its peers reach it."),
                "http_addr": nullable(address("Where clients reach it.")),
                "incarnation": {
                    "type": ["string", "null"],
                    "pattern": "^[0-9a-fA-F]{16}$",
                    "description": "The random number of its data directory, which a node that \
                                    joins by itself tells. Without it the first directory met \
                                    under the id counts.",
                },
                "replaces": optional("Id"),
            },
        },
        "PaymentsRequest": {
            "type": "object",
            "required": ["paused"],
            "properties": {"paused": flag("Whether they are to wait.")},
        },
        "TransferRequest": {
            "type": "object",
            "properties": {"to": optional("Id")},
        },
        "Cluster": object("The cluster as the answering node sees it.", &[], json!({
            "cluster_id": text("Which cluster."),
            "node_id": described("Id", "The node that answers."),
            "leader_id": nullable(schema("Id")),
            "term": count("The node's term."),
            "commit_index": count("Last log index known to be committed."),
            "applied_index": count("Last log index applied."),
            "digest": {
                "type": "string",
                "pattern": "^[0-9a-f]{16}$",
                "description": "Of the state at `applied_index`; equal on every node.",
            },
            "payments_paused": flag("Whether payments wait until they are resumed."),
            "rebuilt_from": nullable(described(
                "Id",
                "The member that lived in this node's data directory before its data was damaged.",
            )),
            "next_member_id": described("Id", "The lowest id above all that members have or had."),
            "members": {"type": "array", "minItems": 1, "items": schema("Member")},
        })),
        "MemberAdded": object("What a joining node has to know.", &[], json!({
            "cluster_id": text("Which cluster."),
            "cluster_name": text("Its name."),
            "founders": {"type": "array", "minItems": 1, "items": schema("Founder")},
            "incarnations": {"type": "array", "items": schema("KnownIncarnation")},
            "members": {"type": "array", "minItems": 1, "items": schema("Member")},
        })),
        "Founder": object("A node that founded the cluster.", &[], json!({
            "id": schema("Id"),
            "raft_addr": text("Where its peers reached it."),
            "http_addr": {"type": ["string", "null"], "description": "Where clients reached it."},
        })),
        "KnownIncarnation": object("The data directory known under an id.", &[], json!({
            "id": schema("Id"),
            "incarnation": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        })),
        "Snapshot": object("A snapshot of a node's state.", &[], json!({
            "index": count("Last log index that it holds."),
            "term": count("The term of the entry at that index."),
            "bytes": count("The size of its file."),
            "digest": {
                "type": "string",
                "pattern": "^[0-9a-f]{16}$",
                "description": "Of the state at `index`; equal on every node.",
            },
        })),
        "Member": object("A member of the cluster.", &[], json!({
            "id": schema("Id"),
            "role": words("What it does.", wire::MemberRole::ALL),
            "raft_addr": text("Where its peers reach it."),
            "http_addr": {"type": ["string", "null"], "description": "Where clients reach it."},
            "replaces": nullable(described("Id", "Whose place a learner takes with its vote.")),
            "match_index": {"type": ["integer", "null"], "minimum": 0},
            "lag": {"type": ["integer", "null"], "minimum": 0},
            "healthy": flag("Whether it was heard from lately."),
        })),
        "ClusterAnswer": envelope("Cluster"),
        "SnapshotAnswer": envelope("Snapshot"),
        "MemberAddedAnswer": envelope("MemberAdded"),
    })
}

/// A port from 1 to 65535, zeros before it allowed.
const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]\
                    |6553[0-5])";

fn address(text: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 3,
        "maxLength": ADDRESS_BYTES_MAX,
        "pattern": format!(r"^[^\s\u0000-\u001f\u007f-\u009f]+:{PORT}$"),
        "description": format!("{text} HOST:PORT, at most {ADDRESS_BYTES_MAX} bytes."),
    })
}

//! The names in node certificates: `ID.node.LABEL.holdfast.internal`.
//!
//! Addresses mean nothing here, so nodes may change theirs. Neither does the cluster's id, which an
//! emergency changes.

use engine::ids::NodeId;
use rustls::pki_types::ServerName;

/// The end of all names.
const ZONE: &str = "holdfast.internal";

/// Longest label of a DNS name, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// The part of the names that stands for a cluster: its name in lower case, or 16 digits of a hash
/// of it if that is not a label of DNS.
pub fn label(cluster: &str) -> String {
    let lower = cluster.to_ascii_lowercase();
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = (1..=LABEL_BYTES_MAX).contains(&lower.len())
        && lower.bytes().all(is_inner)
        && !lower.starts_with('-')
        && !lower.ends_with('-');
    match is_label {
        true => lower,
        false => blake3::hash(cluster.as_bytes()).to_hex()[..16].to_owned(),
    }
}

/// The name of a node.
pub fn of_node(node: NodeId, label: &str) -> String {
    format!("{node}.node.{label}.{ZONE}")
}

/// The name of an authority, from which `create-node` reads the cluster's label.
pub fn of_authority(label: &str) -> String {
    format!("{label}.{ZONE}")
}

/// The label in the name of an authority.
pub fn label_of_authority(name: &str) -> Option<&str> {
    let label = name.strip_suffix(ZONE)?.strip_suffix('.')?;
    (!label.is_empty() && !label.contains('.')).then_some(label)
}

pub(crate) fn server_name(node: NodeId, label: &str) -> ServerName<'static> {
    ServerName::try_from(of_node(node, label)).expect("numbers and labels make a DNS name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_has_a_label_that_dns_allows() {
        assert_eq!(label("Holdfast"), "holdfast");
        assert_eq!(label("shop-eu-1"), "shop-eu-1");
        for odd in ["", "-a", "a-", "my shop", "a.b", "größe", &"x".repeat(64), "*"] {
            let label = label(odd);
            assert_eq!(label.len(), 16, "{odd}");
            assert!(label.bytes().all(|byte| byte.is_ascii_hexdigit()), "{odd}");
            server_name(NodeId(u64::MAX), &label);
        }
        server_name(NodeId(u64::MAX), &"x".repeat(63));
        assert_eq!(label_of_authority(&of_authority("shop")), Some("shop"));
        for other in ["shop.example", "holdfast.internal", "1.node.shop.holdfast.internal"] {
            assert_eq!(label_of_authority(other), None, "{other}");
        }
    }
}

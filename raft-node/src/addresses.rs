//! Where to reach each peer: what the membership says, what the peer said itself, and what the
//! operator listed.
//!
//! A node that comes back under another address tells it in its hello, and the others dial it there
//! from then on. The membership follows through the log, later: it needs a leader. This is a plain
//! value; `transport` dials.

use std::collections::BTreeMap;

use engine::ids::NodeId;

use crate::config::Peer;
use crate::members::{MEMBERS_MAX, Membership};

/// Addresses of peers, beside those in the membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The addresses that peers gave in their newest hello.
    told: BTreeMap<NodeId, String>,
    /// The addresses on this node's command line.
    listed: BTreeMap<NodeId, String>,
}

impl Addresses {
    /// Nobody has told anything yet.
    pub fn new(listed: &[Peer]) -> Addresses {
        let listed = listed.iter().map(|peer| (peer.id, peer.raft_addr.clone())).collect();
        Addresses { told: BTreeMap::new(), listed }
    }

    /// Takes the address in the hello of a peer whose incarnation is the known one. Returns whether
    /// it is news. Nodes that are no members are remembered, too: they may be members of a change
    /// that has not arrived here.
    pub fn told(&mut self, peer: NodeId, raft_addr: &str) -> bool {
        #[cfg(feature = "simulation")]
        if crate::planted::is_planted(crate::planted::Bug::MovedNotHeard) {
            return false;
        }
        let has_room = self.told.len() < 2 * MEMBERS_MAX || self.told.contains_key(&peer);
        has_room
            && !raft_addr.is_empty()
            && self.told.insert(peer, raft_addr.to_owned()).as_deref() != Some(raft_addr)
    }

    /// Whether a peer is reached at this address, sooner or later.
    pub fn reaches(&self, members: &Membership, peer: NodeId, raft_addr: &str) -> bool {
        let is_there = |found: Option<&String>| found.is_some_and(|found| found == raft_addr);
        let member = members.member(peer);
        is_there(self.told.get(&peer))
            || is_there(member.map(|member| &member.raft_addr))
            || (member.is_some() && is_there(self.listed.get(&peer)))
    }

    /// Where to reach every other node, the best address first. Never the own address, which a node
    /// that this one replaces may have had.
    pub fn of_peers(
        &self,
        members: &Membership,
        own: NodeId,
        own_addr: &str,
    ) -> BTreeMap<NodeId, Vec<String>> {
        let told = self.told.iter().map(|(id, address)| (*id, address));
        let in_membership = members.members.iter().map(|member| (member.id, &member.raft_addr));
        let listed = self.listed.iter().filter(|(id, _)| members.member(**id).is_some());
        let listed = listed.map(|(id, address)| (*id, address));
        let mut all: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        // The peer knows best; then the cluster; then the operator.
        for (id, address) in told.chain(in_membership).chain(listed) {
            let known = all.entry(id).or_default();
            if address != own_addr && !known.contains(address) {
                known.push(address.clone());
            }
        }
        all.retain(|id, known| *id != own && !members.was_removed(*id) && !known.is_empty());
        all
    }
}

/// How a `--peer` list differs from the membership, as a sentence. An empty list says nothing, and
/// so do former members and members that came later.
pub fn difference(listed: &[Peer], members: &Membership) -> Option<String> {
    let mut differences = Vec::new();
    for peer in listed {
        match members.member(peer.id) {
            None if members.was_removed(peer.id) => {}
            None => differences.push(format!(
                "node {} is no member, so start it with --join on an empty directory",
                peer.id
            )),
            Some(member) if member.raft_addr != peer.raft_addr => differences.push(format!(
                "node {} is listed at {} and is a member at {}",
                peer.id, peer.raft_addr, member.raft_addr
            )),
            Some(_) => {}
        }
    }
    let ids: Vec<String> = members.members.iter().map(|member| member.id.to_string()).collect();
    (!differences.is_empty()).then(|| {
        format!(
            "--peer differs from the members of this cluster, which count (nodes {}): {}",
            ids.join(", "),
            differences.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Member;

    fn peer(id: u64, raft_addr: &str) -> Peer {
        Peer { id: NodeId(id), raft_addr: raft_addr.into(), http_addr: None }
    }

    fn members() -> Membership {
        let listed = [peer(1, "a:1"), peer(2, "b:1"), peer(3, "c:1")];
        Membership::founded(listed.iter().map(Member::from).collect())
    }

    #[test]
    fn a_peer_is_dialled_where_it_said_then_where_it_was_then_where_it_is_listed() {
        let mut addresses = Addresses::new(&[peer(2, "b:9"), peer(9, "i:1")]);
        let of = |addresses: &Addresses| addresses.of_peers(&members(), NodeId(1), "a:1");
        assert_eq!(of(&addresses)[&NodeId(2)], ["b:1", "b:9"]);
        assert!(addresses.told(NodeId(2), "b:7") && !addresses.told(NodeId(2), "b:7"));
        assert!(!addresses.told(NodeId(3), ""), "an old build says nothing");
        assert_eq!(of(&addresses)[&NodeId(2)], ["b:7", "b:1", "b:9"]);
        assert_eq!(of(&addresses)[&NodeId(3)], ["c:1"]);
        assert_eq!(of(&addresses).len(), 2, "not itself, and nobody who is only listed");
        assert!(addresses.told(NodeId(4), "d:1"), "it may be a member soon");
        assert_eq!(of(&addresses)[&NodeId(4)], ["d:1"]);
        let there = addresses.of_peers(&members(), NodeId(1), "c:1");
        assert!(!there.contains_key(&NodeId(3)), "it replaces node 3");
        for id in 100..200 {
            addresses.told(NodeId(id), "x:1");
        }
        assert!(of(&addresses).len() <= 2 * MEMBERS_MAX + 3);
    }

    #[test]
    fn a_list_that_differs_from_the_members_is_told_with_all_differences() {
        let same = [peer(1, "a:1"), peer(2, "b:1"), peer(3, "c:1")];
        assert_eq!(difference(&[], &members()), None);
        assert_eq!(difference(&same, &members()), None);
        let text = difference(&[peer(1, "a:1"), peer(2, "b:2"), peer(4, "d:1")], &members());
        let text = text.expect("it differs");
        for part in ["node 2 is listed at b:2 and is a member at b:1", "node 4 is no member"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("node 3 is"), "{text}");
    }
}

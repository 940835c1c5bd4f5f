//! The members of the cluster, their roles, and changes of the membership.
//!
//! A [`Membership`] holds from one log index on. Every node makes it in the same way, from the
//! membership before it and a committed change. It is a plain value: nobody who stores, sends or
//! shows it decides it. `core` decides which change may be proposed.

use bincode::{Decode, Encode};
use engine::codec;
use engine::ids::NodeId;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState, Entry,
    EntryType,
};

use crate::config::Peer;

/// The version of stored memberships and replicated changes written today.
const VERSION: u8 = 1;
/// Most members at once, learners included.
pub const MEMBERS_MAX: usize = 16;
/// Most voters at once.
pub const VOTERS_MAX: usize = 9;
/// Most remembered ids of former members. No more members can be removed after that.
pub const REMOVED_MAX: usize = 4_096;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Its id. A removed member's id is never used again.
    pub id: NodeId,
    /// Raft address, as other nodes reach it.
    pub raft_addr: String,
    /// HTTP address, as clients reach it, if known.
    pub http_addr: Option<String>,
    /// The incarnation of its data directory. `None` for founders and for nodes added before their
    /// first startup; then each peer believes the first incarnation that it meets.
    pub incarnation: Option<u64>,
    /// The member that it replaces when it is promoted.
    pub replaces: Option<NodeId>,
}

impl From<&Peer> for Member {
    fn from(peer: &Peer) -> Member {
        Member {
            id: peer.id,
            raft_addr: peer.raft_addr.clone(),
            http_addr: peer.http_addr.clone(),
            incarnation: None,
            replaces: None,
        }
    }
}

/// A change of the membership, as it travels in the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Change {
    /// Add a member, which follows without a vote until it has caught up.
    Add(Member),
    /// Make a learner a voter. The member that it replaces leaves in the same step.
    Promote(NodeId),
    /// Remove a member for good.
    Remove(NodeId),
    /// A member is at other addresses. Level 1.
    Move {
        /// The member.
        id: NodeId,
        /// Its raft address now.
        raft_addr: String,
        /// Its HTTP address now, if known.
        http_addr: Option<String>,
    },
}

/// A request of an operator. A repeated request for a completed change is answered as done, so
/// every node may repeat it until a leader answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// A change of the membership.
    Change(Change),
    /// Transfer leadership.
    Transfer {
        /// The leader at the time of the request.
        from: NodeId,
        /// The new leader, or any other voter.
        to: Option<NodeId>,
    },
    /// The clocks of the nodes are right, however far the leader's clock is behind them.
    AcceptClock,
    /// Add a member that speaks levels up to `speaks`. A build before levels reads no such request.
    Add {
        /// The member.
        member: Member,
        /// The highest level that its build speaks.
        speaks: u32,
    },
    /// Raise the cluster's level. A build before levels reads no such request.
    Raise {
        /// The level.
        to: u32,
    },
}

/// Why the leader refuses an [`Ask`]. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// Another change is in progress.
    #[error("another change of the membership is in progress; try again when it is done")]
    InProgress,
    /// The voters that are heard would not be a majority after the change.
    #[error(
        "only {healthy} of the {voters} voters after the change can be heard: the cluster would lose \
         its majority"
    )]
    QuorumAtRisk {
        /// Voters that are heard.
        healthy: u64,
        /// Voters after the change.
        voters: u64,
    },
    /// The last voter cannot leave.
    #[error("node {0} is the only voter")]
    LastVoter(NodeId),
    /// No such member.
    #[error("node {0} is not a member")]
    Unknown(NodeId),
    /// The id belongs to another member.
    #[error("node {0} is a member already, with other addresses or another data directory")]
    Taken(NodeId),
    /// The id belonged to a removed member.
    #[error("node {0} was a member and was removed; ids are never reused, so choose a new one")]
    UsedBefore(NodeId),
    /// The address belongs to another member.
    #[error("{address} is the address of node {id}")]
    AddressTaken {
        /// The address.
        address: String,
        /// The member with that address.
        id: NodeId,
    },
    /// There are as many members as allowed.
    #[error("a cluster has at most {MEMBERS_MAX} members and {VOTERS_MAX} voters")]
    TooMany,
    /// Only a voter that is heard can take over leadership.
    #[error("node {0} cannot lead: it has no vote or cannot be heard")]
    CannotLead(NodeId),
    /// No other voter can take over leadership.
    #[error("no other voter that can be heard could lead")]
    NobodyElse,
    /// An id or address that no member can have.
    #[error("{0}")]
    Invalid(String),
    /// A node does not speak the level.
    #[error(
        "node {node} speaks levels up to {speaks}, and this needs level {needs}: start it with a \
         newer build"
    )]
    Speaks {
        /// The node.
        node: NodeId,
        /// The highest level that it speaks.
        speaks: u32,
        /// The level.
        needs: u32,
    },
    /// The level is raised only when every member says that it speaks it.
    #[error(
        "node {0} was not heard within 3 s, so nobody knows which levels it speaks: start it, or \
         remove it"
    )]
    NotHeard(NodeId),
}

/// The answer to an [`Ask`]: the log index from which it holds, or why it is refused.
pub type Verdict = Result<u64, Refusal>;

/// How a change relates to a membership.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in effect already.
    Done,
    /// It can be proposed.
    New,
}

/// The longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It counts for commits and elections.
    Voter,
    /// It follows without a vote.
    Learner,
}

/// The members from a log index on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Membership {
    /// The index of the entry that made it; 0 for the founders.
    pub index: u64,
    /// The voters: their majority decides.
    pub voters: Vec<NodeId>,
    /// The members without a vote.
    pub learners: Vec<NodeId>,
    /// In a joint phase, the voters before it. Their majority decides as well.
    pub voters_outgoing: Vec<NodeId>,
    /// In a joint phase, voters that become learners at its end.
    pub learners_next: Vec<NodeId>,
    /// Whether the leader ends the joint phase by itself.
    pub auto_leave: bool,
    /// All members, by id, with addresses and incarnations.
    pub members: Vec<Member>,
    /// Former members. Their ids are never used again, and their messages are refused.
    pub removed: Vec<NodeId>,
}

impl Membership {
    /// The founders of a cluster, all of them voters.
    pub fn founded(mut members: Vec<Member>) -> Membership {
        members.sort_by_key(|member| member.id);
        let voters = members.iter().map(|member| member.id).collect();
        Membership { voters, members, ..Membership::default() }
    }

    /// The membership in raft's form.
    pub fn conf_state(&self) -> ConfState {
        let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
        let mut conf = ConfState::default();
        conf.set_voters(numbers(&self.voters));
        conf.set_learners(numbers(&self.learners));
        conf.set_voters_outgoing(numbers(&self.voters_outgoing));
        conf.set_learners_next(numbers(&self.learners_next));
        conf.set_auto_leave(self.auto_leave);
        conf
    }

    /// The membership after the entry at `index`, which led raft to `conf`. An entry without a
    /// change ends a joint phase.
    #[must_use]
    pub fn after(&self, index: u64, change: Option<&Change>, conf: &ConfState) -> Membership {
        let ids = |numbers: &[u64]| {
            let mut ids: Vec<_> = numbers.iter().copied().map(NodeId).collect();
            ids.sort_unstable();
            ids
        };
        let mut next = Membership {
            index,
            voters: ids(conf.get_voters()),
            learners: ids(conf.get_learners()),
            voters_outgoing: ids(conf.get_voters_outgoing()),
            learners_next: ids(conf.get_learners_next()),
            auto_leave: conf.get_auto_leave(),
            members: self.members.clone(),
            removed: self.removed.clone(),
        };
        match change {
            Some(Change::Add(member)) => next.members.push(member.clone()),
            Some(Change::Promote(id)) => {
                let promoted = next.members.iter_mut().find(|member| member.id == *id);
                if let Some(member) = promoted {
                    member.replaces = None;
                }
            }
            Some(Change::Move { id, raft_addr, http_addr }) => {
                let moved = next.members.iter_mut().find(|member| member.id == *id);
                if let Some(member) = moved {
                    member.raft_addr.clone_from(raft_addr);
                    member.http_addr.clone_from(http_addr);
                }
            }
            Some(Change::Remove(_)) | None => {}
        }
        let members = std::mem::take(&mut next.members);
        for member in members {
            match next.role(member.id) {
                Some(_) => next.members.push(member),
                None => next.removed.push(member.id),
            }
        }
        next.members.sort_by_key(|member| member.id);
        next.removed.sort_unstable();
        next.removed.dedup();
        next
    }

    /// A member by its id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// A node's role, if it is a member. A voter in either half of a joint phase is a voter.
    pub fn role(&self, id: NodeId) -> Option<Role> {
        if self.voters.contains(&id) || self.voters_outgoing.contains(&id) {
            Some(Role::Voter)
        } else if self.learners.contains(&id) {
            Some(Role::Learner)
        } else {
            None
        }
    }

    /// Returns whether it is a former member.
    pub fn was_removed(&self, id: NodeId) -> bool {
        self.removed.binary_search(&id).is_ok()
    }

    /// The lowest id above all that members have or had.
    pub fn next_id(&self) -> NodeId {
        let members = self.members.iter().map(|member| member.id);
        let highest = members.chain(self.removed.last().copied()).max();
        NodeId(highest.map_or(0, |id| id.0).saturating_add(1))
    }

    /// Returns whether a change is between its two steps.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Judges a change.
    ///
    /// # Errors
    /// Why the change can never be made as it is.
    pub fn standing(&self, change: &Change) -> Result<Standing, Refusal> {
        match change {
            Change::Add(member) => self.standing_of_new(member),
            Change::Promote(id) => match self.role(*id) {
                Some(Role::Voter) => Ok(Standing::Done),
                Some(Role::Learner) if self.voters.len() >= VOTERS_MAX => Err(Refusal::TooMany),
                Some(Role::Learner) => Ok(Standing::New),
                None => Err(Refusal::Unknown(*id)),
            },
            Change::Remove(id) => match self.role(*id) {
                None if self.was_removed(*id) => Ok(Standing::Done),
                None => Err(Refusal::Unknown(*id)),
                Some(_) if self.voters == [*id] => Err(Refusal::LastVoter(*id)),
                Some(_) if self.removed.len() >= REMOVED_MAX => Err(Refusal::TooMany),
                Some(_) => Ok(Standing::New),
            },
            // Two members may exchange their addresses, so another may still have this one.
            Change::Move { id, raft_addr, http_addr } => match self.member(*id) {
                None => Err(Refusal::Unknown(*id)),
                Some(_) if !are_addresses(raft_addr, http_addr.as_ref()) => {
                    Err(Refusal::Invalid("an address that no member can have".into()))
                }
                Some(known) if (&known.raft_addr, &known.http_addr) == (raft_addr, http_addr) => {
                    Ok(Standing::Done)
                }
                Some(_) => Ok(Standing::New),
            },
        }
    }

    fn standing_of_new(&self, member: &Member) -> Result<Standing, Refusal> {
        let Member { id, raft_addr, http_addr, incarnation, replaces } = member;
        if self.was_removed(*id) {
            return Err(Refusal::UsedBefore(*id));
        }
        if let Some(known) = self.member(*id) {
            let same_directory = known.incarnation.is_none()
                || incarnation.is_none()
                || known.incarnation == *incarnation;
            let same = known.raft_addr == *raft_addr && same_directory;
            return if same { Ok(Standing::Done) } else { Err(Refusal::Taken(*id)) };
        }
        if id.0 == 0 || !are_addresses(raft_addr, http_addr.as_ref()) {
            return Err(Refusal::Invalid("an id or address that no member can have".into()));
        }
        if let Some(replaced) = replaces.filter(|replaced| self.role(*replaced).is_none()) {
            return Err(Refusal::Unknown(replaced));
        }
        // A machine that lost its disk may come back at the same address, under another id.
        let others = self.members.iter().filter(|known| Some(known.id) != *replaces);
        for known in others {
            let both = [Some(&known.raft_addr), known.http_addr.as_ref()];
            let mut own = [Some(raft_addr), http_addr.as_ref()].into_iter().flatten();
            if let Some(address) = own.find(|address| both.contains(&Some(*address))) {
                return Err(Refusal::AddressTaken { address: address.clone(), id: known.id });
            }
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(Refusal::TooMany);
        }
        Ok(Standing::New)
    }

    /// The voters after this change.
    pub fn voters_after(&self, change: &Change) -> Vec<NodeId> {
        let mut voters = self.voters.clone();
        match change {
            Change::Add(_) | Change::Move { .. } => {}
            Change::Promote(id) => {
                let replaced = self.member(*id).and_then(|member| member.replaces);
                voters.retain(|voter| Some(*voter) != replaced);
                voters.push(*id);
            }
            Change::Remove(id) => voters.retain(|voter| voter != id),
        }
        voters
    }

    /// Returns whether these nodes are a majority of the voters, in both halves of a joint phase.
    pub fn is_quorum(&self, has: impl Fn(NodeId) -> bool) -> bool {
        let majority = |voters: &[NodeId]| {
            let count = voters.iter().filter(|id| has(**id)).count();
            voters.is_empty() || count > voters.len() / 2
        };
        majority(&self.voters) && majority(&self.voters_outgoing)
    }

    /// Encodes it with version and checksum.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_row(VERSION, self)
    }

    /// Reads what [`Membership::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Membership, codec::Error> {
        codec::decode_row(VERSION, bytes)
    }
}

impl Ask {
    /// Encodes it with its version.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_versioned(VERSION, self)
    }

    /// Reads what [`Ask::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes have another version or are invalid.
    pub fn decode(bytes: &[u8]) -> Result<Ask, codec::Error> {
        codec::decode_versioned(VERSION, bytes)
    }
}

/// Encodes a verdict with its version.
pub fn encode_verdict(verdict: &Verdict) -> Vec<u8> {
    codec::encode_versioned(VERSION, verdict)
}

/// Reads what [`encode_verdict`] wrote.
///
/// # Errors
/// When the bytes have another version or are invalid.
pub fn decode_verdict(bytes: &[u8]) -> Result<Verdict, codec::Error> {
    codec::decode_versioned(VERSION, bytes)
}

impl Change {
    /// The raft steps of the change. Those that change who has a vote go through a joint phase.
    /// Raft enters it with this entry and leaves it with an empty entry of its own. A move names
    /// the member again as what it is, in one step.
    pub fn entry(&self, now: &Membership) -> ConfChangeV2 {
        let single = |id: NodeId, kind| {
            let mut single = ConfChangeSingle::default();
            single.set_node_id(id.0);
            single.set_change_type(kind);
            single
        };
        let mut steps = Vec::new();
        match self {
            Change::Add(member) => steps.push(single(member.id, ConfChangeType::AddLearnerNode)),
            Change::Promote(id) => {
                steps.push(single(*id, ConfChangeType::AddNode));
                let replaced = now.member(*id).and_then(|member| member.replaces);
                if let Some(replaced) = replaced.filter(|replaced| now.role(*replaced).is_some()) {
                    steps.push(single(replaced, ConfChangeType::RemoveNode));
                }
            }
            Change::Remove(id) => steps.push(single(*id, ConfChangeType::RemoveNode)),
            Change::Move { id, .. } => steps.push(match now.role(*id) {
                Some(Role::Learner) => single(*id, ConfChangeType::AddLearnerNode),
                Some(Role::Voter) | None => single(*id, ConfChangeType::AddNode),
            }),
        }
        let mut entry = ConfChangeV2::default();
        entry.set_transition(match self {
            Change::Move { .. } => ConfChangeTransition::Auto,
            _ => ConfChangeTransition::Implicit,
        });
        entry.set_changes(steps.into());
        entry.set_context(codec::encode_versioned(VERSION, self).into());
        entry
    }

    /// The change that an entry carries; an entry that ends a joint phase has none.
    ///
    /// # Errors
    /// When the bytes are not a change.
    pub fn of(entry: &ConfChangeV2) -> Result<Option<Change>, codec::Error> {
        if entry.get_context().is_empty() {
            return Ok(None);
        }
        codec::decode_versioned(VERSION, entry.get_context()).map(Some)
    }
}

fn are_addresses(raft_addr: &String, http_addr: Option<&String>) -> bool {
    let fits = |address: &String| (1..=ADDRESS_BYTES_MAX).contains(&address.len());
    fits(raft_addr) && http_addr.is_none_or(fits)
}

/// Returns whether an entry changes the membership.
pub fn is_change(entry: &Entry) -> bool {
    entry.get_entry_type() != EntryType::EntryNormal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64) -> Member {
        Member {
            id: NodeId(id),
            raft_addr: format!("127.0.0.1:{id}"),
            http_addr: None,
            incarnation: Some(id * 7),
            replaces: None,
        }
    }

    fn conf(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> ConfState {
        let mut conf = ConfState::default();
        conf.set_voters(voters.to_vec());
        conf.set_voters_outgoing(outgoing.to_vec());
        conf.set_learners(learners.to_vec());
        conf
    }

    fn founded() -> Membership {
        Membership::founded((1..=3).map(member).collect())
    }

    #[test]
    fn a_replacement_goes_through_both_majorities_and_the_old_id_is_never_used_again() {
        let mut joining = member(4);
        joining.replaces = Some(NodeId(3));
        let added = founded().after(5, Some(&Change::Add(joining)), &conf(&[1, 2, 3], &[], &[4]));
        assert_eq!(added.role(NodeId(4)), Some(Role::Learner));
        let promote = Change::Promote(NodeId(4));
        let entry = promote.entry(&added);
        assert_eq!(entry.get_changes().len(), 2, "one comes, one goes");
        assert_eq!(entry.enter_joint(), Some(true));
        assert_eq!(Change::of(&entry).expect("its own"), Some(promote.clone()));
        let joint = added.after(9, Some(&promote), &conf(&[1, 2, 4], &[1, 2, 3], &[]));
        assert!(joint.is_joint() && joint.role(NodeId(3)).is_some());
        let among = |ids: &'static [u64]| move |id: NodeId| ids.contains(&id.0);
        assert!(joint.is_quorum(among(&[1, 2])));
        assert!(!joint.is_quorum(among(&[1, 4])) && !joint.is_quorum(among(&[2, 3][1..])));
        let left = joint.after(10, None, &conf(&[1, 2, 4], &[], &[]));
        assert!(left.was_removed(NodeId(3)) && left.member(NodeId(3)).is_none());
        assert!(left.is_quorum(among(&[1, 4])));
        assert_eq!(left.member(NodeId(4)).and_then(|member| member.replaces), None);
    }

    #[test]
    fn ids_and_addresses_belong_to_one_member_and_ids_for_ever() {
        let now = founded().after(4, Some(&Change::Remove(NodeId(2))), &conf(&[1, 3], &[], &[]));
        let add = |id: u64, address: &str, replaces: Option<u64>| {
            let raft_addr = address.into();
            let replaces = replaces.map(NodeId);
            now.standing(&Change::Add(Member { raft_addr, replaces, ..member(id) }))
        };
        assert_eq!(add(4, "new", None), Ok(Standing::New));
        assert_eq!(add(2, "new", None), Err(Refusal::UsedBefore(NodeId(2))));
        assert_eq!(add(3, "new", None), Err(Refusal::Taken(NodeId(3))));
        assert_eq!(add(3, "127.0.0.1:3", None), Ok(Standing::Done), "asked again");
        let taken = Refusal::AddressTaken { address: "127.0.0.1:3".into(), id: NodeId(3) };
        assert_eq!(add(4, "127.0.0.1:3", None), Err(taken));
        assert_eq!(add(4, "127.0.0.1:3", Some(3)), Ok(Standing::New), "in its place");
        assert_eq!(add(4, "new", Some(9)), Err(Refusal::Unknown(NodeId(9))));
        assert!(matches!(add(4, "", None), Err(Refusal::Invalid(_))));
        assert_eq!(now.standing(&Change::Remove(NodeId(2))), Ok(Standing::Done));
        let unknown = Refusal::Unknown(NodeId(9));
        assert_eq!(now.standing(&Change::Remove(NodeId(9))), Err(unknown));
        assert_eq!(now.next_id(), NodeId(4));
        let left = now.after(5, Some(&Change::Remove(NodeId(3))), &conf(&[1], &[], &[]));
        assert_eq!(left.next_id(), NodeId(4), "also above those that were");
        let alone = now.after(6, Some(&Change::Remove(NodeId(3))), &conf(&[1], &[], &[]));
        let last = Refusal::LastVoter(NodeId(1));
        assert_eq!(alone.standing(&Change::Remove(NodeId(1))), Err(last));
    }

    #[test]
    fn a_membership_survives_the_round_trip_and_shows_damage() {
        let membership =
            founded().after(8, Some(&Change::Remove(NodeId(2))), &conf(&[1, 3], &[], &[]));
        let bytes = membership.encode();
        assert_eq!(Membership::decode(&bytes), Ok(membership));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(Membership::decode(&damaged).is_err(), "byte {at}");
        }
        assert_eq!(founded().conf_state().get_voters(), [1, 2, 3]);
    }
}

//! Works out from the committed entries alone who has a vote, and what that demands of commits.
//!
//! Each node's membership is compared with this one. An entry counts as committed only when a
//! majority has synced it, in both halves of a joint phase. A learner gets its vote only when it
//! has caught up.

pub(crate) mod judge;

use engine::ids::NodeId;
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, ConfState, Entry};
use raft_node::members::{Change, Membership, is_change};

use crate::coverage::Coverage;

/// An entry that a node handed out first, and the voter that it promoted.
#[derive(Debug)]
struct Fresh {
    index: u64,
    term: u64,
    promoted: Option<NodeId>,
}

#[derive(Debug)]
pub(super) struct Electorate {
    /// Memberships, oldest first. The first is that of the founders.
    history: Vec<Membership>,
    last_index: u64,
    fresh: Vec<Fresh>,
}

impl Electorate {
    pub(super) fn new(founders: Membership) -> Electorate {
        Electorate { history: vec![founders], last_index: 0, fresh: Vec::new() }
    }

    /// The newest membership that any node knows to be committed.
    pub(super) fn now(&self) -> &Membership {
        self.history.last().expect("there are founders")
    }

    fn at(&self, index: u64) -> Option<&Membership> {
        self.history.iter().find(|members| members.index == index)
    }

    /// Takes an entry that a node hands out to be applied.
    pub(super) fn handed_out(&mut self, entry: &Entry, cover: &mut Coverage) -> Result<(), String> {
        if entry.index <= self.last_index {
            return Ok(());
        }
        if entry.index != self.last_index + 1 {
            return Err(format!("entry {} is handed out before those before it", entry.index));
        }
        self.last_index = entry.index;
        let mut promoted = None;
        if is_change(entry) {
            let steps = ConfChangeV2::parse_from_bytes(&entry.data).map_err(|e| e.to_string())?;
            let change = Change::of(&steps).map_err(|error| error.to_string())?;
            match &change {
                Some(Change::Add(_)) => cover.members_added += 1,
                Some(Change::Promote(id)) => {
                    promoted = Some(*id);
                    cover.members_promoted += 1;
                    let replaced = self.now().member(*id).and_then(|member| member.replaces);
                    cover.members_replaced += u64::from(replaced.is_some());
                }
                Some(Change::Remove(_)) => cover.members_removed += 1,
                Some(Change::Move { .. }) => cover.moves_recorded += 1,
                None => cover.joint_phases_left += 1,
            }
            let next = self.after(entry.index, change.as_ref())?;
            self.history.push(next);
        }
        self.fresh.push(Fresh { index: entry.index, term: entry.term, promoted });
        Ok(())
    }

    /// Applies a change to the newest membership, by the rules of joint consensus.
    fn after(&self, index: u64, change: Option<&Change>) -> Result<Membership, String> {
        let now = self.now();
        let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        let mut conf = ConfState::default();
        let (mut voters, mut learners) = (numbers(&now.voters), numbers(&now.learners));
        match change {
            None if !now.is_joint() => {
                return Err(format!("index {index} ends a joint phase that there is not"));
            }
            Some(_) if now.is_joint() => {
                return Err(format!("index {index} changes the members within a joint phase"));
            }
            // It changes no vote.
            None | Some(Change::Move { .. }) => {}
            Some(change) => {
                conf.set_voters_outgoing(voters.clone());
                conf.set_auto_leave(true);
                voters = numbers(&now.voters_after(change));
                match change {
                    Change::Add(member) => learners.push(member.id.0),
                    Change::Promote(id) | Change::Remove(id) | Change::Move { id, .. } => {
                        learners.retain(|learner| *learner != id.0);
                    }
                }
            }
        }
        conf.set_voters(voters);
        conf.set_learners(learners);
        Ok(now.after(index, change, &conf))
    }

    /// Checks a membership that a node puts into effect.
    pub(super) fn check(&self, members: &Membership) -> Result<(), String> {
        match self.at(members.index) {
            Some(known) if known == members => Ok(()),
            known => Err(format!("the members are {members:?}, but should be {known:?}")),
        }
    }

    /// Checks the membership after the entry at `index` that a node has from its disk or a
    /// snapshot.
    pub(super) fn check_at(&self, index: u64, members: &Membership) -> Result<(), String> {
        let known = self.history.iter().rfind(|known| known.index <= index);
        match known == Some(members) {
            true => Ok(()),
            false => {
                Err(format!("the members at {index} are {members:?}, but should be {known:?}"))
            }
        }
    }

    /// The memberships whose majority may have committed the entry at `index`: a leader puts a
    /// change into effect with the next entries that it commits.
    fn deciding(&self, index: u64) -> impl Iterator<Item = &Membership> {
        self.history.iter().rev().filter(move |members| members.index < index).take(2)
    }
}

//! Changes of the membership: how a committed one takes effect.

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry, EntryType};

use super::Core;
use crate::members::{Change, Membership};

/// Whether an entry changes the membership.
pub(crate) fn is_change(entry: &Entry) -> bool {
    entry.get_entry_type() != EntryType::EntryNormal
}

impl Core {
    /// The members as far as this node knows them to be committed.
    pub fn members(&self) -> &Membership {
        &self.members
    }

    /// Puts the changes among committed entries into effect and gives what they lead to, oldest
    /// first.
    ///
    /// One that makes no sense here makes none on any node, since all of them have the same
    /// membership before it: it changes nothing.
    pub(super) fn take_changes(&mut self, committed: &[Entry]) -> Vec<Membership> {
        let mut changed = Vec::new();
        for entry in committed.iter().filter(|entry| is_change(entry)) {
            match self.take_change(entry) {
                Ok(members) => {
                    self.members = members.clone();
                    changed.push(members);
                }
                Err(reason) => tracing::error!(
                    node = self.node.0,
                    index = entry.index,
                    reason,
                    "a change of the membership makes no sense and is passed over"
                ),
            }
        }
        changed
    }

    fn take_change(&mut self, entry: &Entry) -> Result<Membership, String> {
        if entry.get_entry_type() != EntryType::EntryConfChangeV2 {
            return Err("it is of a kind that no version writes".into());
        }
        let steps = ConfChangeV2::parse_from_bytes(&entry.data).map_err(|e| e.to_string())?;
        let change = Change::of(&steps).map_err(|error| error.to_string())?;
        let conf = self.raw.apply_conf_change(&steps).map_err(|error| error.to_string())?;
        Ok(self.members.after(entry.index, change.as_ref(), &conf))
    }
}

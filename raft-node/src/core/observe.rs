//! Fills the view of a core. It only reads: nothing here decides or changes anything.

use engine::ids::{NodeId, Timestamp};
use protobuf::ProtobufEnum as _;
use raft::StateRole;
use raft::eraftpb::MessageType;

use super::Core;
use super::actions::Why;
use super::view::View;

impl Core {
    fn refused(&self) -> Vec<(MessageType, Why, u64)> {
        let kind = |kind| MessageType::from_i32(kind).unwrap_or_default();
        self.refused.iter().map(|((of, why), count)| (kind(*of), *why, *count)).collect()
    }

    /// The part of [`Core::view`] to show as soon as it changes: term, leader, and whether this
    /// node leads and has committed in its term.
    pub fn role(&self) -> (u64, u64, bool) {
        let raft = &self.raw.raft;
        let leads = raft.state == StateRole::Leader && raft.commit_to_current_term();
        (raft.term, raft.leader_id, leads)
    }

    /// The commit index as known here.
    pub fn commit_index(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }

    /// The current view of this core.
    pub fn view(&self) -> View {
        let raft = &self.raw.raft;
        let is_leader = raft.state == StateRole::Leader;
        View {
            term: raft.term,
            leader: (raft.leader_id != raft::INVALID_ID).then_some(NodeId(raft.leader_id)),
            is_leader,
            leads_in_term: is_leader && raft.commit_to_current_term(),
            commit_index: raft.raft_log.committed,
            last_index: raft.raft_log.last_index(),
            compacted_index: self.raw.store().compacted().0,
            snapshot_index: self.raw.store().offered().map_or(0, |meta| meta.index),
            snapshot_bytes: self.raw.store().offered().map_or(0, |meta| meta.bytes),
            snapshots_sending: self.transfers.sending(),
            snapshot_receiving: self.transfers.is_receiving(),
            snapshots_installed: self.transfers.installed,
            clock: if is_leader { self.clock.now(self.now) } else { Timestamp(0) },
            clock_behind: self.clock.behind().filter(|_| is_leader),
            matched: if is_leader { self.matched() } else { Vec::new() },
            outstanding: self.requests.len(),
            pending: self.pending.len(),
            reads_waiting: self.reads.len(),
            elections: self.elections,
            entries_proposed: self.entries_proposed,
            commands_proposed: self.commands_proposed,
            forwarded: self.forwarded,
            heard: self
                .heard
                .iter()
                .map(|(id, at)| (*id, self.now.mono_ms.saturating_sub(*at)))
                .collect(),
            speaks: self.levels.peers.iter().map(|(id, speaks)| (*id, *speaks)).collect(),
            removed: self.admin.removed,
            quorum_heard_ms_ago: self.quorum_heard_ms_ago(),
            refuses_writes: self.refuses_writes(),
            is_memory_full: self.is_memory_full(),
            refused: self.refused(),
            stalled_ms: self.stalled_ms(),
            is_stalled: self.is_stalled(),
        }
    }

    fn matched(&self) -> Vec<(NodeId, u64, bool)> {
        let mut matched: Vec<_> = self
            .raw
            .raft
            .prs()
            .iter()
            .map(|(id, progress)| {
                let own = *id == self.node.0;
                (NodeId(*id), progress.matched, own || progress.recent_active)
            })
            .collect();
        matched.sort_unstable();
        matched
    }
}

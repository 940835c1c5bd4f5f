//! Snapshots in the core: how a node gets one, how it replaces the log, and how far the log may be
//! truncated. `sending` has the other side.
//!
//! Raft's message holds only the metadata of a snapshot. The follower fetches the file part by
//! part, with several parts under way (`window`), and continues a file that it has in part. It
//! hands the message to raft only after the file was verified and made into a state beside the old
//! one. A transfer that makes progress goes on whatever is offered meanwhile, also from a node that
//! leads no longer: what a snapshot holds is committed. It ends after a silence, or when its sender
//! has no such file.

use engine::ids::NodeId;
use raft::eraftpb::Message;

use super::Core;
use super::actions::{Actions, FileTask, Install};
use super::transfers::{Receiving, Stage};
use super::window::Window;
use crate::members::Membership;
use crate::message::{PeerMessage, SnapshotNews};
use crate::snapshot::Meta;

/// Interval at which a node that works on a file without asking says so.
pub(super) const SAY_BUSY_MS: u64 = 1_000;
/// A transfer without a sign of life from the other side for this long is over.
pub(super) const SILENCE_MAX_MS: u64 = 10_000;
/// The same when another snapshot was offered meanwhile.
const SILENCE_REPLACED_MS: u64 = 3_000;
/// The offset in requests of a follower that has the whole file and is busy with it.
pub(super) const ALL: u64 = u64::MAX;

impl Core {
    /// Handles raft's message about a snapshot. It waits for the file, unless the snapshot holds
    /// nothing new for this node.
    pub(super) fn offered(&mut self, from: NodeId, message: Box<Message>, actions: &mut Actions) {
        let about = message.get_snapshot().get_metadata();
        let (index, term) = (about.index, about.term);
        if self.transfers.installing.is_some() || self.raw.snap().is_some() {
            // One at a time: the leader offers it again.
            return;
        }
        if message.term < self.raw.raft.term || index <= self.raw.raft.raft_log.committed {
            let _ = self.raw.step(*message);
            return;
        }
        if let Some(receiving) = &mut self.transfers.receiving {
            if (receiving.from, receiving.index, receiving.term) == (from, index, term) {
                receiving.message = message;
            } else {
                receiving.next = Some((from, message));
            }
            return;
        }
        self.begin_receiving(from, message, actions);
    }

    fn begin_receiving(&mut self, from: NodeId, message: Box<Message>, actions: &mut Actions) {
        let about = message.get_snapshot().get_metadata();
        let (index, term) = (about.index, about.term);
        let now_ms = self.now.mono_ms;
        let receiving = Receiving {
            from,
            message,
            index,
            term,
            window: Window::new(0, now_ms),
            stage: Stage::Beginning,
            told_ms: now_ms,
            heard_ms: now_ms,
            next: None,
        };
        self.transfers.replace(Some(receiving), actions);
        actions.files.push(FileTask::Begin { from, index, term });
    }

    /// Requests the first parts, once it is known how much of the file is here.
    pub(super) fn partial_found(
        &mut self,
        from: NodeId,
        index: u64,
        offset: u64,
        actions: &mut Actions,
    ) {
        let now_ms = self.now.mono_ms;
        let Some(receiving) = &mut self.transfers.receiving else { return };
        let awaited = (receiving.from, receiving.index, receiving.stage);
        if awaited != (from, index, Stage::Beginning) {
            return;
        }
        receiving.stage = Stage::Fetching;
        receiving.heard_ms = now_ms;
        receiving.window = Window::new(offset, now_ms);
        let offsets = receiving.window.ask(now_ms);
        self.fetch(offsets, actions);
    }

    /// Requests parts of the file that is being fetched.
    fn fetch(&mut self, offsets: Vec<u64>, actions: &mut Actions) {
        let Some(receiving) = &self.transfers.receiving else { return };
        let (from, index) = (receiving.from, receiving.index);
        for offset in offsets {
            actions.send.push((from, PeerMessage::FetchSnapshot { index, offset }));
        }
    }

    /// Handles a part of a snapshot.
    pub(super) fn part_arrived(
        &mut self,
        from: NodeId,
        part: (u64, u64, u64),
        bytes: Vec<u8>,
        actions: &mut Actions,
    ) {
        let now_ms = self.now.mono_ms;
        let (index, offset, size) = part;
        let Some(receiving) = &mut self.transfers.receiving else { return };
        if (receiving.from, receiving.index, receiving.stage) != (from, index, Stage::Fetching) {
            return;
        }
        receiving.heard_ms = now_ms;
        #[cfg(feature = "simulation")]
        let last = bytes.len() as u64;
        let (parts, again) = receiving.window.arrived(offset, size, bytes, now_ms);
        let writes = parts.into_iter();
        let writes = writes.map(|(offset, bytes)| FileTask::Write { index, offset, bytes });
        actions.files.extend(writes);
        let complete = receiving.window.is_complete();
        #[cfg(feature = "simulation")]
        let complete = complete || crate::planted::without_last_part(offset + last, last, size);
        if complete {
            receiving.stage = Stage::Preparing;
            receiving.told_ms = now_ms;
            actions.files.push(FileTask::Prepare { index, term: receiving.term });
        }
        self.fetch(again, actions);
    }

    /// Requests more after a part was written.
    pub(super) fn part_written(&mut self, index: u64, ok: bool, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        let Some(receiving) = &mut self.transfers.receiving else { return };
        if receiving.index != index {
            return;
        }
        if !ok {
            return self.stop_receiving(actions);
        }
        if receiving.stage == Stage::Fetching {
            receiving.window.written();
            let offsets = receiving.window.ask(now_ms);
            self.fetch(offsets, actions);
        }
    }

    /// Ends the open transfer, and begins the one that was offered meanwhile.
    fn stop_receiving(&mut self, actions: &mut Actions) {
        let next = self.transfers.receiving.as_mut().and_then(|receiving| receiving.next.take());
        self.transfers.replace(None, actions);
        if let Some((from, message)) = next {
            self.offered(from, message, actions);
        }
    }

    /// Handles what the other side of a transfer says about the file.
    pub(super) fn take_snapshot_news(
        &mut self,
        from: NodeId,
        index: u64,
        news: SnapshotNews,
        actions: &mut Actions,
    ) {
        let now_ms = self.now.mono_ms;
        if news == SnapshotNews::Damaged {
            return self.sent_damaged(from, index, actions);
        }
        let Some(receiving) = &mut self.transfers.receiving else { return };
        if (receiving.from, receiving.index, receiving.stage) != (from, index, Stage::Fetching) {
            return;
        }
        match news {
            SnapshotNews::Gone => self.stop_receiving(actions),
            _ => receiving.heard_ms = now_ms,
        }
    }

    /// Hands the message to raft once the state of the snapshot is ready, or drops it if that
    /// failed.
    pub(super) fn prepared(&mut self, index: u64, ok: bool, actions: &mut Actions) {
        if self.transfers.prepares_stale > 0 {
            // Tasks run in order: the old state is dropped before the next one is made.
            self.transfers.prepares_stale -= 1;
            return;
        }
        let Some(receiving) = &mut self.transfers.receiving else { return };
        if receiving.index != index || receiving.stage != Stage::Preparing {
            return;
        }
        if !ok {
            // What was sent may be damaged. The sender looks.
            let news = PeerMessage::SnapshotNews { index, news: SnapshotNews::Damaged };
            actions.send.push((receiving.from, news));
            receiving.stage = Stage::Fetching;
            return self.stop_receiving(actions);
        }
        receiving.stage = Stage::Ready;
        self.pass_to_raft(actions);
    }

    /// Hands the message about a snapshot whose state is ready to raft. After a change of leader it
    /// speaks for the new one, which hears that its follower has what is committed up to there.
    fn pass_to_raft(&mut self, actions: &mut Actions) {
        let (term, leader) = (self.raw.raft.term, self.raw.raft.leader_id);
        let Some(receiving) = self.transfers.receiving.take_if(|receiving| {
            receiving.stage == Stage::Ready
                && (receiving.message.term >= term || leader != raft::INVALID_ID)
        }) else {
            return;
        };
        let mut message = receiving.message;
        if message.term < term {
            (message.term, message.from) = (term, leader);
        }
        let _ = self.raw.step(*message);
        if self.raw.snap().is_none() {
            // It came too late, or is unusable.
            actions.files.push(FileTask::Forget);
        }
    }

    /// Replaces the log with a snapshot that raft accepted. Returns what the surroundings have to
    /// do.
    pub(super) fn install(
        &mut self,
        number: u64,
        snapshot: &raft::eraftpb::Snapshot,
        actions: &mut Actions,
    ) -> Install {
        let about = snapshot.get_metadata();
        let members = Membership::decode(&snapshot.data)
            .expect("the file with the same membership was read before raft heard of it");
        let (index, term) = (about.index, about.term);
        self.raw.mut_store().install(index, term);
        // Raft accepts no snapshot that ends before the commit index.
        self.outbox.drop_waiting();
        self.members = members.clone();
        actions.members = Some(members.clone());
        self.transfers.installing = Some((number, index));
        self.transfers.installed += 1;
        self.transfers.older = index;
        // Some of this node's requests may be in the snapshot, which does not hold their outcomes.
        actions.failed.extend(self.requests.give_up_sent());
        Install { index, term, members }
    }

    /// Handles that all appends up to `number` are on disk. A snapshot among them counts as applied
    /// from here on: raft must not look for entries before it any more, which it does in an
    /// election.
    pub(super) fn installed(&mut self, number: u64) {
        let done = self.transfers.installing.take_if(|(installing, _)| *installing <= number);
        if let Some((_, index)) = done
            && index > self.applied_index
        {
            self.applied_index = index;
            self.raw.advance_apply_to(index);
        }
    }

    /// Offers a new snapshot to peers; an older one is kept.
    pub(super) fn taken(&mut self, meta: Meta, older: u64, actions: &mut Actions) {
        if self.raw.store().offered().is_some_and(|offered| offered.index >= meta.index) {
            return;
        }
        self.transfers.older = older;
        self.raw.mut_store().offer(meta);
        self.compact(actions);
    }

    /// At every tick: requests lost parts again, and ends silent transfers.
    pub(super) fn tick_snapshots(&mut self, actions: &mut Actions) {
        self.tick_sending(actions);
        if self.raw.store().take_missed() {
            actions.files.push(FileTask::Take);
        }
        self.compact(actions);
        self.pass_to_raft(actions);
        self.tick_receiving(actions);
    }

    fn tick_receiving(&mut self, actions: &mut Actions) {
        let now_ms = self.now.mono_ms;
        let leader = NodeId(self.raw.raft.leader_id);
        let Some(receiving) = &mut self.transfers.receiving else { return };
        let silence_ms_max = match receiving.next {
            Some(_) => SILENCE_REPLACED_MS,
            None => SILENCE_MAX_MS,
        };
        let silent_ms = now_ms.saturating_sub(receiving.heard_ms);
        if receiving.stage == Stage::Fetching && silent_ms >= silence_ms_max {
            return self.stop_receiving(actions);
        }
        if receiving.stage == Stage::Fetching
            && let Some(offset) = receiving.window.missing(now_ms)
        {
            return self.fetch(vec![offset], actions);
        }
        // Nobody must mistake work for silence: neither the sender, nor a new leader that sends
        // nothing because an older transfer goes on.
        if now_ms.saturating_sub(receiving.told_ms) >= SAY_BUSY_MS {
            receiving.told_ms = now_ms;
            let (from, index) = (receiving.from, receiving.index);
            let is_other = ![from, self.node, NodeId(raft::INVALID_ID)].contains(&leader);
            let sender = (receiving.stage != Stage::Fetching).then_some(from);
            for to in sender.into_iter().chain(is_other.then_some(leader)) {
                actions.send.push((to, PeerMessage::FetchSnapshot { index, offset: ALL }));
            }
        }
    }

    /// Truncates the log as far as nobody is expected to need it:
    ///
    /// - Never past the older of two snapshots, so a damaged one loses nothing.
    /// - Not within the margin of the newer one, so a short absence costs no transfer.
    /// - Not past a snapshot that is being sent, which is useless without the entries after it.
    /// - Not while the snapshots are ahead of what is applied here, as received ones may be.
    fn compact(&mut self, actions: &mut Actions) {
        let store = self.raw.store();
        let Some(newest) = store.offered().map(|meta| meta.index) else { return };
        let sent = self.transfers.held.first().copied().unwrap_or(u64::MAX);
        let margin = newest.saturating_sub(self.config.log_margin_entries);
        let target = self.transfers.older.min(margin).min(sent);
        #[cfg(feature = "simulation")]
        let target = crate::planted::compacted_too_far(target, self.applied_index);
        if target <= store.compacted().0 || target > self.applied_index {
            return;
        }
        let term = raft::Storage::term(store, target).expect("an applied entry is in the log");
        self.raw.mut_store().compact(target, term);
        actions.files.push(FileTask::Compact { index: target, term });
    }
}

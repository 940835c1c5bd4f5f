//! Turns a `Ready` of raft into actions, in the order that keeps raft's promises.
//!
//! | what | may leave |
//! | --- | --- |
//! | messages of a leader | at once, before its own disk |
//! | messages of others: votes, acknowledgements | after the sync of all appended before |
//! | committed entries | when raft hands them out: durable here, and on a majority |
//! | entries that change the membership, and those after them | after the sync of the change |
//! | answers | after apply |
//!
//! The asynchronous path of raft-rs: entries become readable, then `advance_append_async`, then the
//! log thread syncs, then `on_persist_ready` in order.
//!
//! A change of the membership takes effect here, when its entry is committed. It is written to the
//! log before anything that comes after it, and only then is its entry handed out to be applied.

use engine::ids::NodeId;
use raft::StateRole;
use raft::eraftpb::{Entry, HardState, Message};

use super::Core;
use super::actions::{Actions, Append, Apply};
use crate::log::view::entry_bytes;
use crate::members::is_change;
use crate::message::PeerMessage;

fn addressed(messages: Vec<Message>) -> Vec<(NodeId, PeerMessage)> {
    messages
        .into_iter()
        .map(|message| (NodeId(message.to), PeerMessage::Raft(Box::new(message))))
        .collect()
}

impl Core {
    /// Hands out committed entries, which are durable here; those beyond the bound by their index.
    pub(super) fn hand_out(&mut self, entries: Vec<Entry>, actions: &mut Actions) {
        let Some(last) = entries.last().map(|entry| entry.index) else { return };
        let bytes = entries.iter().map(entry_bytes).sum();
        let takes = self.handed_out.takes(last, bytes, self.config.handed_out_bytes_max);
        match (actions.apply.last_mut(), takes) {
            (Some(Apply::Entries(before)), true) => before.extend(entries),
            (_, true) => actions.apply.push(Apply::Entries(entries)),
            (Some(Apply::UpTo(index)), false) => *index = last,
            (_, false) => actions.apply.push(Apply::UpTo(last)),
        }
    }

    /// Turns everything that raft has ready into actions.
    pub(super) fn collect(&mut self, actions: &mut Actions) {
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            let number = ready.number();
            let install = (!ready.snapshot().is_empty())
                .then(|| self.install(number, ready.snapshot(), actions));
            let messages = ready.take_messages();
            messages.iter().for_each(|message| self.note_sent(message, actions));
            actions.send.extend(addressed(messages));
            for state in ready.take_read_states() {
                actions.reads_ready.extend(self.reads.answered(&state));
            }

            let held = addressed(ready.take_persisted_messages());
            #[cfg(feature = "simulation")]
            let held = match crate::planted::is_planted(crate::planted::Bug::AcknowledgeBeforeSync)
            {
                true => {
                    actions.send.extend(held);
                    Vec::new()
                }
                false => held,
            };
            assert!(
                held.is_empty() || self.raw.raft.state != StateRole::Leader,
                "a leader's messages do not wait"
            );
            let entries = ready.take_entries();
            let committed = ready.take_committed_entries();
            let changes = committed.iter().any(is_change);
            let must_sync = ready.must_sync() || changes;
            let hard_state = self.hard_state_to_write(ready.hs().cloned(), must_sync);
            let changed = self.take_changes(&committed);
            actions.members = changed.last().cloned().or(actions.members.take());
            if changes {
                self.outbox.wait_for(number, committed);
            } else {
                let committed = self.outbox.after_waiting(committed);
                self.hand_out(committed, actions);
            }
            if must_sync {
                self.raw.mut_store().push(&entries);
                let last = entries.last().map(|entry| (entry.index, entry.term));
                self.outbox.appended(number, last, held);
                actions.appends.push(Append {
                    number,
                    install,
                    entries,
                    hard_state,
                    members: changed,
                    keep: None,
                });
                self.raw.advance_append_async(ready);
            } else {
                // Only the commit index moved, which needs no sync: after a restart the leader
                // sends it again.
                assert!(entries.is_empty(), "entries always ask for a sync");
                let free = self.outbox.after_appends(held);
                actions.send.extend(free);
                self.raw.advance_append_async(ready);
                if self.outbox.appends_in_flight() == 0 {
                    self.raw.on_persist_ready(number);
                }
            }
            self.stand_down_without_vote();
        }
    }

    /// The hard state to write with an append. It includes the commit index if that moved since the
    /// last write. A node that has the entries after a committed change of the membership must not
    /// forget that the change was committed: it could win an election under the old membership.
    fn hard_state_to_write(
        &mut self,
        changed: Option<HardState>,
        must_sync: bool,
    ) -> Option<HardState> {
        let commit = self.raw.raft.raft_log.committed;
        let told = must_sync && commit > self.written_commit;
        let hard_state = changed.or_else(|| told.then(|| self.raw.raft.hard_state()));
        if must_sync && let Some(hard_state) = &hard_state {
            self.written_commit = hard_state.commit;
        }
        hard_state
    }

    /// Handles that all appends up to `number` are on disk.
    pub(super) fn persisted(&mut self, number: u64, actions: &mut Actions) {
        self.stall.ended();
        for durable in self.outbox.persisted(number) {
            if let Some((index, term)) = durable.last {
                self.raw.mut_store().synced(index, term);
            }
            actions.send.extend(durable.messages);
        }
        let released = self.outbox.released(number);
        self.hand_out(released, actions);
        self.raw.on_persist_ready(number);
        self.installed(number);
    }
}

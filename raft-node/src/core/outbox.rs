//! What waits for a sync: messages, entries that are to be applied, and the appends they wait for.

use std::collections::VecDeque;

use engine::ids::NodeId;
use raft::eraftpb::Entry;

use crate::message::PeerMessage;

/// An append that was handed out and not yet reported durable.
struct InFlight {
    number: u64,
    /// Last entry of the append, if it had entries.
    last: Option<(u64, u64)>,
    /// What may leave once it is durable.
    messages: Vec<(NodeId, PeerMessage)>,
}

#[derive(Default)]
pub(super) struct Outbox {
    in_flight: VecDeque<InFlight>,
    /// Committed entries, oldest first, and the number of the append that each of them waits for.
    to_apply: VecDeque<(u64, Vec<Entry>)>,
}

/// An append that became durable.
pub(super) struct Durable {
    pub(super) last: Option<(u64, u64)>,
    pub(super) messages: Vec<(NodeId, PeerMessage)>,
}

impl Outbox {
    pub(super) fn appends_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// An append was handed out; `messages` wait for it.
    pub(super) fn appended(
        &mut self,
        number: u64,
        last: Option<(u64, u64)>,
        messages: Vec<(NodeId, PeerMessage)>,
    ) {
        debug_assert!(self.in_flight.back().is_none_or(|before| before.number < number));
        self.in_flight.push_back(InFlight { number, last, messages });
    }

    /// Messages without an append of their own wait for those before them. Gives them back when
    /// nothing is in flight, so that they leave at once.
    pub(super) fn after_appends(
        &mut self,
        messages: Vec<(NodeId, PeerMessage)>,
    ) -> Vec<(NodeId, PeerMessage)> {
        match self.in_flight.back_mut() {
            Some(last) => {
                last.messages.extend(messages);
                Vec::new()
            }
            None => messages,
        }
    }

    /// Entries that change the membership are applied once that is durable, and all entries after
    /// them after them: a checkpoint with one of them in it must not be ahead of the membership
    /// that a restart begins with.
    pub(super) fn wait_for(&mut self, number: u64, committed: Vec<Entry>) {
        self.to_apply.push_back((number, committed));
    }

    /// Gives committed entries back when no entry before them waits, so that they are applied.
    pub(super) fn after_waiting(&mut self, committed: Vec<Entry>) -> Vec<Entry> {
        match self.to_apply.back_mut() {
            Some((_, before)) => {
                before.extend(committed);
                Vec::new()
            }
            None => committed,
        }
    }

    /// The entries that waited for an append up to `number`.
    pub(super) fn released(&mut self, number: u64) -> Vec<Entry> {
        let mut released = Vec::new();
        while self.to_apply.front().is_some_and(|(waited, _)| *waited <= number) {
            released.extend(self.to_apply.pop_front().expect("front was there").1);
        }
        released
    }

    /// A snapshot takes the place of all entries that wait.
    pub(super) fn drop_waiting(&mut self) {
        self.to_apply.clear();
    }

    /// All appends up to `number` are durable.
    pub(super) fn persisted(&mut self, number: u64) -> Vec<Durable> {
        let mut durable = Vec::new();
        while self.in_flight.front().is_some_and(|append| append.number <= number) {
            let append = self.in_flight.pop_front().expect("front was there");
            durable.push(Durable { last: append.last, messages: append.messages });
        }
        durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64) -> Vec<(NodeId, PeerMessage)> {
        vec![(NodeId(2), PeerMessage::Refused(vec![seq]))]
    }

    #[test]
    fn nothing_overtakes_the_sync_it_depends_on() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.after_appends(message(1)).len(), 1, "nothing to wait for");
        outbox.appended(5, Some((10, 1)), message(2));
        outbox.appended(6, None, message(3));
        assert!(outbox.after_appends(message(4)).is_empty());
        assert!(outbox.persisted(4).is_empty());
        let first = outbox.persisted(5);
        assert_eq!((first.len(), first[0].last), (1, Some((10, 1))));
        let second = outbox.persisted(6);
        assert_eq!(second[0].messages.len(), 2, "its own and the one that came after");
        assert_eq!(outbox.appends_in_flight(), 0);
    }
}

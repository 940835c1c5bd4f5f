//! Messages and committed entries that wait for a sync, and the appends that they wait for.

use std::collections::VecDeque;

use engine::ids::NodeId;
use raft::eraftpb::Entry;

use crate::message::PeerMessage;

/// An append that was handed out and not reported durable.
struct InFlight {
    number: u64,
    /// Last entry of the append, if it had entries.
    last: Option<(u64, u64)>,
    /// Messages that may leave once it is durable.
    messages: Vec<(NodeId, PeerMessage)>,
}

#[derive(Default)]
pub(super) struct Outbox {
    in_flight: VecDeque<InFlight>,
    /// The number of the append that was handed out last.
    newest: u64,
    /// Committed entries, oldest first, each with the number of the append that it waits for.
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

    /// The number of the append that was handed out last, 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The number of the oldest append that is not durable.
    pub(super) fn oldest_in_flight(&self) -> Option<u64> {
        self.in_flight.front().map(|append| append.number)
    }

    /// Registers an append that was handed out, with the messages that wait for it.
    pub(super) fn appended(
        &mut self,
        number: u64,
        last: Option<(u64, u64)>,
        messages: Vec<(NodeId, PeerMessage)>,
    ) {
        debug_assert!(self.in_flight.back().is_none_or(|before| before.number < number));
        self.newest = number;
        self.in_flight.push_back(InFlight { number, last, messages });
    }

    /// Queues messages without an append of their own behind those before them. Returns them when
    /// nothing is in flight, so they leave at once.
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

    /// Applies entries that change the membership once the change is durable, and all entries after
    /// them later. A checkpoint with such an entry must not be ahead of the membership that a
    /// restart begins with.
    pub(super) fn wait_for(&mut self, number: u64, committed: Vec<Entry>) {
        self.to_apply.push_back((number, committed));
    }

    /// Returns committed entries when no entry before them waits, so they are applied.
    pub(super) fn after_waiting(&mut self, committed: Vec<Entry>) -> Vec<Entry> {
        match self.to_apply.back_mut() {
            Some((_, before)) => {
                before.extend(committed);
                Vec::new()
            }
            None => committed,
        }
    }

    /// Returns the entries that waited for an append up to `number`.
    pub(super) fn released(&mut self, number: u64) -> Vec<Entry> {
        let mut released = Vec::new();
        while self.to_apply.front().is_some_and(|(waited, _)| *waited <= number) {
            released.extend(self.to_apply.pop_front().expect("front was there").1);
        }
        released
    }

    /// Drops all waiting entries, because a snapshot replaces them.
    pub(super) fn drop_waiting(&mut self) {
        self.to_apply.clear();
    }

    /// Marks all appends up to `number` as durable, and returns them.
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

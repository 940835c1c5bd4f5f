//! The open requests of this node.
//!
//! The core keeps a request, with its bytes, until its outcome is known or its deadline passes. It
//! sends the request again when the leader changes or did not take it. It does not send it again to
//! a leader that took it, however long that leader's log takes: that would only make the log
//! longer. The state machine applies each request id once, so sending again is always safe. A
//! request that was never sent is certainly not applied; the outcome of one that was sent is
//! unknown. The two are never mixed up.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::ids::NodeId;
use rustc_hash::FxHashMap;

use super::actions::NoOutcome;
use super::input::Request;
use crate::config::CoreConfig;
use crate::message::Forwarded;

/// One in so many places of the queue is for requests that add no rows.
const KEPT_BACK: usize = 16;

struct Open {
    envelope: Arc<[u8]>,
    deadline_ms: u64,
    /// When it was last sent, if ever.
    sent_at_ms: Option<u64>,
    /// Whether the leader of this term has it.
    taken: bool,
}

pub(super) struct Requests {
    node: NodeId,
    /// Read by key, or collected and sorted, so its order decides nothing.
    open: FxHashMap<u64, Open>,
    bytes: usize,
    unsent: Vec<u64>,
    count_max: usize,
    bytes_max: usize,
    resend_after_ms: u64,
    age_max_ms: u64,
    /// Sent requests with their time, oldest first. Settled and resent ones are skipped.
    sent: VecDeque<(u64, u64)>,
}

impl Requests {
    pub(super) fn new(node: NodeId, config: &CoreConfig) -> Requests {
        Requests {
            node,
            open: FxHashMap::default(),
            bytes: 0,
            unsent: Vec::new(),
            count_max: config.outstanding_max,
            bytes_max: config.outstanding_bytes_max,
            resend_after_ms: config.resend_after_ms,
            age_max_ms: config.outstanding_age_max_ms,
            sent: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns whether the bounds leave room for another request. A flood of orders leaves room for
    /// what settles, cancels or administers.
    pub(super) fn has_room(&self, request: &Request) -> bool {
        let count_max = self.count_max - kept_back(request, self.count_max);
        let bytes_max = self.bytes_max - kept_back(request, self.bytes_max);
        self.open.len() < count_max && self.bytes + request.envelope.len() <= bytes_max
    }

    /// Returns whether the oldest request that was sent to a leader waits too long for another one.
    pub(super) fn is_late(&mut self, request: &Request, now_ms: u64) -> bool {
        let age_max_ms = self.age_max_ms * if request.adds_rows { 1 } else { 2 };
        self.oldest_sent_ms().is_some_and(|at| now_ms >= at + age_max_ms)
    }

    fn oldest_sent_ms(&mut self) -> Option<u64> {
        while let Some((seq, at)) = self.sent.front() {
            if self.open.get(seq).is_some_and(|open| open.sent_at_ms == Some(*at)) {
                return Some(*at);
            }
            self.sent.pop_front();
        }
        None
    }

    pub(super) fn push(&mut self, request: Request) {
        self.bytes += request.envelope.len();
        self.unsent.push(request.seq);
        let open = Open {
            envelope: request.envelope,
            deadline_ms: request.deadline_ms,
            sent_at_ms: None,
            taken: false,
        };
        let before = self.open.insert(request.seq, open);
        assert!(before.is_none(), "node {} gave a sequence number twice", self.node);
    }

    /// Removes a request whose outcome is known.
    pub(super) fn remove(&mut self, seq: u64) {
        if let Some(open) = self.open.remove(&seq) {
            self.bytes -= open.envelope.len();
        }
    }

    /// Marks requests that the leader of this term took.
    pub(super) fn taken(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            if let Some(open) = self.open.get_mut(&seq) {
                open.taken = true;
            }
        }
    }

    /// Marks everything for sending, because the leader changed.
    pub(super) fn resend_all(&mut self) {
        for open in self.open.values_mut() {
            open.taken = false;
        }
        self.unsent = self.open.keys().copied().collect();
        self.unsent.sort_unstable();
    }

    /// Gives up the requests that were sent: they may be applied, now or later.
    pub(super) fn give_up_sent(&mut self) -> Vec<(u64, NoOutcome)> {
        let sent = self.open.iter().filter(|(_, open)| open.sent_at_ms.is_some());
        let mut sent: Vec<u64> = sent.map(|(seq, _)| *seq).collect();
        sent.sort_unstable();
        sent.iter().for_each(|seq| self.remove(*seq));
        sent.into_iter().map(|seq| (seq, NoOutcome::Unknown)).collect()
    }

    /// Handles a refusal: the addressee does not lead. It knows no better leader than we will hear
    /// of, so the requests wait for the next change of leader or the next resend.
    pub(super) fn refused(&mut self, seqs: &[u64]) {
        for seq in seqs {
            if let Some(open) = self.open.get_mut(seq)
                && open.sent_at_ms.is_some()
            {
                // Due at the next tick, not at once, to avoid a ping-pong with a confused peer.
                open.sent_at_ms = Some(0);
            }
        }
    }

    /// Takes the requests to send now, in order of arrival.
    pub(super) fn take_unsent(&mut self, now_ms: u64) -> Vec<Forwarded> {
        let unsent = std::mem::take(&mut self.unsent);
        let mut taken = Vec::with_capacity(unsent.len());
        for seq in unsent {
            if let Some(open) = self.open.get_mut(&seq) {
                open.sent_at_ms = Some(now_ms.max(1));
                self.sent.push_back((seq, now_ms.max(1)));
                taken.push(Forwarded { seq, envelope: Arc::clone(&open.envelope) });
            }
        }
        taken
    }

    /// Takes the requests that were never sent: they are certainly in no log.
    pub(super) fn take_never_sent(&mut self) -> Vec<u64> {
        let never = self.open.iter().filter(|(_, open)| open.sent_at_ms.is_none());
        let mut seqs: Vec<u64> = never.map(|(seq, _)| *seq).collect();
        seqs.sort_unstable();
        for seq in &seqs {
            self.remove(*seq);
        }
        seqs
    }

    /// Gives up all requests: this node will hear of no outcome any more.
    pub(super) fn give_up(&mut self) -> Vec<(u64, NoOutcome)> {
        for open in self.open.values_mut() {
            open.deadline_ms = 0;
        }
        self.expire(0)
    }

    /// At every tick: fails requests that are past their deadline, and marks unanswered ones for
    /// sending.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<(u64, NoOutcome)> {
        let mut failed = Vec::new();
        let mut silent = Vec::new();
        for (seq, open) in &self.open {
            if open.deadline_ms <= now_ms {
                let unsent = open.sent_at_ms.is_none();
                #[cfg(feature = "simulation")]
                let unsent = unsent
                    || crate::planted::is_planted(crate::planted::Bug::UnknownCalledNotApplied);
                failed.push((*seq, if unsent { NoOutcome::NoLeader } else { NoOutcome::Unknown }));
            } else if !open.taken
                && open.sent_at_ms.is_some_and(|at| at + self.resend_after_ms <= now_ms)
            {
                silent.push(*seq);
            }
        }
        failed.sort_unstable_by_key(|(seq, _)| *seq);
        for (seq, _) in &failed {
            self.remove(*seq);
        }
        if !silent.is_empty() {
            self.unsent.extend(silent);
            self.unsent.sort_unstable();
            self.unsent.dedup();
        }
        failed
    }
}

/// The part of a bound that a request may not use.
fn kept_back(request: &Request, bound: usize) -> usize {
    if request.adds_rows { bound / KEPT_BACK } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Requests {
        let config = CoreConfig { outstanding_max: 2, ..CoreConfig::default() };
        Requests::new(NodeId(1), &config)
    }

    fn request(seq: u64) -> Request {
        let adds_rows = true;
        Request { seq, envelope: Arc::from(&b"cmd"[..]), adds_rows, deadline_ms: 5_000 }
    }

    fn seqs(taken: &[Forwarded]) -> Vec<u64> {
        taken.iter().map(|forwarded| forwarded.seq).collect()
    }

    #[test]
    fn a_request_is_sent_once_and_again_when_the_leader_is_silent_or_changes() {
        let mut requests = requests();
        requests.push(request(1));
        assert_eq!(seqs(&requests.take_unsent(100)), vec![1]);
        assert!(requests.take_unsent(100).is_empty());
        assert!(requests.expire(1_000).is_empty());
        assert!(requests.take_unsent(1_000).is_empty(), "not silent for long enough");
        assert!(requests.expire(1_100).is_empty());
        assert_eq!(seqs(&requests.take_unsent(1_100)), vec![1]);
        requests.taken([1, 99]);
        assert!(requests.expire(4_000).is_empty());
        assert!(requests.take_unsent(4_000).is_empty(), "the leader has it");
        requests.resend_all();
        assert_eq!(seqs(&requests.take_unsent(4_100)), vec![1]);
        assert!(requests.expire(4_900).is_empty());
        assert!(requests.take_unsent(4_900).is_empty());
        assert!(requests.expire(4_990).is_empty());
        requests.resend_all();
        assert_eq!(seqs(&requests.take_unsent(4_995)), vec![1]);
        requests.remove(1);
        requests.resend_all();
        assert!(requests.take_unsent(9_999).is_empty());
    }

    #[test]
    fn never_sent_is_certain_and_sent_is_unknown() {
        let mut requests = requests();
        requests.push(request(1));
        requests.take_unsent(10);
        requests.push(request(2));
        assert!(!requests.has_room(&request(3)));
        assert_eq!(requests.expire(5_000), vec![(1, NoOutcome::Unknown), (2, NoOutcome::NoLeader)]);
        assert_eq!(requests.len(), 0);
        assert!(requests.has_room(&request(3)));
    }

    #[test]
    fn a_queue_that_is_too_old_takes_no_more_but_waiting_for_a_leader_does_not_count() {
        let mut requests = requests();
        requests.push(request(1));
        assert!(!requests.is_late(&request(2), 4_000), "nobody leads: there is no queue");
        requests.take_unsent(4_000);
        requests.taken([1]);
        assert!(!requests.is_late(&request(2), 4_999));
        assert!(requests.is_late(&request(2), 5_000));
        requests.resend_all();
        requests.take_unsent(5_000);
        assert!(!requests.is_late(&request(2), 5_000), "another leader, another queue");
        requests.remove(1);
        assert!(!requests.is_late(&request(2), 9_000));
        assert_eq!(requests.oldest_sent_ms(), None);
    }

    #[test]
    fn a_flood_of_orders_leaves_room_for_payments_and_cancels() {
        let config = CoreConfig { outstanding_max: 32, ..CoreConfig::default() };
        let mut requests = Requests::new(NodeId(1), &config);
        let other = |seq| Request { adds_rows: false, ..request(seq) };
        (1..=30).for_each(|seq| requests.push(request(seq)));
        assert!(!requests.has_room(&request(31)) && requests.has_room(&other(31)));
        requests.push(other(31));
        requests.push(other(32));
        assert!(!requests.has_room(&other(33)), "that is bounded too");
        requests.take_unsent(1);
        assert!(requests.is_late(&request(33), 1_001) && !requests.is_late(&other(33), 1_001));
        assert!(requests.is_late(&other(33), 2_001));
    }

    #[test]
    fn a_refusal_brings_the_next_sending_forward() {
        let mut requests = requests();
        requests.push(request(1));
        requests.take_unsent(2_000);
        requests.refused(&[1, 77]);
        assert!(requests.expire(2_050).is_empty());
        assert_eq!(seqs(&requests.take_unsent(2_050)), vec![1]);
    }
}

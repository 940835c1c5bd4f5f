//! The read barrier: batched ReadIndex (raft thesis 6.4).
//!
//! One read index request is open at a time. It serves all readers that came before it was sent;
//! later readers wait for the next. raft drops requests silently without a leader, or before the
//! leader's first commit of its term, so an unanswered request is sent again under a new context.
//!
//! The leader appends its clock to the context when the request arrives. The answer proves that it
//! led at that moment, so no entry that was committed before had a later clock, except those that
//! the reader's state has applied by then.
//! An answer to an earlier request still serves its readers. Otherwise nobody could read where an
//! answer takes longer than the retry interval.

use engine::ids::{NodeId, Timestamp};
use raft::{RawNode, ReadState, StateRole};

use super::actions::ReadsReady;
use super::input::ReadTicket;
use crate::log::view::LogView;

/// The size of a context without a clock: node, boot, number.
const CONTEXT_BYTES: usize = 24;

/// Appends the leader's clock to the context of a request, unless it has one.
pub(super) fn stamp(context: &mut Vec<u8>, clock: Timestamp) {
    if context.len() == CONTEXT_BYTES {
        context.extend_from_slice(&clock.0.to_le_bytes());
    }
}

pub(super) struct Reads {
    node: NodeId,
    boot: u64,
    retry_after_ms: u64,
    /// The number of the newest request.
    asked: u64,
    /// When that request was sent, while it is open.
    asked_at_ms: Option<u64>,
    /// Readers without a request yet.
    waiting: Vec<Reader>,
    /// Readers by request. An answer to that request or a later one serves them.
    served_by: Vec<(u64, Reader)>,
}

struct Reader {
    ticket: ReadTicket,
    deadline_ms: u64,
}

impl Reads {
    pub(super) fn new(node: NodeId, boot: u64, retry_after_ms: u64) -> Reads {
        let (waiting, served_by) = (Vec::new(), Vec::new());
        Reads { node, boot, retry_after_ms, asked: 0, asked_at_ms: None, waiting, served_by }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.served_by.len()
    }

    pub(super) fn push(&mut self, ticket: ReadTicket, deadline_ms: u64) {
        self.waiting.push(Reader { ticket, deadline_ms });
    }

    /// Asks the new leader, since the former one may never answer.
    pub(super) fn leader_changed(&mut self) {
        self.asked_at_ms = None;
    }

    /// Sends a request for all waiting readers, if none is open and there is a leader. `clock` is
    /// the clock of this node, if it leads and knows the time.
    pub(super) fn ask(
        &mut self,
        now_ms: u64,
        clock: Option<Timestamp>,
        raw: &mut RawNode<LogView>,
    ) {
        if self.asked_at_ms.is_some_and(|asked_ms| asked_ms + self.retry_after_ms <= now_ms) {
            self.asked_at_ms = None;
        }
        let raft = &raw.raft;
        // A leader that has not committed in its term would drop the request.
        let too_early = raft.state == StateRole::Leader && !raft.commit_to_current_term();
        if self.asked_at_ms.is_some()
            || self.len() == 0
            || raft.leader_id == raft::INVALID_ID
            || too_early
        {
            return;
        }
        self.asked += 1;
        let mut context = self.context(self.asked);
        if let Some(clock) = clock {
            stamp(&mut context, clock);
        }
        raw.read_index(context);
        let number = self.asked;
        self.served_by.extend(self.waiting.drain(..).map(|reader| (number, reader)));
        self.asked_at_ms = Some(now_ms);
    }

    fn context(&self, question: u64) -> Vec<u8> {
        [self.node.0, self.boot, question].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Takes an answer. Returns the readers that it serves.
    pub(super) fn answered(&mut self, state: &ReadState) -> Option<ReadsReady> {
        let (context, clock) = state.request_ctx.split_at_checked(CONTEXT_BYTES)?;
        let (_, number) = context.split_last_chunk()?;
        let number = u64::from_le_bytes(*number);
        // It belongs to another node, to a former process, or to no request at all.
        if context != self.context(number) || number > self.asked {
            return None;
        }
        let leader_clock = clock.try_into().ok().map(|bytes| Timestamp(u64::from_le_bytes(bytes)));
        if number == self.asked {
            self.asked_at_ms = None;
        }
        // Readers are in the order of requests, so the served ones stand first.
        let served = self.served_by.partition_point(|(first, _)| *first <= number);
        let tickets = self.served_by.drain(..served).map(|(_, reader)| reader.ticket).collect();
        Some(ReadsReady { index: state.index, leader_clock, tickets })
    }

    /// Fails all readers.
    pub(super) fn give_up(&mut self) -> Vec<ReadTicket> {
        self.asked_at_ms = None;
        let asked = self.served_by.drain(..).map(|(_, reader)| reader);
        asked.chain(self.waiting.drain(..)).map(|reader| reader.ticket).collect()
    }

    /// At every tick: fails readers that are past their deadline.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<ReadTicket> {
        let mut expired = Vec::new();
        let mut keep = |reader: &Reader| {
            let late = reader.deadline_ms <= now_ms;
            if late {
                expired.push(reader.ticket);
            }
            !late
        };
        self.waiting.retain(&mut keep);
        self.served_by.retain(|(_, reader)| keep(reader));
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads() -> Reads {
        let mut reads = Reads::new(NodeId(1), 7, 250);
        reads.asked = 2;
        for (question, ticket) in [(1, 10), (2, 20), (2, 21)] {
            let reader = Reader { ticket, deadline_ms: 1_000 };
            reads.served_by.push((question, reader));
        }
        reads.waiting.push(Reader { ticket: 30, deadline_ms: 1_000 });
        reads.asked_at_ms = Some(0);
        reads
    }

    fn answer(context: Vec<u8>) -> ReadState {
        ReadState { index: 5, request_ctx: context }
    }

    /// Where a barrier takes longer than the retry interval, each answer is one to an earlier
    /// request. When such answers were ignored, no read ever got its barrier.
    #[test]
    fn a_late_answer_serves_those_who_came_before_its_question() {
        let mut reads = reads();
        let ready = |leader_clock, tickets| Some(ReadsReady { index: 5, leader_clock, tickets });
        let first = answer(reads.context(1));
        assert_eq!(reads.answered(&first), ready(None, vec![10]));
        assert!(reads.asked_at_ms.is_some(), "the second question is still under way");
        assert_eq!(reads.answered(&first), ready(None, Vec::new()), "it serves nobody else");
        let mut second = reads.context(2);
        stamp(&mut second, Timestamp(77));
        let stamped = second.clone();
        stamp(&mut second, Timestamp(99));
        assert_eq!(second, stamped, "the first leader's clock counts");
        assert_eq!(reads.answered(&answer(second)), ready(Some(Timestamp(77)), vec![20, 21]));
        assert_eq!(reads.len(), 1, "who came after both waits for the next");
    }

    #[test]
    fn answers_to_others_and_to_former_lives_serve_nobody() {
        let mut reads = reads();
        let life_before = Reads::new(NodeId(1), 6, 250).context(2);
        let other = Reads::new(NodeId(2), 7, 250).context(2);
        for context in [life_before, other, reads.context(3), vec![1; 8], Vec::new()] {
            assert_eq!(reads.answered(&answer(context)), None);
        }
        assert_eq!(reads.len(), 4);
    }
}

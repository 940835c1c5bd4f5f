//! The read barrier: batched ReadIndex (raft thesis 6.4).
//!
//! One question is under way at a time and serves all readers that came before it was asked; those
//! who come later wait for the next. raft drops questions silently without a leader, or before the
//! leader's first commit of its term, so an unanswered one is asked again under a new context.

use engine::ids::NodeId;
use raft::{RawNode, ReadState, StateRole};

use super::ReadTicket;
use crate::log::view::LogView;

pub(super) struct Reads {
    node: NodeId,
    boot: u64,
    retry_after_ms: u64,
    asked: u64,
    waiting: Vec<(ReadTicket, u64)>,
    in_flight: Option<Question>,
}

struct Question {
    context: Vec<u8>,
    asked_at_ms: u64,
    readers: Vec<(ReadTicket, u64)>,
}

impl Reads {
    pub(super) fn new(node: NodeId, boot: u64, retry_after_ms: u64) -> Reads {
        Reads { node, boot, retry_after_ms, asked: 0, waiting: Vec::new(), in_flight: None }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.in_flight.as_ref().map_or(0, |question| question.readers.len())
    }

    pub(super) fn push(&mut self, ticket: ReadTicket, deadline_ms: u64) {
        self.waiting.push((ticket, deadline_ms));
    }

    /// The answer of a former leader may never come; ask the new one.
    pub(super) fn leader_changed(&mut self) {
        self.take_back();
    }

    fn take_back(&mut self) {
        if let Some(question) = self.in_flight.take() {
            self.waiting.extend(question.readers);
        }
    }

    /// Asks for all that wait, if nothing is under way and somebody leads.
    pub(super) fn ask(&mut self, now_ms: u64, raw: &mut RawNode<LogView>) {
        let silent = |question: &Question| question.asked_at_ms + self.retry_after_ms <= now_ms;
        if self.in_flight.as_ref().is_some_and(silent) {
            self.take_back();
        }
        let raft = &raw.raft;
        // A leader that has not committed in its term yet would drop the question.
        let too_early = raft.state == StateRole::Leader && !raft.commit_to_current_term();
        if self.in_flight.is_some()
            || self.waiting.is_empty()
            || raft.leader_id == raft::INVALID_ID
            || too_early
        {
            return;
        }
        self.asked += 1;
        let mut context = Vec::with_capacity(24);
        for number in [self.node.0, self.boot, self.asked] {
            context.extend_from_slice(&number.to_le_bytes());
        }
        raw.read_index(context.clone());
        let readers = std::mem::take(&mut self.waiting);
        self.in_flight = Some(Question { context, asked_at_ms: now_ms, readers });
    }

    /// An answer. Those to questions that were given up are ignored.
    pub(super) fn answered(&mut self, state: &ReadState) -> Option<(u64, Vec<ReadTicket>)> {
        let question = self.in_flight.take_if(|question| question.context == state.request_ctx)?;
        let tickets = question.readers.into_iter().map(|(ticket, _)| ticket).collect();
        Some((state.index, tickets))
    }

    /// Gives all readers up.
    pub(super) fn give_up(&mut self) -> Vec<ReadTicket> {
        self.take_back();
        self.waiting.drain(..).map(|(ticket, _)| ticket).collect()
    }

    /// At every tick: gives up readers that are past their deadline.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<ReadTicket> {
        let mut expired = Vec::new();
        let mut keep = |(ticket, deadline_ms): &(ReadTicket, u64)| {
            let late = *deadline_ms <= now_ms;
            if late {
                expired.push(*ticket);
            }
            !late
        };
        self.waiting.retain(&mut keep);
        if let Some(question) = &mut self.in_flight {
            question.readers.retain(&mut keep);
        }
        expired
    }
}

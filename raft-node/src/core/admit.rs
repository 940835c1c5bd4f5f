//! Which messages of raft's reach raft.
//!
//! raft-rs ends the process over some messages that no sound peer sends. So they are looked at
//! first: what must not be is dropped and counted by kind and reason, which to raft is a message
//! that was lost. Nothing here changes anything but the counters.
//!
//! One refusal means more. A leader tells a follower no commit index beyond what that follower
//! acknowledged to it. If it is beyond the end of this log, this node has lost entries that it
//! acknowledged: its data was put back from a copy, or its disk lied. It must not vote or
//! acknowledge any more. A leader drops the rejection of such a follower, since raft would answer
//! with the missing entries; so the follower hears the heartbeat.

use ::engine::actor::Actor;
use ::engine::command::{Command, Envelope};
use ::engine::ids::{NodeId, Position};
use raft::StateRole;
use raft::eraftpb::{Message, MessageType};

use super::Core;
use super::actions::{Actions, RolledBack, Why};
use crate::log::view::entry_bytes;
use crate::message::Forwarded;

/// No term is above this.
const TERM_MAX: u64 = 1 << 62;
/// How far the term of a peer may be ahead of that of a node that has one.
const TERM_AHEAD_MAX: u64 = 1 << 20;
/// Bytes that a message of entries may have beyond what senders aim at.
const APPEND_BYTES_EXTRA: u64 = 64 << 10;

/// The parts of the core's state that decide about a message.
#[derive(Clone, Copy, Debug)]
struct Facts {
    node: NodeId,
    term: u64,
    last_index: u64,
    leads: bool,
    /// Up to this index the sender acknowledged to this leader what is committed.
    acknowledged: u64,
    append_bytes_max: u64,
}

fn judge(message: &Message, from: NodeId, facts: &Facts) -> Result<(), Why> {
    use MessageType::*;
    let kind = message.get_msg_type();
    if (message.from, message.to) != (from.0, facts.node.0) {
        return Err(Why::Address);
    }
    let is_ahead = facts.term > 0 && message.term > facts.term.saturating_add(TERM_AHEAD_MAX);
    if message.term > TERM_MAX || is_ahead {
        return Err(Why::Term);
    }
    let is_beyond = |index: u64| index > facts.last_index;
    match kind {
        MsgAppend => judge_entries(message, facts.append_bytes_max),
        MsgHeartbeat if message.term >= facts.term && is_beyond(message.commit) => {
            Err(Why::BeyondLog)
        }
        // Raft ignores a message to the leader of another term.
        MsgAppendResponse
            if facts.leads && message.term == facts.term && is_beyond(message.index) =>
        {
            Err(Why::BeyondLog)
        }
        // Even a late rejection of a sound follower names an entry that both logs have.
        MsgAppendResponse
            if facts.leads
                && message.term == facts.term
                && message.reject
                && message.reject_hint < facts.acknowledged =>
        {
            Err(Why::BelowAcknowledged)
        }
        // raft looks at the first entry without asking whether there is one.
        MsgReadIndex | MsgReadIndexResp if message.entries.len() != 1 => Err(Why::Entries),
        MsgHeartbeat
        | MsgHeartbeatResponse
        | MsgAppendResponse
        | MsgRequestVote
        | MsgRequestVoteResponse
        | MsgRequestPreVote
        | MsgRequestPreVoteResponse
        | MsgTimeoutNow
        | MsgSnapshot
        | MsgReadIndex
        | MsgReadIndexResp => Ok(()),
        MsgHup | MsgBeat | MsgPropose | MsgUnreachable | MsgSnapStatus | MsgCheckQuorum
        | MsgTransferLeader => Err(Why::Kind),
    }
}

/// The entries of an append follow its index, and their terms do not fall. Whether they contradict
/// what is committed raft asks itself: it takes no append that begins before its commit index.
fn judge_entries(message: &Message, append_bytes_max: u64) -> Result<(), Why> {
    let (mut index, mut term) = (message.index, message.log_term);
    for entry in &message.entries {
        if index.checked_add(1) != Some(entry.index) || entry.term < term {
            return Err(Why::Entries);
        }
        (index, term) = (entry.index, entry.term);
    }
    if term > message.term {
        return Err(Why::Entries);
    }
    // One entry may be of any size that a frame has.
    let all_but_last = message.entries.split_last().map_or(&[][..], |(_, before)| before);
    let bytes: u64 = all_but_last.iter().map(|entry| entry_bytes(entry) as u64).sum();
    let overhead = 64 * all_but_last.len() as u64;
    match bytes > append_bytes_max.saturating_add(APPEND_BYTES_EXTRA + overhead) {
        true => Err(Why::Size),
        false => Ok(()),
    }
}

fn judge_command(from: NodeId, seq: u64, envelope: &Envelope) -> Result<(), Why> {
    let Envelope { request, actor, command, .. } = envelope;
    let is_own = (request.node, request.seq) == (from, seq);
    let is_anothers_root = matches!(actor, Actor::Root(node) if *node != from);
    match command {
        Command::RaiseLevel(_) | Command::BeginCluster(_) => Err(Why::Command),
        _ if !is_own || is_anothers_root => Err(Why::Address),
        _ => Ok(()),
    }
}

impl Core {
    /// Whether raft may see this message. What it may not is counted.
    pub(super) fn admits(
        &mut self,
        from: NodeId,
        message: &Message,
        actions: &mut Actions,
    ) -> bool {
        let raft = &self.raw.raft;
        let facts = Facts {
            node: self.node,
            term: raft.term,
            last_index: raft.raft_log.last_index(),
            leads: raft.state == StateRole::Leader,
            acknowledged: match message.reject {
                true => raft.prs().get(from.0).map_or(0, |progress| progress.matched),
                false => 0,
            }
            .min(raft.raft_log.committed),
            append_bytes_max: self.config.append_message_bytes_max,
        };
        let Err(why) = judge(message, from, &facts) else { return true };
        let kind = message.get_msg_type();
        // An index that no log has is a lie, and shows nothing about this one.
        let can_be = message.commit <= Position::INDEX_MAX;
        if (kind, why) == (MessageType::MsgHeartbeat, Why::BeyondLog) && can_be {
            actions.rolled_back = Some(RolledBack::Entries {
                peer: from,
                acknowledged: message.commit,
                term: message.term,
                last_index: facts.last_index,
            });
        }
        self.count_refused(from, kind, why);
        false
    }

    /// Whether a forwarded command may enter the log. All nodes stop at an entry that they cannot
    /// read, also after each restart. A frame has a checksum, so only a peer with a bug sends one.
    /// A node forwards its own requests alone: with the number of another one it could make that
    /// node's requests count as applied. Who asked that node, only it knows; but the root token of
    /// a node is none of another's.
    pub(super) fn admits_command(&mut self, from: NodeId, forwarded: &Forwarded) -> bool {
        let judged = match Envelope::decode(&forwarded.envelope) {
            Ok((_, envelope)) => judge_command(from, forwarded.seq, &envelope),
            Err(_) => Err(Why::Command),
        };
        if let Err(why) = judged {
            self.count_refused(from, MessageType::MsgPropose, why);
        }
        judged.is_ok()
    }

    fn count_refused(&mut self, from: NodeId, kind: MessageType, why: Why) {
        let count = self.refused.entry((kind as i32, why)).or_default();
        *count += 1;
        // The first, and then ever fewer.
        if count.is_power_of_two() {
            tracing::warn!(
                node = self.node.0,
                from = from.0,
                kind = ?kind,
                why = why.as_str(),
                count,
                "a message of a peer is refused"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use raft::eraftpb::Entry;

    use super::*;

    const FACTS: Facts = Facts {
        node: NodeId(1),
        term: 5,
        last_index: 10,
        leads: false,
        acknowledged: 0,
        append_bytes_max: 1_000,
    };

    fn message(kind: MessageType) -> Message {
        let mut message = Message { from: 2, to: 1, term: 5, ..Message::default() };
        message.set_msg_type(kind);
        message
    }

    fn append(entries: &[(u64, u64, usize)]) -> Message {
        let mut message = message(MessageType::MsgAppend);
        (message.index, message.log_term) = (10, 4);
        let entry = |(index, term, bytes): &(u64, u64, usize)| Entry {
            index: *index,
            term: *term,
            data: vec![0; *bytes].into(),
            ..Entry::default()
        };
        message.entries = entries.iter().map(entry).collect::<Vec<_>>().into();
        message
    }

    fn judged(message: &Message) -> Result<(), Why> {
        judge(message, NodeId(2), &FACTS)
    }

    #[test]
    fn only_kinds_that_peers_send_reach_raft() {
        use MessageType::*;
        for kind in [MsgHeartbeat, MsgRequestVote, MsgRequestPreVoteResponse, MsgTimeoutNow] {
            assert_eq!(judged(&message(kind)), Ok(()), "{kind:?}");
        }
        for kind in [MsgPropose, MsgHup, MsgBeat, MsgTransferLeader, MsgCheckQuorum] {
            assert_eq!(judged(&message(kind)), Err(Why::Kind), "{kind:?}");
        }
        assert_eq!(judged(&message(MsgReadIndex)), Err(Why::Entries));
    }

    #[test]
    fn a_node_forwards_its_own_requests_alone() {
        use ::engine::ids::RequestId;
        use ::engine::trace::TraceId;

        let envelope = |node, seq, actor| Envelope {
            request: RequestId { node: NodeId(node), boot: 1, seq },
            trace: TraceId::NONE,
            actor,
            command: Command::Tick,
        };
        let judged = |envelope: Envelope| judge_command(NodeId(2), 7, &envelope);
        assert_eq!(judged(envelope(2, 7, Actor::Root(NodeId(2)))), Ok(()));
        assert_eq!(judged(envelope(3, 7, Actor::Nobody)), Err(Why::Address));
        assert_eq!(judged(envelope(2, 8, Actor::Nobody)), Err(Why::Address));
        assert_eq!(judged(envelope(2, 7, Actor::Root(NodeId(1)))), Err(Why::Address));
    }

    #[test]
    fn a_message_speaks_for_its_sender_in_a_term_that_can_be() {
        let heartbeat = message(MessageType::MsgHeartbeat);
        assert_eq!(judge(&heartbeat, NodeId(3), &FACTS), Err(Why::Address));
        for (term, judged_so) in [
            (5 + TERM_AHEAD_MAX, Ok(())),
            (6 + TERM_AHEAD_MAX, Err(Why::Term)),
            (u64::MAX, Err(Why::Term)),
        ] {
            let message = Message { term, ..heartbeat.clone() };
            assert_eq!(judged(&message), judged_so, "{term}");
        }
        let new = Facts { term: 0, ..FACTS };
        let ahead = Message { term: TERM_MAX, ..heartbeat };
        assert_eq!(judge(&ahead, NodeId(2), &new), Ok(()), "a new node takes the term there is");
    }

    #[test]
    fn what_the_log_does_not_have_is_neither_committed_nor_acknowledged() {
        let at = |kind, index| Message { index, commit: index, ..message(kind) };
        let (heartbeat, response) = (MessageType::MsgHeartbeat, MessageType::MsgAppendResponse);
        assert_eq!(judged(&at(heartbeat, 10)), Ok(()));
        assert_eq!(judged(&at(heartbeat, 11)), Err(Why::BeyondLog));
        let former = Message { term: 4, ..at(heartbeat, 11) };
        assert_eq!(judged(&former), Ok(()), "raft passes over a former leader");
        assert_eq!(judged(&at(response, 11)), Ok(()), "it is for a leader");
        let leader = Facts { leads: true, ..FACTS };
        assert_eq!(judge(&at(response, 11), NodeId(2), &leader), Err(Why::BeyondLog));
        assert_eq!(judge(&at(response, 10), NodeId(2), &leader), Ok(()));
    }

    #[test]
    fn a_leader_goes_back_to_no_entry_that_the_follower_acknowledged() {
        let leader = Facts { leads: true, acknowledged: 7, ..FACTS };
        let response = message(MessageType::MsgAppendResponse);
        let rejected = |reject_hint| Message { reject: true, reject_hint, ..response.clone() };
        assert_eq!(judge(&rejected(7), NodeId(2), &leader), Ok(()));
        assert_eq!(judge(&rejected(6), NodeId(2), &leader), Err(Why::BelowAcknowledged));
        let former = Message { term: 4, ..rejected(6) };
        assert_eq!(judge(&former, NodeId(2), &leader), Ok(()), "it is for another term");
        let accepted = Message { index: 6, ..response.clone() };
        assert_eq!(judge(&accepted, NodeId(2), &leader), Ok(()), "it came late");
    }

    #[test]
    fn entries_follow_each_other_and_are_not_too_many() {
        assert_eq!(judged(&append(&[])), Ok(()));
        assert_eq!(judged(&append(&[(11, 4, 5), (12, 5, 5)])), Ok(()));
        assert_eq!(judged(&append(&[(12, 5, 5)])), Err(Why::Entries), "a gap");
        assert_eq!(judged(&append(&[(11, 3, 5)])), Err(Why::Entries), "its term falls");
        assert_eq!(judged(&append(&[(11, 6, 5)])), Err(Why::Entries), "a term to come");
        let most = (1_000 + APPEND_BYTES_EXTRA) as usize;
        assert_eq!(judged(&append(&[(11, 5, 9 * most)])), Ok(()), "one may be large");
        assert_eq!(judged(&append(&[(11, 5, most), (12, 5, 0)])), Ok(()));
        let large = append(&[(11, 5, most + 200), (12, 5, 0)]);
        assert_eq!(judged(&large), Err(Why::Size));
    }
}

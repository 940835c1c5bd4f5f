//! What the nodes of a world do, one line each, for golden scripts.
//!
//! `n1@2` is node 1 in term 2, `7@2` the entry of term 2 at index 7, and `n1#5` the request that
//! node 1 took under number 5. An arrow leads from a sender to a receiver: a node, a client of the
//! node, or an operator.

use std::collections::BTreeMap;

use ::engine::command::Envelope;
use ::engine::entry;
use ::engine::ids::NodeId;
use protobuf::Message as _;
use raft::StateRole;
use raft::eraftpb::{ConfChangeV2, Entry, Message, MessageType};

use crate::core::{Append, Core, Input};
use crate::members::is_change;
use crate::members::{Ask, Change, Membership, Verdict};
use crate::message::PeerMessage;

/// The lines since they were last taken.
#[derive(Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    /// Whether all heartbeats are shown, not only those that carry a read and arrive.
    pub(super) heartbeats: bool,
    /// Each node's term, role, leader and commit index as they were shown last.
    seen: BTreeMap<u64, (u64, StateRole, u64, u64)>,
}

impl Trace {
    pub(super) fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Takes all lines.
    pub(super) fn take(&mut self) -> String {
        self.lines.drain(..).map(|line| line + "\n").collect()
    }

    /// Starts to follow a node from the state that it is in.
    pub(super) fn starts(&mut self, id: u64, core: &Core) {
        self.seen.insert(id, state(core));
    }

    /// Shows what a step changed in a node's role, term, leader and commit index.
    pub(super) fn stepped(&mut self, id: u64, core: &Core) {
        let now = state(core);
        let (term, role, leader, commit) = now;
        let before = self.seen.insert(id, now).unwrap_or((0, StateRole::Follower, 0, 0));
        if (before.0, before.1, before.2) != (term, role, leader) {
            let role = match role {
                StateRole::PreCandidate => "becomes pre-candidate".into(),
                StateRole::Candidate => "becomes candidate".into(),
                StateRole::Leader => "becomes leader".into(),
                StateRole::Follower if leader == raft::INVALID_ID => "follows nobody".into(),
                StateRole::Follower => format!("follows n{leader}"),
            };
            self.push(format!("n{id}@{term} {role}"));
        }
        if before.3 != commit {
            let entry = core.raw.raft.raft_log.term(commit).map(|term| place(commit, term));
            let entry = entry.unwrap_or_else(|_| format!("{commit}, covered by a snapshot"));
            self.push(format!("n{id}@{term} commit {entry}"));
        }
    }

    /// Whether a message gets a line. Heartbeats do when they carry a read and arrive, or on
    /// demand.
    pub(super) fn shows(&self, message: &PeerMessage, lost: bool) -> bool {
        let PeerMessage::Raft(message) = message else { return true };
        let kind = message.get_msg_type();
        let is_heartbeat =
            matches!(kind, MessageType::MsgHeartbeat | MessageType::MsgHeartbeatResponse);
        self.heartbeats || !is_heartbeat || !message.context.is_empty() && !lost
    }
}

fn state(core: &Core) -> (u64, StateRole, u64, u64) {
    let raft = &core.raw.raft;
    (raft.term, raft.state, raft.leader_id, raft.raft_log.committed)
}

fn place(index: u64, term: u64) -> String {
    format!("{index}@{term}")
}

fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(" ")
}

/// What a client or an operator asks a node for. Other inputs follow from lines before.
pub(super) fn asked(id: u64, input: &Input) -> Option<String> {
    match input {
        Input::Propose(request) => Some(format!("client -> n{id} propose n{id}#{}", request.seq)),
        Input::Read { ticket, .. } => Some(format!("client -> n{id} read #{ticket}")),
        Input::Ask { ticket, ask, .. } => {
            Some(format!("operator -> n{id} ask #{ticket}: {}", self::ask(ask)))
        }
        _ => None,
    }
}

fn ask(ask: &Ask) -> String {
    match ask {
        Ask::Change(change) => self::change(change),
        Ask::AcceptClock => "accept the clocks".to_owned(),
        Ask::Transfer { from, to: Some(to) } => {
            format!("transfer leadership from n{from} to n{to}")
        }
        Ask::Transfer { from, to: None } => format!("transfer leadership from n{from}"),
        Ask::Add { member, speaks } => format!("add n{} that speaks level {speaks}", member.id),
        Ask::Raise { to } => format!("raise the level to {to}"),
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::Add(member) => match member.replaces {
            Some(replaced) => format!("add n{}, replacing n{replaced}", member.id),
            None => format!("add n{}", member.id),
        },
        Change::Promote(id) => format!("promote n{id}"),
        Change::Remove(id) => format!("remove n{id}"),
        Change::Move { id, raft_addr, .. } => format!("move n{id} to {raft_addr}"),
    }
}

pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Ok(index) => format!("done at {index}"),
        Err(refusal) => format!("refused: {refusal}"),
    }
}

/// Who belongs to the cluster, and in what role.
pub(super) fn members(members: &Membership) -> String {
    let list = |name: &str, ids: &[NodeId]| {
        let ids = joined(ids.iter().map(|id| format!("n{id}")));
        (!ids.is_empty()).then(|| format!("{name}=[{ids}]"))
    };
    let lists = [
        list("voters", &members.voters),
        list("outgoing", &members.voters_outgoing),
        list("learners", &members.learners),
        list("removed", &members.removed),
    ];
    joined(lists.into_iter().flatten())
}

/// An entry and what is in it.
pub(super) fn entry(entry: &Entry) -> String {
    let content = if is_change(entry) {
        let steps = ConfChangeV2::parse_from_bytes(&entry.data).expect("well formed");
        let change = Change::of(&steps).expect("well formed");
        change.map_or("end joint phase".into(), |change| self::change(&change))
    } else if entry.data.is_empty() {
        "empty".into()
    } else {
        let parsed = entry::Entry::parse(&entry.data).expect("well formed");
        joined(parsed.envelopes.iter().map(|envelope| {
            let request = Envelope::decode(envelope).expect("well formed").1.request;
            format!("n{}#{}", request.node, request.seq)
        }))
    };
    format!("{} {content}", place(entry.index, entry.term))
}

/// What an append puts into the log.
pub(super) fn append(append: &Append) -> String {
    let installed = append.install.iter().map(|install| {
        format!("snapshot {} in the place of the log", place(install.index, install.term))
    });
    let mut parts: Vec<String> = installed.chain(append.entries.iter().map(self::entry)).collect();
    if let Some(state) = &append.hard_state {
        let vote = if state.vote == 0 { "nobody".into() } else { format!("n{}", state.vote) };
        parts.push(format!("term={} vote={vote} commit={}", state.term, state.commit));
    }
    parts.extend(append.members.iter().map(|members| format!("members of {}", members.index)));
    parts.extend(append.keep.iter().map(|keep| format!("memory {}", keep.number)));
    parts.join(", ")
}

/// A message without its sender and receiver.
pub(super) fn message(message: &PeerMessage) -> String {
    let numbers = |name: &str, seqs: &mut dyn Iterator<Item = u64>| {
        joined([name.to_string()].into_iter().chain(seqs.map(|seq| format!("#{seq}"))))
    };
    match message {
        PeerMessage::Raft(message) => raft_message(message),
        PeerMessage::Forward(commands) => {
            numbers("Forward", &mut commands.iter().map(|forwarded| forwarded.seq))
        }
        PeerMessage::Taken { seqs, .. } => numbers("Taken", &mut seqs.iter().copied()),
        PeerMessage::Refused(seqs) => numbers("Refused", &mut seqs.iter().copied()),
        PeerMessage::Room { low, refuses } => format!("Room low={low} refuses={refuses}"),
        PeerMessage::Memory { full } => format!("Memory full={full}"),
        PeerMessage::Ask { ticket, ask } => format!("Ask #{ticket}: {}", self::ask(ask)),
        PeerMessage::Removed => "Removed".into(),
        PeerMessage::About { boot, run } => format!("About boot={boot} run={run}"),
        PeerMessage::Remembered { run, remembered } => {
            format!("Remembered run={run} {remembered:?}")
        }
        PeerMessage::Progress { index, term } => format!("Progress {}", place(*index, *term)),
        PeerMessage::Verdict { ticket, verdict } => {
            format!("Verdict #{ticket}: {}", self::verdict(verdict))
        }
        PeerMessage::FetchSnapshot { index, offset } => {
            format!("FetchSnapshot {index} from byte {offset}")
        }
        PeerMessage::SnapshotNews { index, news } => format!("SnapshotNews {index} {news:?}"),
        PeerMessage::SnapshotPart { index, offset, size, bytes } => {
            let end = offset + bytes.len() as u64;
            format!("SnapshotPart {index} bytes {offset} to {end} of {size}")
        }
    }
}

fn raft_message(message: &Message) -> String {
    let Message { term, index, log_term, commit, .. } = *message;
    let vote = if message.reject { "rejected" } else { "granted" };
    let entries = joined(message.entries.iter().map(|entry| place(entry.index, entry.term)));
    match message.get_msg_type() {
        MessageType::MsgRequestPreVote => {
            format!("PreVote term={term} last={}", place(index, log_term))
        }
        MessageType::MsgRequestPreVoteResponse => format!("PreVoteResponse term={term} {vote}"),
        MessageType::MsgRequestVote => format!("Vote term={term} last={}", place(index, log_term)),
        MessageType::MsgRequestVoteResponse => format!("VoteResponse term={term} {vote}"),
        MessageType::MsgAppend => {
            format!("Append after={} [{entries}] commit={commit}", place(index, log_term))
        }
        MessageType::MsgAppendResponse if message.reject => {
            let hint = place(message.reject_hint, log_term);
            format!("AppendResponse rejected after={index} hint={hint}")
        }
        MessageType::MsgAppendResponse => format!("AppendResponse match={index}"),
        MessageType::MsgHeartbeat => format!("Heartbeat commit={commit}{}", read(&message.context)),
        MessageType::MsgHeartbeatResponse => format!("HeartbeatResponse{}", read(&message.context)),
        MessageType::MsgReadIndex => format!("ReadIndex{}", read(&message.entries[0].data)),
        MessageType::MsgReadIndexResp => {
            format!("ReadIndexResponse index={index}{}", read(&message.entries[0].data))
        }
        MessageType::MsgSnapshot => {
            let about = message.get_snapshot().get_metadata();
            format!("Snapshot {}", place(about.index, about.term))
        }
        MessageType::MsgTimeoutNow => "TimeoutNow".into(),
        other => format!("{other:?}"),
    }
}

/// The read that a message carries: the node that asks, and the number of its question.
fn read(context: &[u8]) -> String {
    let numbers: Vec<_> =
        context.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok()).collect();
    match numbers.as_slice() {
        [node, _boot, question, ..] => {
            format!(" read=n{}/{}", u64::from_le_bytes(*node), u64::from_le_bytes(*question))
        }
        _ => String::new(),
    }
}

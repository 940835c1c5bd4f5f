//! Messages between nodes, and their encoding.
//!
//! A connection opens with a [`Hello`] each way, which names the cluster, both nodes, the sender's
//! incarnation and its format version. Then frames flow one way: length, checksum, the sender's
//! wall clock, messages. Nothing in a frame is decoded before its checksum is verified, and no
//! frame before the hello.
//!
//! ```text
//! hello  magic u32 | newest u16 | oldest u16 | length u16 | verdict u8 | cluster [16] | from u64
//!        | to u64 | incarnation u64 | address length u8 | address | crc u32
//! frame  length u32 | crc u32 | wall_ms u64 | messages × ( kind u8 | length u32 | bytes )
//! ```
//! All integers are little-endian. A frame's `length` counts the bytes after the checksum, which
//! covers them. A hello's length counts the bytes after it, and its checksum covers all bytes
//! before it. The first ten bytes of a hello are the same in every version, so two nodes without a
//! common version can say so.

use std::sync::Arc;

use engine::ids::NodeId;
use engine::level;
use protobuf::Message as _;
use raft::eraftpb;

use crate::members::{self, Ask, Verdict};
use crate::memory::Remembered;

/// The newest version of hello and frames that this build speaks.
pub const NEWEST: u16 = 3;
/// The oldest version that this build speaks. Each release speaks its own version and that of the
/// release before, so a cluster can be upgraded node by node.
pub const OLDEST: u16 = 2;
/// The last version of builds before levels. A build that speaks level N says version 2 + N.
const AT_LEVEL_0: u16 = 2;
const _: () = assert!(NEWEST as u32 == AT_LEVEL_0 as u32 + level::NEWEST);
/// The largest frame: a guard against random lengths, well above one append message.
pub const FRAME_BYTES_MAX: usize = 32 << 20;
/// The first bytes of a hello in every version: the versions that the speaker knows, and the length
/// of the rest.
pub const HELLO_HEAD_BYTES: usize = 4 + 2 + 2 + 2;
/// Most bytes after the head of a hello.
pub const HELLO_REST_BYTES_MAX: usize = 1 + 16 + 8 + 8 + 8 + 1 + 255 + 4;
/// Bytes before a frame's body.
pub const FRAME_HEADER_BYTES: usize = 8;

const MAGIC: u32 = u32::from_le_bytes(*b"HFPL");

/// The first message on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The speaker's verdict on the hello that it answers. The first hello is a welcome.
    pub verdict: HelloVerdict,
    /// The cluster, as a hash of its name and founders.
    pub cluster: [u8; 16],
    /// The speaker.
    pub from: NodeId,
    /// The addressee.
    pub to: NodeId,
    /// The speaker's incarnation.
    pub incarnation: u64,
    /// The highest level that the speaker's build speaks.
    pub speaks: u32,
    /// The speaker's raft address, so that a node that does not know it yet can answer.
    pub raft_addr: String,
}

/// A node's verdict on a peer's hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloVerdict {
    /// It may speak.
    Welcome,
    /// There is no common version.
    Version,
    /// It belongs to another cluster.
    Cluster,
    /// It wants to reach another node.
    Addressee,
    /// Its incarnation differs from the one that is known under its id.
    Incarnation,
    /// It is a former member.
    Removed,
}

impl HelloVerdict {
    const ALL: [HelloVerdict; 6] = [
        HelloVerdict::Welcome,
        HelloVerdict::Version,
        HelloVerdict::Cluster,
        HelloVerdict::Addressee,
        HelloVerdict::Incarnation,
        HelloVerdict::Removed,
    ];
}

/// The head of a hello, in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloHead {
    /// The newest version that the speaker knows.
    pub newest: u16,
    /// The oldest version that the speaker speaks.
    pub oldest: u16,
    /// Bytes that follow.
    pub length: usize,
}

impl HelloHead {
    /// Reads the first bytes of a hello.
    ///
    /// # Errors
    /// When they are not a hello of Holdfast, or the rest is too long.
    pub fn decode(bytes: [u8; HELLO_HEAD_BYTES]) -> Result<HelloHead, Error> {
        let mut reader = Reader(&bytes);
        if reader.u32()? != MAGIC {
            return Err(Error::Magic);
        }
        let newest = u16::from_le_bytes(reader.array()?);
        let oldest = u16::from_le_bytes(reader.array()?);
        let length = usize::from(u16::from_le_bytes(reader.array()?));
        if length > HELLO_REST_BYTES_MAX {
            return Err(Error::Malformed("hello too long"));
        }
        Ok(HelloHead { newest, oldest, length })
    }

    /// The version to speak with this node: the newest that both know.
    ///
    /// # Errors
    /// [`Error::Versions`] when there is none.
    pub fn version(&self) -> Result<u16, Error> {
        let version = self.newest.min(NEWEST);
        match version >= OLDEST && version >= self.oldest {
            true => Ok(version),
            false => Err(Error::Versions { oldest: self.oldest, newest: self.newest }),
        }
    }
}

/// One message from a node to another.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerMessage {
    /// A message of raft.
    Raft(Box<eraftpb::Message>),
    /// Commands for the leader's log, from clients of another node.
    Forward(Vec<Forwarded>),
    /// Forwarded commands that the leader of this term took. They need not be sent again while it
    /// leads.
    Taken {
        /// The leader's term.
        term: u64,
        /// Sequence numbers at the node that forwarded them.
        seqs: Vec<u64>,
    },
    /// Forwarded commands that the addressee did not take, because it does not lead or refuses
    /// writes.
    Refused(Vec<u64>),
    /// News about the sender's disk.
    Room {
        /// It has less space than its reserve.
        low: bool,
        /// It leads and refuses writes, for lack of space on its disk or on those of others.
        refuses: bool,
    },
    /// News about the sender's memory. Version 3.
    Memory {
        /// It is nearly used up.
        full: bool,
    },
    /// An operator's request about members or leadership, for the leader.
    Ask {
        /// Identifies it at the asking node.
        ticket: u64,
        /// The request.
        ask: Ask,
    },
    /// The addressee was removed from the cluster.
    Removed,
    /// What the sender says of itself after a start. Version 3.
    About {
        /// Its boot.
        boot: u64,
        /// The random number of its process.
        run: u64,
    },
    /// What the sender remembers of the addressee. Version 3.
    Remembered {
        /// The run that asked.
        run: u64,
        /// What is remembered.
        remembered: Remembered,
    },
    /// The last entry that is committed and on the sender's disk. Version 3.
    Progress {
        /// Its index.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// The leader's answer.
    Verdict {
        /// The ticket of the request.
        ticket: u64,
        /// The answer.
        verdict: Verdict,
    },
    /// A follower requests the part of an offered snapshot's file that begins here.
    FetchSnapshot {
        /// The snapshot's index.
        index: u64,
        /// Where the part begins. The highest number means that the follower has the whole file and
        /// is busy with it.
        offset: u64,
    },
    /// What one side of a transfer tells the other about the file. Version 3.
    SnapshotNews {
        /// The snapshot's index.
        index: u64,
        /// The news.
        news: SnapshotNews,
    },
    /// A part of a snapshot file.
    SnapshotPart {
        /// The snapshot's index.
        index: u64,
        /// Where the part begins.
        offset: u64,
        /// The size of the file.
        size: u64,
        /// The part.
        bytes: Vec<u8>,
    },
}

/// News about a snapshot file that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotNews {
    /// The sender has the file and reads or checks it.
    Busy,
    /// The sender has no such file.
    Gone,
    /// The receiver got all of the file and cannot use it.
    Damaged,
}

impl PeerMessage {
    /// The first version of the protocol that has this message.
    pub fn since(&self) -> u16 {
        match self {
            PeerMessage::SnapshotNews { .. }
            | PeerMessage::About { .. }
            | PeerMessage::Remembered { .. }
            | PeerMessage::Memory { .. }
            | PeerMessage::Progress { .. } => 3,
            _ => OLDEST,
        }
    }
}

/// A client's command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Its sequence number at the forwarding node.
    pub seq: u64,
    /// The encoded envelope.
    pub envelope: Arc<[u8]>,
}

/// Why bytes are neither a hello nor a frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another protocol.
    #[error("not a Holdfast peer")]
    Magic,
    /// No common version.
    #[error(
        "the peer speaks versions {oldest} to {newest} of the protocol, this node {OLDEST} to \
         {NEWEST}: upgrade one release at a time"
    )]
    Versions {
        /// The peer's oldest.
        oldest: u16,
        /// The peer's newest.
        newest: u16,
    },
    /// Damaged on the way.
    #[error("checksum mismatch")]
    Checksum,
    /// An invalid length or kind.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

impl Hello {
    /// Encodes the hello. Truncates an address that is too long.
    pub fn encode(&self) -> Vec<u8> {
        let address = &self.raft_addr.as_bytes()[..self.raft_addr.len().min(255)];
        let length = HELLO_REST_BYTES_MAX - 255 + address.len();
        let mut out = Vec::with_capacity(HELLO_HEAD_BYTES + length);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        let newest = u16::try_from(self.speaks).unwrap_or(u16::MAX).saturating_add(AT_LEVEL_0);
        for number in [newest, OLDEST, length as u16] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(self.verdict as u8);
        out.extend_from_slice(&self.cluster);
        for number in [self.from.0, self.to.0, self.incarnation] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(address.len() as u8);
        out.extend_from_slice(address);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes a whole hello of the current version.
    ///
    /// # Errors
    /// When there is no common version, or the bytes are damaged.
    pub fn decode(bytes: &[u8]) -> Result<Hello, Error> {
        let head = bytes.first_chunk().ok_or(Error::Malformed("truncated"))?;
        let head = HelloHead::decode(*head)?;
        head.version()?;
        let (told, crc) = bytes.split_last_chunk().ok_or(Error::Malformed("truncated"))?;
        let whole = HELLO_HEAD_BYTES + head.length == bytes.len();
        if !whole || u32::from_le_bytes(*crc) != crc32fast::hash(told) {
            return Err(Error::Checksum);
        }
        let mut reader = Reader(told.get(HELLO_HEAD_BYTES..).ok_or(Error::Malformed("truncated"))?);
        let verdict = usize::from(reader.array::<1>()?[0]);
        let hello = Hello {
            verdict: *HelloVerdict::ALL.get(verdict).ok_or(Error::Malformed("verdict"))?,
            cluster: reader.array()?,
            from: NodeId(reader.u64()?),
            to: NodeId(reader.u64()?),
            incarnation: reader.u64()?,
            speaks: u32::from(head.newest.saturating_sub(AT_LEVEL_0)),
            raft_addr: {
                let length = usize::from(reader.array::<1>()?[0]);
                let address = reader.take(length)?.to_vec();
                String::from_utf8(address).map_err(|_| Error::Malformed("address"))?
            },
        };
        match reader.0.is_empty() {
            true => Ok(hello),
            false => Err(Error::Malformed("hello")),
        }
    }
}

const KIND_RAFT: u8 = 1;
const KIND_FORWARD: u8 = 2;
const KIND_REFUSED: u8 = 3;
const KIND_TAKEN: u8 = 4;
const KIND_ROOM: u8 = 5;
const KIND_ASK: u8 = 6;
const KIND_VERDICT: u8 = 7;
const KIND_REMOVED: u8 = 8;
const KIND_ABOUT: u8 = 9;
const KIND_REMEMBERED: u8 = 10;
const KIND_PROGRESS: u8 = 11;
const KIND_MEMORY: u8 = 12;
const KIND_FETCH_SNAPSHOT: u8 = 16;
const KIND_SNAPSHOT_PART: u8 = 17;
const KIND_SNAPSHOT_NEWS: u8 = 18;

/// Appends one frame with these messages to `out`.
pub fn encode_frame(wall_ms: u64, messages: &[PeerMessage], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    out.extend_from_slice(&wall_ms.to_le_bytes());
    for message in messages {
        encode_message(message, out);
    }
    let body = &out[start + FRAME_HEADER_BYTES..];
    let length = u32::try_from(body.len()).expect("a frame is bounded by its messages");
    let crc = crc32fast::hash(body);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn encode_message(message: &PeerMessage, out: &mut Vec<u8>) {
    out.push(match message {
        PeerMessage::Raft(_) => KIND_RAFT,
        PeerMessage::Forward(_) => KIND_FORWARD,
        PeerMessage::Taken { .. } => KIND_TAKEN,
        PeerMessage::Refused(_) => KIND_REFUSED,
        PeerMessage::Room { .. } => KIND_ROOM,
        PeerMessage::Memory { .. } => KIND_MEMORY,
        PeerMessage::Ask { .. } => KIND_ASK,
        PeerMessage::Verdict { .. } => KIND_VERDICT,
        PeerMessage::Removed => KIND_REMOVED,
        PeerMessage::About { .. } => KIND_ABOUT,
        PeerMessage::Remembered { .. } => KIND_REMEMBERED,
        PeerMessage::Progress { .. } => KIND_PROGRESS,
        PeerMessage::FetchSnapshot { .. } => KIND_FETCH_SNAPSHOT,
        PeerMessage::SnapshotPart { .. } => KIND_SNAPSHOT_PART,
        PeerMessage::SnapshotNews { .. } => KIND_SNAPSHOT_NEWS,
    });
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    match message {
        PeerMessage::Raft(message) => {
            message.write_to_vec(out).expect("raft messages always encode");
        }
        PeerMessage::Forward(commands) => {
            for forwarded in commands {
                out.extend_from_slice(&forwarded.seq.to_le_bytes());
                let length = u32::try_from(forwarded.envelope.len()).expect("a command is bounded");
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&forwarded.envelope);
            }
        }
        PeerMessage::Taken { term, seqs } => {
            for number in std::iter::once(term).chain(seqs) {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        PeerMessage::Refused(seqs) => {
            for seq in seqs {
                out.extend_from_slice(&seq.to_le_bytes());
            }
        }
        PeerMessage::Room { low, refuses } => {
            out.extend_from_slice(&[u8::from(*low), u8::from(*refuses)]);
        }
        PeerMessage::Memory { full } => out.push(u8::from(*full)),
        PeerMessage::Removed => {}
        PeerMessage::About { boot: first, run: second }
        | PeerMessage::Progress { index: first, term: second } => {
            for number in [first, second] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        PeerMessage::Remembered { run, remembered } => {
            let Remembered { boot, run: known, index, term } = remembered;
            for number in [run, boot, known, index, term] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        PeerMessage::Ask { ticket, ask } => {
            out.extend_from_slice(&ticket.to_le_bytes());
            out.extend_from_slice(&ask.encode());
        }
        PeerMessage::Verdict { ticket, verdict } => {
            out.extend_from_slice(&ticket.to_le_bytes());
            out.extend_from_slice(&members::encode_verdict(verdict));
        }
        PeerMessage::FetchSnapshot { index, offset } => {
            for number in [index, offset] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        PeerMessage::SnapshotNews { index, news } => {
            out.extend_from_slice(&index.to_le_bytes());
            out.push(*news as u8);
        }
        PeerMessage::SnapshotPart { index, offset, size, bytes } => {
            for number in [index, offset, size] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(bytes);
        }
    }
    let length = u32::try_from(out.len() - length_at - 4).expect("a message is bounded");
    out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Estimates the bytes of a message in a frame.
pub fn size_hint(message: &PeerMessage) -> usize {
    match message {
        PeerMessage::Raft(message) => {
            64 + message.entries.iter().map(|entry| entry.data.len() + 24).sum::<usize>()
        }
        PeerMessage::Forward(commands) => commands.iter().map(|f| f.envelope.len() + 12).sum(),
        PeerMessage::Taken { seqs, .. } => 8 + seqs.len() * 8,
        PeerMessage::Refused(seqs) => seqs.len() * 8,
        PeerMessage::Room { .. } | PeerMessage::Memory { .. } => 8,
        PeerMessage::Ask { .. } | PeerMessage::Verdict { .. } => 512,
        PeerMessage::Removed => 8,
        PeerMessage::FetchSnapshot { .. }
        | PeerMessage::SnapshotNews { .. }
        | PeerMessage::About { .. }
        | PeerMessage::Progress { .. } => 16,
        PeerMessage::Remembered { .. } => 40,
        PeerMessage::SnapshotPart { bytes, .. } => 24 + bytes.len(),
    }
}

/// Decodes a frame's header: the length of its body and its checksum.
///
/// # Errors
/// When the length is above [`FRAME_BYTES_MAX`].
pub fn decode_frame_header(bytes: [u8; FRAME_HEADER_BYTES]) -> Result<(usize, u32), Error> {
    let mut reader = Reader(&bytes);
    let length = reader.u32()? as usize;
    if length > FRAME_BYTES_MAX {
        return Err(Error::Malformed("frame too long"));
    }
    Ok((length, reader.u32()?))
}

/// Decodes a frame's body: the sender's wall clock and the messages.
///
/// # Errors
/// When the checksum is wrong or the content is invalid.
pub fn decode_frame(body: &[u8], crc: u32) -> Result<(u64, Vec<PeerMessage>), Error> {
    if crc32fast::hash(body) != crc {
        return Err(Error::Checksum);
    }
    let mut reader = Reader(body);
    let wall_ms = reader.u64()?;
    let mut messages = Vec::new();
    while !reader.0.is_empty() {
        let kind = reader.array::<1>()?[0];
        let length = reader.u32()? as usize;
        messages.push(decode_message(kind, reader.take(length)?)?);
    }
    Ok((wall_ms, messages))
}

fn decode_message(kind: u8, bytes: &[u8]) -> Result<PeerMessage, Error> {
    let mut reader = Reader(bytes);
    match kind {
        KIND_RAFT => {
            let message = eraftpb::Message::parse_from_bytes(bytes)
                .map_err(|_| Error::Malformed("raft message"))?;
            Ok(PeerMessage::Raft(Box::new(message)))
        }
        KIND_FORWARD => {
            let mut commands = Vec::new();
            while !reader.0.is_empty() {
                let seq = reader.u64()?;
                let length = reader.u32()? as usize;
                commands.push(Forwarded { seq, envelope: reader.take(length)?.into() });
            }
            Ok(PeerMessage::Forward(commands))
        }
        KIND_TAKEN => Ok(PeerMessage::Taken { term: reader.u64()?, seqs: reader.rest_as_u64()? }),
        KIND_REFUSED => Ok(PeerMessage::Refused(reader.rest_as_u64()?)),
        KIND_ROOM => match *bytes {
            [low @ (0 | 1), refuses @ (0 | 1)] => {
                Ok(PeerMessage::Room { low: low == 1, refuses: refuses == 1 })
            }
            _ => Err(Error::Malformed("room")),
        },
        KIND_MEMORY => match *bytes {
            [full @ (0 | 1)] => Ok(PeerMessage::Memory { full: full == 1 }),
            _ => Err(Error::Malformed("memory")),
        },
        KIND_ABOUT | KIND_PROGRESS => {
            let (first, second) = (reader.u64()?, reader.u64()?);
            match (reader.0.is_empty(), kind) {
                (true, KIND_ABOUT) => Ok(PeerMessage::About { boot: first, run: second }),
                (true, _) => Ok(PeerMessage::Progress { index: first, term: second }),
                (false, _) => Err(Error::Malformed("more than two numbers")),
            }
        }
        KIND_REMEMBERED => {
            let run = reader.u64()?;
            let remembered = Remembered {
                boot: reader.u64()?,
                run: reader.u64()?,
                index: reader.u64()?,
                term: reader.u64()?,
            };
            match reader.0.is_empty() {
                true => Ok(PeerMessage::Remembered { run, remembered }),
                false => Err(Error::Malformed("more than what is remembered")),
            }
        }
        KIND_REMOVED if bytes.is_empty() => Ok(PeerMessage::Removed),
        KIND_ASK => {
            let ticket = reader.u64()?;
            let ask = Ask::decode(reader.0).map_err(|_| Error::Malformed("ask"))?;
            Ok(PeerMessage::Ask { ticket, ask })
        }
        KIND_VERDICT => {
            let ticket = reader.u64()?;
            let verdict = members::decode_verdict(reader.0);
            let verdict = verdict.map_err(|_| Error::Malformed("verdict"))?;
            Ok(PeerMessage::Verdict { ticket, verdict })
        }
        KIND_FETCH_SNAPSHOT => {
            let (index, offset) = (reader.u64()?, reader.u64()?);
            match reader.0.is_empty() {
                true => Ok(PeerMessage::FetchSnapshot { index, offset }),
                false => Err(Error::Malformed("more than an index and an offset")),
            }
        }
        KIND_SNAPSHOT_PART => Ok(PeerMessage::SnapshotPart {
            index: reader.u64()?,
            offset: reader.u64()?,
            size: reader.u64()?,
            bytes: reader.0.to_vec(),
        }),
        KIND_SNAPSHOT_NEWS => {
            let index = reader.u64()?;
            let news = match *reader.0 {
                [0] => SnapshotNews::Busy,
                [1] => SnapshotNews::Gone,
                [2] => SnapshotNews::Damaged,
                _ => return Err(Error::Malformed("news about a snapshot")),
            };
            Ok(PeerMessage::SnapshotNews { index, news })
        }
        _ => Err(Error::Malformed("unknown kind of message")),
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        if length > self.0.len() {
            return Err(Error::Malformed("truncated"));
        }
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.take(N)?.try_into().expect("take gives what was asked for"))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn rest_as_u64(&mut self) -> Result<Vec<u64>, Error> {
        let mut numbers = Vec::with_capacity(self.0.len() / 8);
        while !self.0.is_empty() {
            numbers.push(self.u64()?);
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(messages: &[PeerMessage]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(42, messages, &mut bytes);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(u64, Vec<PeerMessage>), Error> {
        let header = bytes.first_chunk().ok_or(Error::Malformed("truncated"))?;
        let (length, crc) = decode_frame_header(*header)?;
        let body = &bytes[FRAME_HEADER_BYTES..];
        if body.len() != length {
            return Err(Error::Malformed("truncated"));
        }
        decode_frame(body, crc)
    }

    fn sample() -> Vec<PeerMessage> {
        let mut raft = eraftpb::Message::default();
        raft.set_from(1);
        raft.set_to(2);
        raft.mut_entries()
            .push(eraftpb::Entry { data: vec![1, 2, 3].into(), ..Default::default() });
        vec![
            PeerMessage::Raft(Box::new(raft)),
            PeerMessage::Forward(vec![Forwarded { seq: 9, envelope: Arc::from(&b"abc"[..]) }]),
            PeerMessage::Taken { term: 7, seqs: vec![3, 4] },
            PeerMessage::Refused(vec![1, 2, u64::MAX]),
            PeerMessage::Room { low: true, refuses: false },
            PeerMessage::Ask {
                ticket: 5,
                ask: Ask::Transfer { from: NodeId(1), to: Some(NodeId(2)) },
            },
            PeerMessage::Removed,
            PeerMessage::About { boot: 3, run: u64::MAX },
            PeerMessage::Remembered {
                run: 5,
                remembered: Remembered { boot: 1, run: 2, index: 3, term: 4 },
            },
            PeerMessage::Progress { index: 8, term: 2 },
            PeerMessage::Memory { full: true },
            PeerMessage::Verdict { ticket: 5, verdict: Err(members::Refusal::InProgress) },
            PeerMessage::FetchSnapshot { index: 7, offset: 9 },
            PeerMessage::SnapshotPart { index: 7, offset: 9, size: 12, bytes: vec![5; 3] },
            PeerMessage::SnapshotNews { index: 7, news: SnapshotNews::Gone },
        ]
    }

    #[test]
    fn frames_survive_the_round_trip_and_show_every_flipped_bit() {
        let bytes = frame(&sample());
        assert_eq!(read(&bytes), Ok((42, sample())));
        assert_eq!(read(&frame(&[])), Ok((42, vec![])));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
    }

    fn hello() -> Hello {
        Hello {
            verdict: HelloVerdict::Removed,
            cluster: [7; 16],
            from: NodeId(1),
            to: NodeId(2),
            incarnation: u64::MAX,
            speaks: level::NEWEST,
            raft_addr: "shop-1:7001".into(),
        }
    }

    #[test]
    fn a_hello_survives_the_round_trip_and_strangers_are_refused() {
        let bytes = hello().encode();
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n\r\n"), Err(Error::Magic));
        for at in HELLO_HEAD_BYTES..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Hello::decode(&damaged), Err(Error::Checksum), "byte {at}");
            assert!(Hello::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut long = hello();
        long.raft_addr = "x".repeat(300);
        let read = Hello::decode(&long.encode()).expect("cut to what fits");
        assert_eq!(read.raft_addr.len(), 255);
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken_and_without_one_both_are_named() {
        let head = |oldest, newest| HelloHead { newest, oldest, length: 0 };
        assert_eq!(head(OLDEST, NEWEST).version(), Ok(NEWEST));
        assert_eq!(head(NEWEST, NEWEST + 1).version(), Ok(NEWEST), "the next release");
        for (oldest, newest) in [(NEWEST + 1, NEWEST + 2), (0, OLDEST - 1)] {
            let error = head(oldest, newest).version().expect_err("nothing in common");
            assert_eq!(error, Error::Versions { oldest, newest });
            assert!(error.to_string().contains(&format!("{oldest} to {newest}")));
        }
        let mut newer = hello().encode();
        newer[4..6].copy_from_slice(&(NEWEST + 2).to_le_bytes());
        newer[6..8].copy_from_slice(&(NEWEST + 1).to_le_bytes());
        let error = Hello::decode(&newer).expect_err("nothing in common");
        assert_eq!(error, Error::Versions { oldest: NEWEST + 1, newest: NEWEST + 2 });
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Hello::decode(&bytes);
            let _ = read(&bytes);
            // With a valid checksum the content is read too.
            let _ = decode_frame(&bytes, crc32fast::hash(&bytes));
        }

        #[test]
        fn a_mutated_frame_never_panics(at in 0_usize..200, to in any::<u8>()) {
            let bytes = frame(&sample());
            let mut body = bytes[FRAME_HEADER_BYTES..].to_vec();
            let at = at % body.len();
            body[at] = to;
            let _ = decode_frame(&body, crc32fast::hash(&body));
        }
    }
}

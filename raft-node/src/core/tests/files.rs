//! What a node does with snapshot files, in memory.

use ::engine::ids::NodeId;

use super::world::World;
use crate::core::{FileTask, Input};
use crate::log::LogStore;
use crate::message::PeerMessage;
use crate::snapshot::Meta;

/// The snapshot files of all nodes, and what happened to them.
#[derive(Default)]
pub(super) struct Files {
    /// The newest snapshot and its bytes. Every node that offers one has this one.
    pub(super) snapshot: Option<(Meta, Vec<u8>)>,
    /// Whose snapshot is arriving, and its index.
    pub(super) receiving: Option<(NodeId, u64)>,
    /// Number of parts that were read to be sent.
    pub(super) reads: usize,
    /// Reads do not end.
    pub(super) reads_hang: bool,
    /// Snapshots that a peer could not use, and that were read again.
    pub(super) verified: Vec<u64>,
    /// The file that is arriving. One node at a time receives one.
    pub(super) received: Vec<u8>,
    /// Node, index and term of each log compaction.
    pub(super) compacted: Vec<(u64, u64, u64)>,
    /// Received files that were thrown away.
    pub(super) forgotten: usize,
    /// Requests for a newer snapshot.
    pub(super) wanted: usize,
    /// How many of the next parts are lost.
    pub(super) lose_parts: usize,
}

/// Bytes of a snapshot in one message.
const PART: usize = 10;

impl Files {
    /// Does what the core of a node wants done with files.
    pub(super) fn perform(&mut self, world: &mut World, id: u64) {
        let tasks = std::mem::take(&mut world.host(id).files);
        for task in tasks {
            match task {
                FileTask::Send { to, index, offset } => {
                    if self.reads_hang {
                        continue;
                    }
                    self.reads += 1;
                    let (meta, bytes) = self.snapshot.as_ref().expect("there is one");
                    let ok = meta.index == index;
                    world.input(id, Input::PartSent { to, index, offset, ok });
                    if !ok {
                        continue;
                    }
                    if self.lose_parts > 0 {
                        self.lose_parts -= 1;
                        continue;
                    }
                    let at = usize::try_from(offset).expect("small");
                    let part = bytes[at..(at + PART).min(bytes.len())].to_vec();
                    let size = bytes.len() as u64;
                    let part = PeerMessage::SnapshotPart { index, offset, size, bytes: part };
                    world.send(id, to, part);
                }
                FileTask::Verify { index } => {
                    world.note_of(id, || format!("verify snapshot {index}"));
                    self.verified.push(index);
                }
                FileTask::Begin { from, index, .. } => {
                    let known = self.receiving.replace((from, index));
                    if known != self.receiving {
                        self.received.clear();
                    }
                    let offset = self.received.len() as u64;
                    if offset > 0 {
                        world.note_of(id, || format!("has {offset} bytes of snapshot {index}"));
                    }
                    world.input(id, Input::PartialFound { from, index, offset });
                }
                FileTask::Write { index, offset, bytes } => {
                    world
                        .note_of(id, || format!("write {} bytes of snapshot {index}", bytes.len()));
                    assert_eq!(self.received.len() as u64, offset, "parts are written in order");
                    self.received.extend(bytes);
                    world.input(id, Input::PartWritten(index, true));
                }
                FileTask::Prepare { index, .. } => {
                    let (_, bytes) = self.snapshot.as_ref().expect("there is one");
                    assert_eq!(&self.received, bytes, "all of it arrived");
                    world.note_of(id, || format!("prepare snapshot {index}"));
                    world.input(id, Input::SnapshotPrepared(index, true));
                }
                FileTask::Forget => {
                    world.note_of(id, || "throw the received snapshot away".into());
                    self.forgotten += 1;
                }
                FileTask::Compact { index, term } => {
                    world.note_of(id, || format!("compact the log up to {index}"));
                    world.host(id).log.compact(index, term).expect("in memory");
                    self.compacted.push((id, index, term));
                }
                FileTask::Take => {
                    world.note_of(id, || "wants a newer snapshot".into());
                    self.wanted += 1;
                }
            }
        }
    }

    /// Takes a snapshot of `bytes` bytes on a node, which keeps the snapshot of index `older` too;
    /// returns its index.
    pub(super) fn take(&mut self, world: &mut World, id: u64, older: u64, bytes: u8) -> u64 {
        let host = world.host(id);
        let index = host.applied_index;
        let term = host.log.term(index).expect("in the log");
        let members = host.core.members().clone();
        let meta = Meta { index, term, members, bytes: bytes.into(), ..Meta::default() };
        self.snapshot = Some((meta.clone(), (0..bytes).collect()));
        world.note_of(id, || format!("take snapshot {index} of {bytes} bytes"));
        world.input(id, Input::SnapshotTaken(Box::new(meta), older));
        self.perform(world, id);
        index
    }

    /// Delivers everything that is on the wire, does what that means for files, and so on.
    pub(super) fn settle(&mut self, world: &mut World) {
        world.deliver();
        while world.hosts.iter().any(|host| !host.files.is_empty()) {
            for id in 1..=world.hosts.len() as u64 {
                self.perform(world, id);
            }
            world.deliver();
        }
    }

    /// Lets time pass. Within a tick, three parts of a snapshot arrive at most.
    pub(super) fn run_ms(&mut self, world: &mut World, ms: u64) {
        let until = world.now_ms + ms;
        while world.now_ms < until {
            world.run_ms(50);
            for _ in 0..3 {
                for id in 1..=world.hosts.len() as u64 {
                    self.perform(world, id);
                }
                world.deliver();
            }
        }
    }
}

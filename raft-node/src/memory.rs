//! What a node remembers of its peers, so that a peer whose data was put back from an older copy
//! notices it.
//!
//! A copy of a data directory looks sound: it forgot votes and acknowledged entries, and nothing in
//! it says so. Its peers know better. Each keeps the newest boot of every other node, and a
//! committed entry that the node had on disk. A node also keeps its own boots, to compare. This
//! is a plain value; `core/remembered.rs` says when it changes and what follows from it.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use engine::codec;
use engine::ids::NodeId;

use crate::members::Membership;

/// The version of the stored memory.
const VERSION: u8 = 1;

/// What is remembered of one peer. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Remembered {
    /// Its newest boot.
    pub boot: u64,
    /// The random number of the process in that boot. A directory that was put back counts the
    /// same boot again.
    pub run: u64,
    /// The last index of its log that was committed and on its disk.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
}

/// Own boots to keep. A peer that was away for longer is believed.
const BOOTS_MAX: usize = 1_024;

/// What a node remembers of all its peers, and of its own boots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Memory {
    peers: BTreeMap<NodeId, Remembered>,
    /// The newest boots of this node, ascending, each with the random number of its process.
    own: Vec<(u64, u64)>,
}

impl Memory {
    /// What is remembered of a peer.
    pub fn of(&self, peer: NodeId) -> Remembered {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    /// Takes a boot. Returns whether it is newer than the one before.
    pub(crate) fn booted(&mut self, peer: NodeId, boot: u64, run: u64) -> bool {
        let known = self.of(peer);
        if boot <= known.boot {
            return false;
        }
        self.peers.insert(peer, Remembered { boot, run, ..known });
        true
    }

    /// Takes a committed entry that a peer has on disk. Returns whether it is news.
    pub(crate) fn reached(&mut self, peer: NodeId, index: u64, term: u64) -> bool {
        let known = self.of(peer);
        if index <= known.index {
            return false;
        }
        self.peers.insert(peer, Remembered { index, term, ..known });
        true
    }

    /// Begins a boot of this node.
    pub(crate) fn began(&mut self, boot: u64, run: u64) {
        self.own.retain(|(known, _)| *known < boot);
        self.own.push((boot, run));
        self.own.drain(..self.own.len().saturating_sub(BOOTS_MAX));
    }

    /// Whether this node had this boot, as far as it remembers. A directory that was put back from
    /// a copy had others under the same numbers, or none.
    pub(crate) fn had(&self, boot: u64, run: u64) -> bool {
        match self.own.binary_search_by_key(&boot, |(known, _)| *known) {
            Ok(at) => self.own[at].1 == run,
            Err(0) => boot == 0 || self.own.len() >= BOOTS_MAX,
            Err(_) => false,
        }
    }

    /// Forgets nodes that are no members: their ids are never used again.
    pub(crate) fn keep_members(&mut self, members: &Membership) {
        self.peers.retain(|peer, _| members.member(*peer).is_some());
    }

    /// Encodes it with version and checksum.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_row(VERSION, self)
    }

    /// Reads what [`Memory::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Memory, codec::Error> {
        codec::decode_row(VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_only_grows_and_survives_the_round_trip() {
        let (peer, mut memory) = (NodeId(2), Memory::default());
        assert_eq!(memory.of(peer), Remembered::default());
        assert!(memory.booted(peer, 3, 30) && memory.reached(peer, 10, 2));
        assert!(!memory.booted(peer, 3, 31), "another process of the same boot is none");
        assert!(!memory.booted(peer, 2, 20) && !memory.reached(peer, 9, 2));
        assert!(memory.booted(peer, 4, 40));
        let remembered = Remembered { boot: 4, run: 40, index: 10, term: 2 };
        assert_eq!(memory.of(peer), remembered);
        let bytes = memory.encode();
        assert_eq!(Memory::decode(&bytes), Ok(memory.clone()));
        let mut damaged = bytes;
        damaged[3] ^= 1;
        assert!(Memory::decode(&damaged).is_err());
        for boot in [1, 2, 5] {
            memory.began(boot, 10 * boot);
        }
        assert!(memory.had(0, 0) && memory.had(2, 20) && memory.had(5, 50));
        assert!(!memory.had(2, 21) && !memory.had(3, 30) && !memory.had(6, 60));
        for boot in 6..6 + BOOTS_MAX as u64 {
            memory.began(boot, boot);
        }
        assert!(memory.had(2, 99), "that long ago is not remembered");
        memory.keep_members(&Membership::default());
        assert_eq!(memory.of(peer), Remembered::default());
    }
}

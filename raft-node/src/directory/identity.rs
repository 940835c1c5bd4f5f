//! The identity of a data directory: its owner, its boot number and the peers it has met.
//!
//! A new directory gets a random *incarnation*, and peers remember it. A node whose disk was wiped
//! comes back with another incarnation and is refused under its old id: it has forgotten its votes
//! and could undo a commit.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};
use engine::ids::NodeId;
use parking_lot::Mutex;

use super::durable::{Error, at, lock, private_data_dir, read_optional, write_value};
use super::history::{self, Rebuilt};
use super::{put_back, stage};
use crate::config::{Config, Join, Peer};

/// Most remembered peers: a guard against a stranger that makes up ids.
const MET_MAX: usize = 4_096;

/// The content of the identity file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Stored {
    cluster_name: String,
    cluster: [u8; 16],
    node: NodeId,
    incarnation: u64,
    members: Vec<Member>,
}

impl Stored {
    fn founders(&self) -> Vec<Peer> {
        let peer = |member: &Member| Peer {
            id: member.id,
            raft_addr: member.raft_addr.clone(),
            http_addr: member.http_addr.clone(),
        };
        self.members.iter().map(peer).collect()
    }
}

/// A voter, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Member {
    id: NodeId,
    raft_addr: String,
    http_addr: Option<String>,
}

/// An open data directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct Identity {
    dir: PathBuf,
    stored: Stored,
    boot: u64,
    rebuilt: Vec<Rebuilt>,
    /// Incarnations of the peers met so far.
    met: Mutex<BTreeMap<NodeId, u64>>,
    _lock: File,
}

impl Identity {
    /// Opens the directory. An empty one becomes that of a new or joining member.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(config: &Config) -> Result<Identity, Error> {
        let dir = &config.data_dir;
        private_data_dir(dir).map_err(at(dir))?;
        let lock = lock(dir)?;
        stage::finish(dir).map_err(at(dir))?;
        let path = dir.join("identity");
        let stored: Stored = match read_optional(&path)? {
            Some(stored) => stored,
            None => found(config, &path)?,
        };
        let rebuilt = history::read(dir)?;
        // The operator may still know it under a former id.
        let own = |id: NodeId| id == stored.node || rebuilt.iter().any(|one| one.from == id);
        if !own(config.node_id) || stored.cluster_name != config.cluster_name {
            let name = |node: NodeId, cluster: &str| format!("node {node} of cluster {cluster:?}");
            return Err(Error::Stranger {
                path: dir.clone(),
                found: name(stored.node, &stored.cluster_name),
                wanted: name(config.node_id, &config.cluster_name),
            });
        }
        put_back::check(dir)?;
        let boot = read_optional::<u64>(&dir.join("boot"))?.unwrap_or(0);
        let met = read_optional(&dir.join("peers"))?.unwrap_or_default();
        let (dir, met) = (dir.clone(), Mutex::new(met));
        Ok(Identity { dir, stored, boot, rebuilt, met, _lock: lock })
    }

    /// The former owners of this directory, oldest first: members whose data was damaged.
    pub fn rebuilt(&self) -> &[Rebuilt] {
        &self.rebuilt
    }

    /// The hash of the cluster's name and founders.
    pub fn cluster(&self) -> [u8; 16] {
        self.stored.cluster
    }

    /// The cluster's hash as text.
    pub fn cluster_id(&self) -> String {
        text_of(&self.stored.cluster)
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.stored.node
    }

    /// Durably counts a boot. Called once everything in the directory is sound or new, and before
    /// anything is sent.
    ///
    /// # Errors
    /// When the number cannot be written.
    pub fn begin_boot(&mut self) -> Result<(), Error> {
        self.boot += 1;
        write_value(&self.dir.join("boot"), &self.boot)
    }

    /// How many times a node was started on this directory; 0 means that there is no log yet.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// The random number of this directory.
    pub fn incarnation(&self) -> u64 {
        self.stored.incarnation
    }

    /// The founders of the cluster.
    pub fn founders(&self) -> Vec<Peer> {
        self.stored.founders()
    }

    /// The incarnations of the peers met so far.
    pub fn met(&self) -> BTreeMap<NodeId, u64> {
        self.met.lock().clone()
    }

    /// Returns whether a peer of this incarnation may speak for `peer`. The first incarnation seen
    /// is remembered durably before it is believed.
    ///
    /// # Errors
    /// When a first meeting cannot be recorded.
    pub fn meet(&self, peer: NodeId, incarnation: u64) -> Result<bool, Error> {
        let mut met = self.met.lock();
        if let Some(known) = met.get(&peer) {
            return Ok(*known == incarnation);
        }
        if met.len() >= MET_MAX {
            return Ok(false);
        }
        let mut next = met.clone();
        next.insert(peer, incarnation);
        write_value(&self.dir.join("peers"), &next)?;
        *met = next;
        Ok(true)
    }
}

/// A cluster's hash as text.
pub(crate) fn text_of(cluster: &[u8; 16]) -> String {
    cluster.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The owner of a data directory, for code that only reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) node: NodeId,
    pub(crate) cluster_name: String,
    pub(crate) cluster: [u8; 16],
    pub(crate) founders: Vec<Peer>,
}

/// Reads the owner of a directory without opening it.
pub(crate) fn read(dir: &Path) -> Result<Option<Kept>, Error> {
    let stored: Option<Stored> = read_optional(&dir.join("identity"))?;
    Ok(stored.map(|stored| Kept {
        node: stored.node,
        founders: stored.founders(),
        cluster_name: stored.cluster_name,
        cluster: stored.cluster,
    }))
}

/// Reads one of the small files beside the identity. Returns whether it exists.
pub(crate) fn check_file(dir: &Path, name: &str) -> Result<bool, Error> {
    let path = dir.join(name);
    match name {
        "boot" => Ok(read_optional::<u64>(&path)?.is_some()),
        _ => Ok(read_optional::<BTreeMap<NodeId, u64>>(&path)?.is_some()),
    }
}

/// The directory that holds the state, and the snapshot it was installed from.
///
/// The file does not exist before the first installation of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Current {
    /// The state's directory, within the data directory.
    pub(crate) dir: String,
    /// The index of the installed snapshot; 0 for a state made here.
    pub(crate) index: u64,
    /// The term of the entry at that index.
    pub(crate) term: u64,
}

impl Current {
    /// Reads the file of a data directory.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub(crate) fn read(data_dir: &Path) -> Result<Current, Error> {
        let found = read_optional(&data_dir.join("current"))?;
        Ok(found.unwrap_or(Current { dir: "state".into(), index: 0, term: 0 }))
    }

    /// Writes the file durably: after a crash the old content counts or the new.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), Error> {
        write_value(&data_dir.join("current"), self)
    }
}

/// Founds this node's part of a new cluster.
fn found(config: &Config, path: &Path) -> Result<Stored, Error> {
    if let Some(join) = &config.join {
        return joined(config, join);
    }
    if config.peers.is_empty() {
        return Err(Error::NoPeers(config.data_dir.clone()));
    }
    let mut members: Vec<_> = config.peers.iter().map(stored_member).collect();
    members.sort_by_key(|member| member.id);
    let mut hash = blake3::Hasher::new();
    hash.update(config.cluster_name.as_bytes());
    for member in &members {
        hash.update(&[0]);
        hash.update(&member.id.0.to_le_bytes());
        hash.update(member.raft_addr.as_bytes());
    }
    let mut cluster = [0; 16];
    cluster.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    let stored = Stored {
        cluster_name: config.cluster_name.clone(),
        cluster,
        node: config.node_id,
        incarnation: rand::random(),
        members,
    };
    write_value(path, &stored)?;
    Ok(stored)
}

/// Draws the incarnation of a joining directory, durably, so that a member can be told before
/// anything else is written. `None` when the directory belongs to a cluster already: then the node
/// just starts.
///
/// # Errors
/// See [`Error`].
pub fn begin_join(config: &Config) -> Result<Option<u64>, Error> {
    let dir = &config.data_dir;
    private_data_dir(dir).map_err(at(dir))?;
    let _lock = lock(dir)?;
    stage::finish(dir).map_err(at(dir))?;
    if dir.join("identity").exists() {
        return Ok(None);
    }
    let path = dir.join("joining");
    if let Some(incarnation) = read_optional(&path)? {
        return Ok(Some(incarnation));
    }
    let incarnation = rand::random();
    write_value(&path, &incarnation)?;
    Ok(Some(incarnation))
}

/// Makes this node a member of a running cluster.
fn joined(config: &Config, join: &Join) -> Result<Stored, Error> {
    let dir = &config.data_dir;
    let incarnation: u64 =
        read_optional(&dir.join("joining"))?.ok_or(Error::Join("it was not asked before"))?;
    if join.cluster_name != config.cluster_name {
        return Err(Error::Stranger {
            path: dir.clone(),
            found: format!("cluster {:?}", join.cluster_name),
            wanted: format!("cluster {:?}", config.cluster_name),
        });
    }
    join_as(dir, config.node_id, incarnation, join)
}

/// Makes a directory that of a member which a running cluster has added.
pub(crate) fn join_as(
    dir: &Path,
    node: NodeId,
    incarnation: u64,
    join: &Join,
) -> Result<Stored, Error> {
    let digits = join.cluster.as_bytes();
    let digit = |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    let mut cluster = [0; 16];
    for (at, byte) in cluster.iter_mut().enumerate() {
        let (high, low) = (digit(2 * at), digit(2 * at + 1));
        let both = high.zip(low).ok_or(Error::Join("its hash is not 32 hexadecimal digits"))?;
        *byte = (both.0 << 4 | both.1) as u8;
    }
    if join.founders.is_empty() {
        return Err(Error::Join("it has no founders"));
    }
    let mut members: Vec<Member> = join.founders.iter().map(stored_member).collect();
    members.sort_by_key(|member| member.id);
    // Record whom to believe before hearing anybody.
    let met: BTreeMap<NodeId, u64> =
        join.met.iter().map(|(id, met)| (*id, *met)).filter(|(id, _)| *id != node).collect();
    write_value(&dir.join("peers"), &met)?;
    let cluster_name = join.cluster_name.clone();
    let stored = Stored { cluster_name, cluster, node, incarnation, members };
    write_value(&dir.join("identity"), &stored)?;
    Ok(stored)
}

/// The identity of the only node of a new cluster.
pub(crate) struct Beginning<'a> {
    pub(crate) cluster_name: &'a str,
    pub(crate) cluster: [u8; 16],
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) raft_addr: &'a str,
    pub(crate) http_addr: Option<&'a str>,
    /// The boot number to begin with; at least 1, since there is a log.
    pub(crate) boot: u64,
}

/// Writes the identity of a directory that is being made, beside its log and state.
pub(crate) fn begin(dir: &Path, beginning: Beginning<'_>) -> Result<(), Error> {
    write_value(&dir.join("boot"), &beginning.boot)?;
    let member = Member {
        id: beginning.node,
        raft_addr: beginning.raft_addr.into(),
        http_addr: beginning.http_addr.map(Into::into),
    };
    let stored = Stored {
        cluster_name: beginning.cluster_name.into(),
        cluster: beginning.cluster,
        node: beginning.node,
        incarnation: beginning.incarnation,
        members: vec![member],
    };
    write_value(&dir.join("identity"), &stored)
}

fn stored_member(peer: &Peer) -> Member {
    Member { id: peer.id, raft_addr: peer.raft_addr.clone(), http_addr: peer.http_addr.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn config(dir: &Path) -> Config {
        let mut config = Config::new(NodeId(1), dir.join("node"));
        config.peers = (1..=3)
            .map(|id| Peer {
                id: NodeId(id),
                raft_addr: format!("127.0.0.1:{id}"),
                http_addr: None,
            })
            .collect();
        config
    }

    #[test]
    fn a_directory_keeps_its_identity_and_counts_its_boots() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut first = Identity::open(&config(dir.path())).expect("founded");
        assert_eq!(first.boot(), 0);
        first.begin_boot().expect("counted");
        let (cluster, incarnation) = (first.cluster(), first.incarnation());
        assert_eq!(first.boot(), 1);
        assert!(matches!(Identity::open(&config(dir.path())), Err(Error::Locked(_))));
        drop(first);
        let mut later = config(dir.path());
        later.peers.clear();
        let mut second = Identity::open(&later).expect("opened without peers");
        second.begin_boot().expect("counted");
        assert_eq!((second.boot(), second.cluster()), (2, cluster));
        assert_eq!(second.incarnation(), incarnation);
        assert_eq!(second.founders().len(), 3);
    }

    #[test]
    fn a_data_directory_that_others_can_enter_is_closed() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("node");
        fs::create_dir(&data).expect("made");
        let mode = || fs::metadata(&data).expect("it is there").mode() & 0o7777;
        for (before, after) in [(0o777, 0o700), (0o755, 0o700), (0o2770, 0o2700), (0o700, 0o700)] {
            fs::set_permissions(&data, fs::Permissions::from_mode(before)).expect("changed");
            Identity::open(&config(dir.path())).expect("opened");
            assert_eq!(mode(), after, "{before:o} became {:o}", mode());
        }
    }

    #[test]
    fn a_joining_directory_keeps_its_incarnation_and_knows_whom_to_believe() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut joining = config(dir.path());
        joining.peers.clear();
        joining.node_id = NodeId(4);
        let drawn = begin_join(&joining).expect("drawn").expect("it is new");
        assert_eq!(begin_join(&joining).expect("kept"), Some(drawn), "asked again");
        let mut join = Join {
            cluster: "00ff".repeat(8),
            cluster_name: "another".into(),
            founders: config(dir.path()).peers,
            met: BTreeMap::from([(NodeId(1), 11), (NodeId(4), 44)]),
        };
        joining.join = Some(join.clone());
        assert!(matches!(Identity::open(&joining), Err(Error::Stranger { .. })));
        join.cluster_name.clone_from(&joining.cluster_name);
        join.cluster.pop();
        joining.join = Some(join.clone());
        assert!(matches!(Identity::open(&joining), Err(Error::Join(_))));
        join.cluster.push('f');
        joining.join = Some(join);
        let identity = Identity::open(&joining).expect("joined");
        assert_eq!((identity.incarnation(), identity.founders().len()), (drawn, 3));
        assert_eq!(identity.cluster_id(), "00ff".repeat(8));
        assert!(!identity.meet(NodeId(1), 12).expect("known"), "another member told which");
        drop(identity);
        assert_eq!(begin_join(&joining).expect("looked"), None, "it belongs to a cluster now");
    }

    #[test]
    fn strangers_and_new_directories_without_peers_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut alone = config(dir.path());
        alone.peers.clear();
        assert!(matches!(Identity::open(&alone), Err(Error::NoPeers(_))));
        drop(Identity::open(&config(dir.path())).expect("founded"));
        let mut other = config(dir.path());
        other.node_id = NodeId(2);
        assert!(matches!(Identity::open(&other), Err(Error::Stranger { .. })));
        let mut other = config(dir.path());
        other.cluster_name = "another".into();
        assert!(matches!(Identity::open(&other), Err(Error::Stranger { .. })));
        let path = dir.path().join("node/identity");
        let mut bytes = fs::read(&path).expect("read");
        bytes[9] ^= 1;
        fs::write(&path, bytes).expect("written");
        assert!(matches!(Identity::open(&config(dir.path())), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_peer_with_another_incarnation_is_never_believed_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let identity = Identity::open(&config(dir.path())).expect("founded");
        assert!(identity.meet(NodeId(2), 42).expect("written"));
        assert!(identity.meet(NodeId(2), 42).expect("written"));
        assert!(!identity.meet(NodeId(2), 43).expect("written"));
        assert!(identity.meet(NodeId(9), 42).expect("written"), "nothing is known of it yet");
        assert!(!identity.meet(NodeId(9), 43).expect("written"));
        drop(identity);
        let identity = Identity::open(&config(dir.path())).expect("opened");
        assert!(!identity.meet(NodeId(2), 43).expect("written"));
        assert!(identity.meet(NodeId(2), 42).expect("written"));
    }
}

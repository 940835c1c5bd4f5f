//! Makes a new cluster of one node, offline: from a backup, or from the data of a node that
//! survived the majority of its cluster.
//!
//! Both make the same data directory. Its state is that of one index, its log begins after that
//! index, and its membership is this node alone, under a new cluster id. The first entry of the log
//! begins the new cluster in the state too. Everything is made beside the old data and replaces it
//! in steps that a startup completes if they were interrupted (`stage`). Nothing old is removed.
//!
//! Other nodes join the new cluster as new members. The handshake refuses nodes of the old cluster,
//! since they name another cluster.

mod build;
pub(crate) mod error;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::checkpoint::CheckpointStore;
use engine::ids::NodeId;
use engine::state::State;
use engine::store::sled::SledStore;

use self::build::Founding;
use self::error::at;
pub use self::error::{Begun, Error};
use crate::causes::chain;
use crate::config::{Config, Peer};
use crate::directory::durable::{lock, private_data_dir};
use crate::directory::identity;
use crate::directory::stage::{self, Stage};
use crate::log::LogStore;
use crate::members::{Member, Membership};
use crate::node::error::StartError;
use crate::node::open::{Opened, look};
use crate::replica::{NotApplied, replay};
use crate::snapshot::backup;

/// The parameters of a restore.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// The empty directory. It is created if it does not exist.
    pub data: PathBuf,
    /// The id of the node.
    pub node: NodeId,
    /// The name of the new cluster, which must differ from that of the old.
    pub cluster_name: String,
    /// The node's raft address, as other nodes will reach it.
    pub raft_addr: String,
    /// Its HTTP address, as clients will reach it, if known.
    pub http_addr: Option<String>,
}

/// The data of a surviving node, and what may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The node.
    pub node: NodeId,
    /// The name of its cluster.
    pub cluster_name: String,
    /// The id of its cluster.
    pub cluster_id: String,
    /// The voters, as far as it knows.
    pub voters: Vec<NodeId>,
    /// The last index that it knows to be committed.
    pub committed: u64,
    /// The last index of its log. Entries after `committed` may have been acknowledged, or not.
    pub last: u64,
}

/// Makes a new cluster of one node from a backup. Its payments are paused, since the cluster of the
/// backup may still charge.
///
/// # Errors
/// See [`Error`].
pub fn restore(restore: &Restore) -> Result<Begun, Error> {
    let data = &restore.data;
    private_data_dir(data).map_err(at(data))?;
    let held = lock(data)?;
    must_be_empty(data)?;
    let about = backup::check(&restore.file)?;
    if about.cluster_name == restore.cluster_name {
        return Err(Error::SameName(about.cluster_name));
    }
    let stage = Stage::begin(data)?;
    let dir = stage.path().join("state");
    let store = open_store(&dir)?;
    backup::fill(&restore.file, &store)?;
    let state = open_state(&dir, &store)?;
    let member = Member {
        id: restore.node,
        raft_addr: restore.raft_addr.clone(),
        http_addr: restore.http_addr.clone(),
        incarnation: None,
        replaces: None,
    };
    let founding = Founding {
        cluster_name: &restore.cluster_name,
        member,
        removed: Vec::new(),
        boot: 1,
        term: about.term,
        pause_payments: true,
    };
    let begun = build::build(stage.path(), &founding, store, state)?;
    stage.take_over(None)?;
    drop(held);
    Ok(begun)
}

/// Reads the data of a stopped node, before an operator forces a new cluster.
///
/// # Errors
/// See [`Error`].
pub fn survey(data: &Path) -> Result<Survivor, Error> {
    open(data).map(|(_, survivor)| survivor)
}

/// Makes a new cluster of this node alone, from all its data. That includes entries that it does
/// not know to be committed, since they may have been acknowledged. With `last_index`, it leaves
/// out the entries after that one: for a log with an entry that no node can apply.
///
/// # Errors
/// See [`Error`].
pub fn force_new_cluster(data: &Path, last_index: Option<u64>) -> Result<(Survivor, Begun), Error> {
    let (opened, survivor) = open(data)?;
    let last = last_index.unwrap_or(survivor.last);
    let (applied, end) = (opened.state.applied_index(), survivor.last);
    if !(applied..=end).contains(&last) {
        return Err(Error::LastIndex { last, applied, end });
    }
    let Opened { identity, log, store, state, .. } = opened;
    // The data of a stopped node is complete only after its store is closed.
    drop((state, store));
    let stage = Stage::begin(data)?;
    let current = identity::Current::read(data)?;
    let dir = stage.path().join("state");
    copy_dir(&data.join(current.dir), &dir)?;
    let store = open_store(&dir)?;
    let mut state = open_state(&dir, &store)?;
    state.set_event_retention(u64::MAX, u64::MAX);
    if let Err(NotApplied { index, reason }) = replay(&mut state, &*log, last) {
        let (path, index) = (data.join("raft"), index - 1);
        return Err(Error::NotApplied { path, index, reason });
    }
    let written = state.freeze().write(&store);
    let written =
        written.map_err(|error| Error::State { path: dir.clone(), reason: chain(&error) })?;
    state.release(&written);
    let members = log.members_at(u64::MAX).unwrap_or_default();
    let founder = |peer: Peer| Member::from(&peer);
    let founders = Membership::founded(identity.founders().into_iter().map(founder).collect());
    let own = members.member(survivor.node).or(founders.member(survivor.node)).cloned();
    let mut member = own.ok_or_else(|| Error::NoData(data.to_owned()))?;
    member.replaces = None;
    let others = members.members.iter().chain(&founders.members).map(|member| member.id);
    let mut removed: Vec<NodeId> = others.chain(members.removed.iter().copied()).collect();
    removed.retain(|id| *id != survivor.node);
    removed.sort_unstable();
    removed.dedup();
    let hard_term = log.hard_state().map_err(StartError::from)?.term;
    let founding = Founding {
        cluster_name: &survivor.cluster_name,
        member,
        removed,
        boot: identity.boot() + 1,
        term: hard_term.max(state.applied_term()),
        pause_payments: false,
    };
    let mut begun = build::build(stage.path(), &founding, store, state)?;
    drop(log);
    let aside = format!("before-recovery-{}", identity.boot());
    stage.take_over(Some(&aside))?;
    begun.aside = Some(data.join(aside));
    drop(identity);
    Ok((survivor, begun))
}

/// Opens a stopped node's data as a startup would, which also repairs what can be repaired.
fn open(data: &Path) -> Result<(Opened, Survivor), Error> {
    if !data.join("lock").is_file() {
        return Err(Error::NoData(data.to_owned()));
    }
    {
        // Complete an interrupted switch before reading anything.
        let _lock = lock(data)?;
        stage::finish(data).map_err(at(data))?;
    }
    let kept = identity::read(data)?.ok_or_else(|| Error::NoData(data.to_owned()))?;
    let mut config = Config::new(kept.node, data);
    config.cluster_name.clone_from(&kept.cluster_name);
    let opened = look(&config, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let (log, applied) = (&opened.log, opened.state.applied_index());
    let committed = log.hard_state().map_err(StartError::from)?.commit;
    let last = log.last_index();
    if last == 0 {
        return Err(Error::NoData(data.to_owned()));
    }
    let founders = || opened.identity.founders().iter().map(|peer| peer.id).collect();
    let survivor = Survivor {
        node: kept.node,
        cluster_name: kept.cluster_name,
        cluster_id: opened.identity.cluster_id(),
        voters: log.members_at(u64::MAX).map_or_else(founders, |members| members.voters),
        committed: committed.max(applied).max(log.marked().0).min(last),
        last,
    };
    Ok((opened, survivor))
}

fn must_be_empty(data: &Path) -> Result<(), Error> {
    for found in fs::read_dir(data).map_err(at(data))? {
        let name = found.map_err(at(data))?.file_name().to_string_lossy().into_owned();
        // The lock is ours, and nobody needs what an earlier restore began.
        if name != "lock" && name != stage::UNFINISHED && name != "lost+found" {
            return Err(Error::NotEmpty { path: data.to_owned(), found: name });
        }
    }
    Ok(())
}

fn open_store(dir: &Path) -> Result<SledStore, Error> {
    SledStore::open(dir)
        .map_err(|error| Error::State { path: dir.to_owned(), reason: chain(&error) })
}

fn open_state(dir: &Path, store: &SledStore) -> Result<State, Error> {
    State::open(store as &dyn CheckpointStore)
        .map_err(|error| Error::State { path: dir.to_owned(), reason: chain(&error) })
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(at(to))?;
    for found in fs::read_dir(from).map_err(at(from))? {
        let path = found.map_err(at(from))?.path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_dir(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(at(&path))?;
        }
    }
    Ok(())
}

//! Rebuilds a node whose data is damaged as a new member, in the directory of the old one.
//!
//! The node must never vote or acknowledge under its old id: it has forgotten its promises. So the
//! cluster first adds a new member that replaces the old one. Once that is committed, this module
//! moves all old data aside, and the directory becomes the new member's. The caller asks the
//! cluster. This module keeps what must survive a crash:
//!
//! 1. A [`Plan`] is durable before the cluster hears of it: the new id and incarnation. A later
//!    startup asks for the same.
//! 2. The new identity is made beside the old data and replaces it in steps that every startup
//!    completes (`stage`). Before the first step nothing old has changed.
//!
//! The old data is kept in `damaged-N`, the newest [`ASIDE_MAX`] of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::ids::NodeId;

use super::durable::{self, lock, read_optional, write_value};
use super::history::{self, HISTORY, PLAN, Plan, Rebuilt};
use super::identity::{self, Kept};
use super::stage::{self, Stage};
use crate::config::{Config, Join, Peer};
use crate::members::Member;
use crate::recovery::error::Error;
use crate::snapshot::Snapshots;
use crate::snapshot::files::DirectoryFiles;

/// Directories of damaged data to keep.
pub const ASIDE_MAX: usize = 3;
/// The name of such a directory, before its number.
const ASIDE: &str = "damaged-";
/// Most characters kept of the description of the damage.
const DAMAGE_CHARS_MAX: usize = 1_000;

/// A damaged directory that is to become a new member's. It holds the lock.
#[derive(Debug)]
pub struct Rebuild {
    dir: PathBuf,
    kept: Kept,
    plan: Option<Plan>,
    _lock: fs::File,
}

impl Rebuild {
    /// Begins a rebuild, or continues one. Changes nothing.
    ///
    /// # Errors
    /// When the directory is in use, or its owner is unknown.
    pub fn begin(config: &Config) -> Result<Rebuild, Error> {
        let dir = config.data_dir.clone();
        let lock = lock(&dir)?;
        stage::finish(&dir).map_err(|source| Error::Io { path: dir.clone(), source })?;
        let kept = identity::read(&dir)?.ok_or_else(|| Error::NoData(dir.clone()))?;
        let plan = read_optional(&dir.join(PLAN))?;
        Ok(Rebuild { dir, kept, plan, _lock: lock })
    }

    /// The member whose data is damaged.
    pub fn node(&self) -> NodeId {
        self.kept.node
    }

    /// The cluster that it belongs to, 32 hexadecimal digits.
    pub fn cluster_id(&self) -> String {
        identity::text_of(&self.kept.cluster)
    }

    /// The plan of this process or an earlier one.
    pub fn plan(&self) -> Option<Plan> {
        self.plan
    }

    /// The other members named in undamaged files: the newest snapshot and the founders.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = self.peers_of_snapshot();
        peers.extend(self.kept.founders.iter().cloned());
        peers.retain(|peer| peer.id != self.kept.node);
        peers
    }

    fn peers_of_snapshot(&self) -> Vec<Peer> {
        let path = self.dir.join("snapshots");
        // Opening the files would create a missing directory.
        let files = path.is_dir().then(|| DirectoryFiles::open(&path));
        let Some(Ok(files)) = files else { return Vec::new() };
        let found = Snapshots::over(Arc::new(files), self.kept.cluster).found();
        let members = found.ok().and_then(|found| Some(found.into_iter().next()?.members));
        let members = members.map(|members| members.members).unwrap_or_default();
        let peer = |member: Member| Peer {
            id: member.id,
            raft_addr: member.raft_addr,
            http_addr: member.http_addr,
        };
        members.into_iter().map(peer).collect()
    }

    /// Durably decides what to ask for. The incarnation stays the first one drawn.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn decide(&mut self, to: NodeId, replaces: Option<NodeId>) -> Result<Plan, Error> {
        let incarnation = self.plan.map_or_else(rand::random, |plan| plan.incarnation);
        let plan = Plan { to, incarnation, replaces };
        if self.plan != Some(plan) {
            write_value(&self.dir.join(PLAN), &plan)?;
            self.plan = Some(plan);
        }
        Ok(plan)
    }

    /// Completes the rebuild after the cluster added the new member: moves all old data aside and
    /// makes the directory the new member's, with an empty log and no state.
    ///
    /// # Errors
    /// When files cannot be written or moved, or the cluster's information is invalid. A later
    /// startup continues.
    ///
    /// # Panics
    /// When there is no plan.
    pub fn finish(self, join: &Join, damage: &str) -> Result<Rebuilt, Error> {
        let plan = self.plan.expect("the cluster was asked for something");
        if join.cluster != self.cluster_id() {
            return Err(durable::Error::Join("this node belonged to another cluster").into());
        }
        let dir = &self.dir;
        let mut history = history::read(dir)?;
        let rebuilt = Rebuilt {
            from: self.kept.node,
            to: plan.to,
            damage: damage.chars().take(DAMAGE_CHARS_MAX).collect(),
            aside: format!("{ASIDE}{}", numbers(dir).last().map_or(1, |number| number + 1)),
        };
        history.push(rebuilt.clone());
        let stage = Stage::begin(dir)?;
        write_value(&stage.path().join(HISTORY), &history)?;
        identity::join_as(stage.path(), plan.to, plan.incarnation, join)?;
        stage.take_over(Some(&rebuilt.aside))?;
        forget_old(dir);
        Ok(rebuilt)
    }
}

/// The numbers of the directories of old data, ascending.
fn numbers(dir: &Path) -> Vec<u64> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let number =
        |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(ASIDE)?.parse().ok();
    let mut numbers: Vec<u64> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Removes all but the newest old data, so that a disk that keeps damaging files does not fill up.
fn forget_old(dir: &Path) {
    for number in numbers(dir).iter().rev().skip(ASIDE_MAX) {
        let path = dir.join(format!("{ASIDE}{number}"));
        match fs::remove_dir_all(&path) {
            Ok(()) => tracing::warn!(path = %path.display(), "old damaged data was removed"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "old damaged data cannot be removed")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::directory::identity::Identity;

    fn config(dir: &Path) -> Config {
        let mut config = Config::new(NodeId(3), dir.join("node"));
        let peer = |id| Peer {
            id: NodeId(id),
            raft_addr: format!("127.0.0.1:{id}"),
            http_addr: Some(format!("127.0.0.1:8{id}")),
        };
        config.peers = (1..=3).map(peer).collect();
        config
    }

    fn join(config: &Config, cluster: String) -> Join {
        Join {
            cluster,
            cluster_name: config.cluster_name.clone(),
            founders: config.peers.clone(),
            met: BTreeMap::from([(NodeId(1), 11)]),
        }
    }

    #[test]
    fn a_directory_becomes_a_new_members_and_is_found_under_all_its_ids() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let data = &config.data_dir;
        let first = Identity::open(&config).expect("founded").incarnation();
        let mut incarnations = vec![first];
        for (round, to) in [(1_usize, 4), (2, 5), (3, 7), (4, 8), (5, 9)] {
            fs::write(data.join("boot"), format!("damage {round}")).expect("written");
            let error = Identity::open(&config).expect_err("damaged");
            assert!(error.is_damage(), "{error}");
            let mut rebuild = Rebuild::begin(&config).expect("begun");
            let from = rebuild.node();
            let asked = rebuild.peers();
            assert!(asked.len() >= 2 && asked.iter().all(|peer| peer.id != from));
            let plan = rebuild.decide(NodeId(to), Some(from)).expect("decided");
            drop(rebuild);
            // A later process asks for the same; nothing else has changed.
            let mut rebuild = Rebuild::begin(&config).expect("gone on with");
            assert_eq!(rebuild.plan(), Some(plan));
            assert_eq!(rebuild.decide(NodeId(to), Some(from)).expect("decided"), plan);
            assert!(Identity::open(&config).is_err(), "it is locked, and damaged");
            let join = join(&config, rebuild.cluster_id());
            let rebuilt = rebuild.finish(&join, "boot is damaged").expect("finished");
            assert_eq!((rebuilt.from, rebuilt.to), (from, NodeId(to)));
            let kept = fs::read(data.join(&rebuilt.aside).join("boot")).expect("kept");
            assert_eq!(kept, format!("damage {round}").as_bytes());
            let identity = Identity::open(&config).expect("a new member's");
            assert_eq!((identity.node(), identity.boot()), (NodeId(to), 0));
            assert_eq!(identity.incarnation(), plan.incarnation);
            assert_eq!(identity.rebuilt().len(), round);
            assert_eq!(identity.rebuilt().last(), Some(&rebuilt));
            incarnations.push(plan.incarnation);
            assert!(Rebuild::begin(&config).is_err(), "it is in use");
        }
        incarnations.sort_unstable();
        incarnations.dedup();
        assert_eq!(incarnations.len(), 6, "each is another directory to its peers");
        assert_eq!(numbers(data), [3, 4, 5], "no more than three are kept");
        // It answers to every id that it had, and to no other.
        for id in [3, 4, 5, 7, 8, 9, 6] {
            let named = Config { node_id: NodeId(id), ..config.clone() };
            let opened = Identity::open(&named);
            assert_eq!(opened.is_ok(), id != 6, "node {id}: {opened:?}");
        }
    }

    #[test]
    fn data_that_was_repaired_is_used_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        drop(Identity::open(&config).expect("founded"));
        let mut rebuild = Rebuild::begin(&config).expect("begun");
        rebuild.decide(NodeId(4), Some(NodeId(3))).expect("decided");
        drop(rebuild);
        history::give_up(&config.data_dir).expect("given up");
        history::give_up(&config.data_dir).expect("once is enough");
        assert_eq!(Rebuild::begin(&config).expect("begun").plan(), None);
        assert_eq!(Identity::open(&config).expect("opened").node(), NodeId(3));
    }

    #[test]
    fn another_cluster_gets_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let first = Identity::open(&config).expect("founded").incarnation();
        let mut rebuild = Rebuild::begin(&config).expect("begun");
        rebuild.decide(NodeId(4), Some(NodeId(3))).expect("decided");
        let refused = rebuild.finish(&join(&config, "00ff".repeat(8)), "damage");
        assert!(matches!(refused, Err(Error::Directory(durable::Error::Join(_)))), "{refused:?}");
        assert_eq!(Identity::open(&config).expect("as it was").incarnation(), first);
    }

    #[test]
    fn what_belongs_to_nobody_is_not_rebuilt() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        drop(Identity::open(&config).expect("founded"));
        let path = config.data_dir.join("identity");
        fs::write(&path, "damage").expect("written");
        let error = Identity::open(&config).expect_err("damaged");
        assert!(!error.is_damage(), "{error}");
        assert!(matches!(Rebuild::begin(&config), Err(Error::Directory(_))));
        fs::remove_file(&path).expect("removed");
        assert!(matches!(Rebuild::begin(&config), Err(Error::NoData(_))));
    }
}

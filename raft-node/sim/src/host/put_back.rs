//! A directory that is put back from an earlier copy: the node has forgotten what it did since.

use std::sync::Arc;

use raft_node::core::RolledBack;

use super::copied::Copied;
use super::*;
use crate::host::life::Crash;

impl Host {
    /// Returns whether a peer with this log recognises a node that starts on the copy.
    pub(crate) fn copy_is_recognised_by(&self, log: &MemoryLog) -> bool {
        self.speaks > 0 && self.copy.as_ref().is_some_and(|copy| copy.is_recognised(self.id, log))
    }

    /// Returns whether its directory was put back and it has not noticed.
    pub(crate) fn is_put_back(&self) -> bool {
        self.put_back && !self.damaged
    }

    /// Copies the directory of a process that has ended.
    pub(crate) fn copy_directory(&mut self, sim: &mut Sim) {
        sim.cover.directories_copied += 1;
        sim.say(|| format!("n{}: the directory is copied", self.id));
        self.copy = Some(Copied {
            log: self.log.copy(),
            store: self.store.copy(),
            files: self.files.copy(),
            installed: self.installed,
            checkpoint_damaged: self.disk.checkpoint_damaged,
            boot: self.boot,
        });
    }

    /// Puts the copy in the place of the directory of a process that has ended.
    pub(crate) fn put_copy_back(&mut self, sim: &mut Sim) {
        let Some(copy) = self.copy.take() else { return };
        sim.cover.directories_put_back += 1;
        sim.say(|| format!("n{}: the copy of boot {} is put back", self.id, copy.boot));
        self.log = Arc::new(copy.log);
        self.store = Arc::new(copy.store);
        self.files = Arc::new(copy.files);
        self.installed = copy.installed;
        self.disk.checkpoint_damaged = copy.checkpoint_damaged;
        self.boot = copy.boot;
        self.put_back = true;
    }

    /// Ends a node that noticed that its data is older than what it did. It must not come back.
    pub(super) fn stop_rolled_back(&mut self, sim: &mut Sim, rolled_back: RolledBack) {
        if !self.put_back {
            return sim.fail(format!("node {}: {rolled_back:?}", self.id));
        }
        sim.cover.put_backs_noticed += 1;
        sim.say(|| format!("n{} stops: {rolled_back}", self.id));
        self.crash(sim, Crash::Kill);
        self.damaged = true;
    }
}

//! The checkpointer's duty: freezes, writes, releases, and marks the log.

use std::sync::atomic::{AtomicBool, Ordering};

use engine::checkpoint::{CheckpointStore, Row, Write};
use engine::store;
use parking_lot::Mutex;

use super::*;

impl Host {
    /// Freezes the changes, if there are any.
    pub(super) fn freeze(&mut self, sim: &mut Sim) {
        let interval = self.clock.true_us(sim.plan.checkpoint_interval_ms * MS);
        let Some(process) = &mut self.up else { return };
        // Whether or not more was written since: the end of a burst counts as much as its middle.
        if sim.now - process.marked_at >= SECOND
            && let Some((index, term)) = process.unmarked.take()
        {
            process.marked_at = sim.now;
            self.log.mark(index, term);
        }
        let installing = process.files.installing.is_some();
        if installing || process.state.applied_index() <= process.checkpoint_index {
            if !installing {
                self.begin_snapshot(sim);
            }
            return self.after(sim, interval, Duty::Freeze);
        }
        let frozen = process.state.freeze();
        process.frozen = Some((frozen, process.state.applied_term()));
        let delay = self.disk_us(sim, sim.plan.disk.checkpoint_us);
        self.after(sim, delay, Duty::Frozen);
    }

    /// Completes the write that began with the freeze.
    pub(super) fn write_checkpoint(&mut self, sim: &mut Sim) {
        let interval = self.clock.true_us(sim.plan.checkpoint_interval_ms * MS);
        let Some(process) = &mut self.up else { return };
        let Some((frozen, term)) = process.frozen.take() else {
            // A snapshot replaced what was frozen.
            return self.after(sim, interval, Duty::Freeze);
        };
        if self.disk.full {
            // The disk fills up somewhere in the middle.
            self.store.fail_after(sim.random.below(4));
            let _ = frozen.write(&PlantedStore::over(sim, &self.store));
            sim.cover.disks_full += 1;
            return self.fail_stop(sim, "the disk is full");
        }
        let written = match frozen.write(&PlantedStore::over(sim, &self.store)) {
            Ok(written) => written,
            Err(error) => {
                return sim.fail(format!("node {}: checkpoint: {error}", self.id));
            }
        };
        process.state.release(&written);
        let index = written.applied_index();
        process.checkpoint_index = index;
        sim.cover.checkpoints += 1;
        process.unmarked = Some((index, term));
        self.begin_snapshot(sim);
        self.after(sim, interval, Duty::Freeze);
    }

    pub(crate) fn is_writing_checkpoint(&self) -> bool {
        self.up.as_ref().is_some_and(|process| process.frozen.is_some())
    }

    /// The process dies during a write: some of its operations are done.
    pub(super) fn tear_checkpoint(&mut self, sim: &mut Sim, frozen: &Frozen) {
        sim.cover.checkpoints_torn += 1;
        self.store.fail_after(sim.random.below(5));
        // Nobody gets its result.
        let _ = frozen.write(&PlantedStore::over(sim, &self.store));
    }

    /// Writes a last checkpoint before an orderly stop.
    pub(super) fn last_checkpoint(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        process.frozen = None;
        let (frozen, term) = (process.state.freeze(), process.state.applied_term());
        match frozen.write(&*self.store) {
            Ok(written) => self.log.mark(written.applied_index(), term),
            Err(error) => sim.fail(format!("node {}: last checkpoint: {error}", self.id)),
        }
    }
}

/// The store, with a planted bug in its writes, if any.
struct PlantedStore<'a> {
    store: &'a MemoryStore,
    bug: Option<Bug>,
    late: Mutex<Vec<Row>>,
    published: AtomicBool,
}

impl<'a> PlantedStore<'a> {
    fn over(sim: &Sim, store: &'a MemoryStore) -> PlantedStore<'a> {
        PlantedStore {
            store,
            bug: sim.bug,
            late: Mutex::default(),
            published: AtomicBool::new(false),
        }
    }
}

impl CheckpointStore for PlantedStore<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), store::Error>,
    ) -> Result<(), store::Error> {
        self.store.scan(prefix, visit)
    }

    fn stage(&self, rows: Vec<Row>) -> Result<(), store::Error> {
        if self.bug == Some(Bug::PublishBeforeStage) {
            self.late.lock().extend(rows);
            return Ok(());
        }
        self.store.stage(rows)
    }

    fn discard(&self, keys: Vec<Vec<u8>>) -> Result<(), store::Error> {
        self.store.discard(keys)
    }

    fn publish(&self, mut writes: Vec<Write>) -> Result<(), store::Error> {
        if self.bug == Some(Bug::AppliedIndexApart) {
            let last = writes.split_off(writes.len().saturating_sub(1));
            self.store.publish(writes)?;
            return self.store.publish(last);
        }
        self.published.store(true, Ordering::Relaxed);
        self.store.publish(writes)?;
        let late = std::mem::take(&mut *self.late.lock());
        match late.is_empty() {
            true => Ok(()),
            false => self.store.stage(late),
        }
    }

    fn sync(&self) -> Result<(), store::Error> {
        let published = self.published.load(Ordering::Relaxed);
        if self.bug == Some(Bug::PublishBeforeSync) && !published {
            return Ok(());
        }
        self.store.sync()
    }
}

//! The duties for snapshot files: take, send, receive, install, and truncate the log.

use engine::store::memory::MemoryStore;
use raft_node::core::{FileTask, Install};
use raft_node::log::LogStore;
use raft_node::snapshot::files::Files;
use raft_node::snapshot::{Snapshots, name_of};

use super::files::{CLUSTER_ID, Prepared, Taking};
use super::life::Crash;
use super::*;

/// The longest that reading a file takes.
const READ_US_MAX: u64 = 10 * SECOND;

impl Host {
    /// Begins a snapshot if one is due, right after a checkpoint.
    pub(super) fn begin_snapshot(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let index = process.checkpoint_index;
        let files = &mut process.files;
        let newest = files.snapshots.indexes().ok().and_then(|indexes| indexes.last().copied());
        let due = files.schedule.is_due(index) || files.wanted;
        if files.taking.is_some() || !due || newest >= Some(index) {
            return;
        }
        files.wanted = false;
        let members_at = |index| self.log.members_at(index).expect("the founders are known");
        let draft = match files.snapshots.begin(&*self.store, members_at) {
            Ok(Some(draft)) => draft,
            Ok(None) => return,
            Err(error) => return sim.fail(format!("node {}: {error}", self.id)),
        };
        let (store, grown_at_begin) = (Arc::clone(&self.store), files.schedule.grown());
        files.taking = Some(Taking { draft, store, grown_at_begin });
        process.state.keep_old_events(true);
        let delay = self.disk_us(sim, 5 * sim.plan.disk.checkpoint_us);
        self.after(sim, delay, Duty::SnapshotWritten);
    }

    /// Makes a snapshot due at the next checkpoint.
    pub(crate) fn want_snapshot(&mut self) {
        if let Some(process) = &mut self.up {
            process.files.wanted = true;
        }
    }

    /// Completes the snapshot that was begun.
    pub(super) fn finish_snapshot(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let files = &mut process.files;
        let Some(Taking { draft, store, grown_at_begin }) = files.taking.take() else { return };
        process.state.keep_old_events(false);
        if self.disk.full {
            self.files.fail_after(sim.random.below(3));
        }
        let meta = match files.snapshots.finish(draft, &*store) {
            Ok(meta) => meta,
            Err(_) if self.disk.full => {
                sim.cover.snapshots_failed += 1;
                self.files.crash(|kept| kept);
                return;
            }
            Err(error) => return sim.fail(format!("node {}: {error}", self.id)),
        };
        if self.disk.full {
            self.files.crash(|kept| kept);
        }
        sim.cover.snapshots_taken += 1;
        sim.say(|| format!("n{} has a snapshot at index {}", self.id, meta.index));
        files.schedule.taken(meta.index, meta.bytes, grown_at_begin);
        let indexes = files.snapshots.indexes().unwrap_or_default();
        let older = indexes.iter().copied().rfind(|index| *index < meta.index).unwrap_or(0);
        let newest = indexes.last().copied().unwrap_or(meta.index);
        let kept = if newest > meta.index { vec![newest] } else { vec![older, meta.index] };
        self.keep_only(sim, &kept);
        self.mail(sim, Input::SnapshotTaken(Box::new(meta), older));
    }

    /// Takes tasks for the thread that handles files.
    pub(super) fn file_tasks(&mut self, sim: &mut Sim, tasks: Vec<FileTask>) {
        let Some(process) = &mut self.up else { return };
        process.files.tasks.extend(tasks);
        self.start_file_task(sim);
    }

    fn start_file_task(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let files = &mut process.files;
        if files.busy {
            return;
        }
        let Some(task) = files.tasks.front() else { return };
        files.busy = true;
        let snapshots = &files.snapshots;
        let read_bytes = match task {
            FileTask::Send { index, .. } => {
                let part = sim.plan.snapshot_part_bytes as u64;
                snapshots.unverified_bytes(*index).unwrap_or(0) + part
            }
            FileTask::Verify { .. } | FileTask::Prepare { .. } => {
                let name = |name: &String| self.files.size(name).ok().flatten();
                self.files.list().iter().flatten().filter_map(name).max().unwrap_or(0)
            }
            _ => 0,
        };
        let mean_us = match task {
            FileTask::Prepare { .. } => 5 * sim.plan.disk.checkpoint_us,
            _ => sim.plan.disk.write_us,
        };
        let read_us = read_bytes * sim.plan.disk.read_us_per_kib / 1_024;
        // A disk that is slow in two ways must not outlast the faults.
        let read_us = (read_us * (1 + self.disk.slower)).min(READ_US_MAX);
        let delay = self.disk_us(sim, mean_us) + read_us;
        self.after(sim, delay, Duty::FileTask);
    }

    pub(super) fn file_task(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let files = &mut process.files;
        files.busy = false;
        let Some(task) = files.tasks.pop_front() else { return };
        match task {
            FileTask::Send { to, index, offset } => self.send_part(sim, to, index, offset),
            FileTask::Verify { index } => {
                if files.snapshots.verify(index).is_err() {
                    self.set_aside(sim, index);
                }
            }
            FileTask::Begin { from, index, term } => {
                files.unwritten = false;
                let begun = files.snapshots.begin_receiving(from, index, term);
                let offset = begun.expect("memory makes files");
                sim.cover.transfers_resumed += u64::from(offset > 0);
                self.mail(sim, Input::PartialFound { from, index, offset });
            }
            FileTask::Write { index, offset, bytes } => {
                let written = !self.disk.full && files.snapshots.receive(offset, &bytes).is_ok();
                files.unwritten |= !written;
                self.mail(sim, Input::PartWritten(index, written));
            }
            FileTask::Prepare { index, term } => {
                let unwritten = files.unwritten;
                let prepared = self.prepare(index, term);
                sim.say(|| {
                    format!("n{} prepares the snapshot at {index}: {:?}", self.id, prepared)
                });
                if let Err(what) = prepared
                    && sim.cover.snapshots_damaged == 0
                    && !unwritten
                {
                    sim.fail(format!("node {}: no snapshot as it was sent: {what}", self.id));
                }
                let ok = self.up.as_ref().is_some_and(|process| process.files.prepared.is_some());
                self.mail(sim, Input::SnapshotPrepared(index, ok));
            }
            FileTask::Forget => {
                sim.cover.transfers_given_up += 1;
                files.prepared = None;
            }
            FileTask::Compact { index, term } => {
                sim.cover.logs_cut += 1;
                sim.say(|| format!("n{} cuts its log after {index}", self.id));
                self.log.compact(index, term).expect("memory takes it");
            }
            FileTask::Take => files.wanted = true,
        }
        self.start_file_task(sim);
    }

    fn send_part(&mut self, sim: &mut Sim, to: NodeId, index: u64, offset: u64) {
        let Some(process) = &mut self.up else { return };
        let snapshots = &process.files.snapshots;
        let verified = snapshots.verify_once(index);
        if verified.is_ok() && self.disk.damages_sent_snapshot {
            self.disk.damages_sent_snapshot = false;
            if self.two_sound_snapshots().is_some() {
                self.flip_bit(sim, index);
            }
        }
        let Some(process) = &mut self.up else { return };
        let snapshots = &process.files.snapshots;
        let part = match verified {
            Ok(()) => snapshots.part(index, offset, sim.plan.snapshot_part_bytes),
            Err(error) => {
                self.set_aside(sim, index);
                Err(error)
            }
        };
        let part = part.ok().flatten();
        let ok = part.is_some();
        if let Some((size, bytes)) = part {
            sim.cover.snapshot_parts_sent += 1;
            let part = PeerMessage::SnapshotPart { index, offset, size, bytes };
            let mut bytes = Vec::new();
            message::encode_frame(self.clock.now(sim.now).wall_ms, &[part], &mut bytes);
            sim.transmit_part(self.id, to, bytes);
        }
        self.mail(sim, Input::PartSent { to, index, offset, ok });
    }

    /// Moves a damaged file aside.
    fn set_aside(&mut self, sim: &mut Sim, index: u64) {
        let Some(process) = &mut self.up else { return };
        process.files.held.remove(&index);
        if process.files.snapshots.set_aside(index).is_ok() {
            sim.cover.snapshots_found_damaged += 1;
        }
        self.mail(sim, Input::SnapshotLost(index));
    }

    /// Notes which files are being sent.
    pub(super) fn hold_snapshots(&mut self, held: BTreeSet<u64>) {
        let Some(process) = &mut self.up else { return };
        let there = process.files.snapshots.indexes().unwrap_or_default();
        let new = held.iter().filter(|index| there.contains(index));
        let before = &process.files.held;
        let known = before.intersection(&held).chain(new).copied().collect();
        process.files.held = known;
        process.files.snapshots.hold(held);
    }

    /// Removes all files but these. One that is being sent must stay.
    fn keep_only(&mut self, sim: &mut Sim, kept: &[u64]) {
        let Some(process) = &mut self.up else { return };
        let files = &process.files;
        files.snapshots.keep_only(kept).expect("memory removes files");
        let there = files.snapshots.indexes().unwrap_or_default();
        if let Some(gone) = files.held.iter().find(|index| !there.contains(index)) {
            sim.fail(format!("node {} sends the snapshot at {gone} and removed it", self.id));
        }
    }

    /// Verifies a received file and makes a state of it, beside the served one.
    fn prepare(&mut self, index: u64, term: u64) -> Result<(), String> {
        let Some(process) = &mut self.up else { return Ok(()) };
        let files = &mut process.files;
        files.prepared = None;
        let meta = files.snapshots.received(index, term).map_err(|error| error.to_string())?;
        let store = Arc::new(MemoryStore::new());
        files.snapshots.fill(index, &*store).map_err(|error| error.to_string())?;
        let state = State::open(&*store).map_err(|error| error.to_string())?;
        files.prepared = Some(Prepared { meta, store, state });
        Ok(())
    }

    /// Begins an installation: the pointer to the new state is durable before the log changes.
    pub(super) fn begin_install(&mut self, sim: &mut Sim, append: &Append) {
        let Some(process) = &mut self.up else { return };
        let Some(install) = &append.install else { return };
        let files = &mut process.files;
        let prepared = files.prepared.take().filter(|it| it.meta.index == install.index);
        let Some(prepared) = prepared else {
            return sim.fail(format!("node {}: nothing is ready to be installed", self.id));
        };
        // A checkpoint that is being written belongs to the old store, and is lost with it.
        process.frozen = None;
        self.store = Arc::clone(&prepared.store);
        self.installed = (install.index, install.term);
        let Install { index, term, ref members } = *install;
        if sim.bug.is_none()
            && let Err(what) = sim.electorate.check_at(index, members)
        {
            return sim.fail(format!("node {} installs a snapshot, and {what}", self.id));
        }
        sim.cover.members_from_snapshots += u64::from(members.index > self.log.last_index());
        self.log.write_install(index, term, append.hard_state.as_ref(), members);
        files.installing = Some((install.clone(), prepared));
        files.install_begun = true;
    }

    /// Returns whether an installation began since the last call.
    pub(crate) fn has_begun_to_install(&mut self) -> bool {
        let process = self.up.as_mut();
        process.is_some_and(|process| std::mem::take(&mut process.files.install_begun))
    }

    /// Completes an installation: the restarted log is synced, so replace the old state.
    pub(super) fn end_install(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let Some((install, prepared)) = process.files.installing.take() else { return };
        let Install { index, term, .. } = install;
        let Prepared { meta, mut state, .. } = prepared;
        if let Err(what) = sim.oracle.opened(&mut state) {
            return sim.fail(format!("node {}: {what}", self.id));
        }
        sim.cover.snapshots_installed += 1;
        sim.say(|| format!("n{} has installed the snapshot at {index}", self.id));
        self.log.mark(index, term);
        state.set_resident_chunks_max(sim.plan.resident_chunks_max);
        state.set_event_retention(sim.plan.events_kept_max, sim.plan.events_kept_ms);
        let (clock, next_deadline, level) = (state.clock(), state.next_deadline(), state.level());
        process.state = state;
        process.committed.retain(|waits| waits.last_index() > index);
        process.handed_out = process.handed_out.max(index);
        process.checkpoint_index = index;
        process.unmarked = None;
        self.keep_only(sim, &[index]);
        self.reached(sim, index);
        self.check_level(sim, level);
        self.mail(sim, Input::Applied { index, clock, level, answered: Vec::new() });
        self.mail(sim, Input::NextDeadline(next_deadline));
        self.mail(sim, Input::SnapshotTaken(Box::new(meta), index));
    }

    /// The process dies: unfinished snapshot files stay in part.
    pub(super) fn tear_snapshots(&mut self, sim: &mut Sim, process: &mut Process, how: Crash) {
        if let Some(taking) = process.files.taking.take() {
            sim.cover.snapshots_torn += 1;
            self.files.fail_after(sim.random.below(4));
            // Nobody gets its result.
            let _ = process.files.snapshots.finish(taking.draft, &*taking.store);
        }
        let names = self.files.list().unwrap_or_default();
        let receiving = names.iter().any(|name| name.starts_with("incoming"));
        sim.cover.transfers_torn += u64::from(receiving);
        sim.cover.installs_torn += u64::from(process.files.installing.is_some());
        let random = &mut sim.random;
        self.files.crash(|unsynced| match how {
            Crash::Kill => unsynced,
            Crash::PowerCut => random.below(unsynced as u64 + 1) as usize,
        });
    }

    /// Opens the state as production does: from its checkpoint, else from the newest sound snapshot
    /// that the log follows, else from a whole log.
    pub(super) fn open_state(&mut self, sim: &mut Sim, snapshots: &Snapshots) -> Option<State> {
        let damaged = self.disk.checkpoint_damaged;
        let (first, last) = (self.log.compacted().0, self.log.last_index());
        match State::open(&*self.store) {
            Ok(state) if state.applied_index() >= first => return Some(state),
            Ok(state) => {
                let at = state.applied_index();
                sim.say(|| format!("n{}: the checkpoint is at {at}", self.id));
                sim.fail(format!(
                    "node {}: the log is cut after {first}, the checkpoint is at {at}",
                    self.id
                ));
                return None;
            }
            Err(error) if damaged => {
                self.disk.checkpoint_damaged = false;
                sim.cover.checkpoints_rebuilt += 1;
                sim.say(|| format!("n{} rebuilds its checkpoint: {error}", self.id));
            }
            Err(error) => {
                sim.fail(format!("node {}: the checkpoint does not open: {error}", self.id));
                return None;
            }
        }
        let installing = self.installed.0 > first;
        for index in snapshots.indexes().unwrap_or_default().into_iter().rev() {
            let installed = installing && index == self.installed.0;
            if !(installed || (first..=last).contains(&index)) {
                continue;
            }
            let store = Arc::new(MemoryStore::new());
            let filled = snapshots.fill(index, &*store).map_err(|error| error.to_string());
            match filled.and_then(|_| State::open(&*store).map_err(|error| error.to_string())) {
                Ok(state) => {
                    sim.cover.states_from_snapshots += 1;
                    sim.say(|| format!("n{} makes its state from {}", self.id, name_of(index)));
                    self.store = store;
                    return Some(state);
                }
                Err(_) => {
                    sim.cover.snapshots_found_damaged += 1;
                    snapshots.set_aside(index).expect("memory renames files");
                }
            }
        }
        if first > 0 || installing {
            sim.fail(format!("node {}: no snapshot for a log cut after {first}", self.id));
            return None;
        }
        self.store = Arc::new(MemoryStore::new());
        Some(State::new())
    }

    /// Completes an installation that a crash interrupted after the pointer was written.
    pub(super) fn end_installation(
        &mut self,
        sim: &mut Sim,
        snapshots: &Snapshots,
        state: &State,
    ) -> Result<(), String> {
        let (index, term) = self.installed;
        if index <= self.log.compacted().0 {
            return Ok(());
        }
        sim.cover.installs_ended_at_start += 1;
        if state.applied_index() != index {
            return Err(format!("installed at {index}, but the state is elsewhere"));
        }
        let meta = snapshots.verify(index).map_err(|error| error.to_string())?;
        self.log.install(index, term, None, &meta.members).map_err(|error| error.to_string())?;
        self.log.mark(index, term);
        Ok(())
    }

    /// Two snapshots, unless one is damaged already. Snapshots that end before the log begins do
    /// not count: without the other one the node would be lost.
    fn two_sound_snapshots(&self) -> Option<[u64; 2]> {
        let snapshots = Snapshots::over(Arc::clone(&self.files) as Arc<dyn Files>, CLUSTER_ID);
        let mut indexes = snapshots.indexes().unwrap_or_default();
        // Nor do those before an installation that is under way.
        indexes.retain(|index| *index >= self.log.compacted().0.max(self.installed.0));
        let is_sound = |index: &u64| snapshots.verify(*index).is_ok();
        indexes.iter().all(is_sound).then(|| indexes.last_chunk().copied()).flatten()
    }

    /// Flips a bit in one of two sound snapshots.
    pub(crate) fn damage_snapshot(&mut self, sim: &mut Sim) {
        let Some(indexes) = self.two_sound_snapshots() else { return };
        // Half of the time a file decays after its sender has read it to its end.
        if sim.random.percent(50) {
            self.disk.damages_sent_snapshot = true;
            return;
        }
        // The newer one is sent and read back.
        let index = if sim.random.percent(70) { indexes[1] } else { indexes[0] };
        self.flip_bit(sim, index);
    }

    fn flip_bit(&self, sim: &mut Sim, index: u64) {
        let bit = sim.random.next();
        sim.cover.snapshots_damaged += 1;
        sim.say(|| format!("n{}: the snapshot at {index} is damaged", self.id));
        self.files.damage(&name_of(index), |bytes| {
            let bit = bit % (bytes.len() as u64 * 8);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        });
    }
}

//! The beginning and end of a process: start, crash, orderly stop.

use engine::level::NEWEST;
use engine::secret::Secret;
use raft_node::addresses::Addresses;
use raft_node::core::{Space, Start};
use raft_node::log::{self, LogStore};
use raft_node::snapshot::Snapshots;
use raft_node::snapshot::files::Files;

use super::files::{CLUSTER_ID, FileDuty};
use super::*;
use crate::ask::Reply;
use crate::operator::task::member;
use crate::sim::CLUSTER;

/// An involuntary end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is killed. What it wrote stays in the page cache.
    Kill,
    /// The machine loses power. Unsynced data may be gone.
    PowerCut,
}

impl Host {
    /// Starts a process from what the disk holds.
    pub(crate) fn start(&mut self, sim: &mut Sim) {
        self.restarting = false;
        if self.up.is_some() || self.damaged || !self.joined {
            return;
        }
        if self.disk.full || self.disk.hangs {
            // It would stop at its first write, or wait.
            self.restart_after(sim, SECOND);
            return;
        }
        if let Err(error) = self.log.reopen() {
            sim.cover.logs_damaged += 1;
            sim.say(|| format!("n{} does not start: {error}", self.id));
            self.damaged = true;
            return;
        }
        if !sim.planted(Bug::OpenedWithoutSync) {
            self.log.sync();
        }
        let first = self.log.first_index();
        let entries = self.log.entries(first, self.log.last_index() + 1, u64::MAX);
        self.check_log(sim, &entries.unwrap_or_default());
        let files = Arc::clone(&self.files) as Arc<dyn Files>;
        let snapshots = Snapshots::open(files, CLUSTER_ID).expect("memory lists files");
        let Some(mut state) = self.open_state(sim, &snapshots) else { return };
        if let Err(what) = self.end_installation(sim, &snapshots, &state) {
            return sim.fail(format!("node {}: {what}", self.id));
        }
        state.set_resident_chunks_max(sim.plan.resident_chunks_max);
        state.set_event_retention(sim.plan.events_kept_max, sim.plan.events_kept_ms);
        if self.boot > 0 {
            sim.cover.restarts += 1;
            sim.cover.restarts_from_checkpoint += u64::from(state.applied_index() > 0);
        }
        if let Err(what) = sim.oracle.opened(&mut state) {
            return sim.fail(format!("node {}: {what}", self.id));
        }
        let applied_index = state.applied_index();
        if applied_index > self.log.last_index() {
            let last = self.log.last_index();
            return sim.fail(format!(
                "node {}: the checkpoint is at {applied_index}, the log ends at {last}",
                self.id
            ));
        }
        if self.boot > 0 && self.speaks < NEWEST && sim.random.percent(60) {
            self.speaks = NEWEST;
            sim.cover.builds_replaced += 1;
        }
        self.check_level(sim, state.level());
        self.addresses = Addresses::new(&self.listed);
        self.boot += 1;
        self.awake_since = sim.now;
        self.clock.boot(sim.now);
        let founders = || {
            let founders = self.voters.iter().map(|id| member(*id, None));
            Membership::founded(founders.collect())
        };
        let members = match log::members_or_founders(&*self.log, applied_index, founders) {
            Ok(members) => members,
            Err(error) => return sim.fail(format!("node {}: {error}", self.id)),
        };
        if sim.bug.is_none()
            && let Err(what) = sim.electorate.check_at(applied_index, &members)
        {
            return sim.fail(format!("node {} starts, and {what}", self.id));
        }
        let found = snapshots.found().expect("memory lists files");
        let mut schedule =
            Schedule::new(sim.plan.snapshot_log_bytes, sim.plan.snapshot_entries_max);
        if let Some(newest) = found.first() {
            schedule.taken(newest.index, newest.bytes, 0);
        }
        let start = Start {
            node: self.id,
            boot: self.boot,
            run: sim.random.next(),
            members,
            applied_index,
            clock: state.clock(),
            level: state.level(),
            addresses: Some((sim.addresses[&self.id].clone(), None)),
            speaks: self.speaks,
            secret: Secret(std::array::from_fn(|_| sim.random.next() as u8)),
            snapshots: found,
            seed: sim.random.next(),
        };
        let log = Arc::clone(&self.log) as Arc<dyn LogStore>;
        let core = match Core::new(start, sim.plan.core.clone(), log) {
            Ok(core) => core,
            Err(error) => return sim.fail(format!("node {}: {error}", self.id)),
        };
        sim.say(|| format!("n{} starts, boot {}, at index {applied_index}", self.id, self.boot));
        self.run(sim, core, state, FileDuty::new(snapshots, schedule));
    }

    fn run(&mut self, sim: &mut Sim, core: Core, state: State, files: FileDuty) {
        let next_deadline = state.next_deadline();
        let applied_index = state.applied_index();
        self.up = Some(Box::new(Process {
            core,
            state,
            worker: Worker::new(
                self.id,
                CLUSTER.into(),
                sim.provider.capabilities(),
                sim.plan.payments.clone(),
            ),
            boot: self.boot,
            mailbox: Vec::new(),
            frames_waiting: 0,
            step_planned: false,
            view: View::default(),
            role: (0, 0, false),
            leads: false,
            next_seq: 1,
            next_ticket: 1,
            waiting: BTreeMap::new(),
            readers: BTreeMap::new(),
            readers_at: BTreeMap::new(),
            appends: VecDeque::new(),
            appending: None,
            committed: VecDeque::new(),
            handed_out: applied_index,
            unjudged: Vec::new(),
            applying: false,
            frozen: None,
            files,
            checkpoint_index: applied_index,
            unmarked: None,
            marked_at: sim.now,
            next_call: 1,
            calls: BTreeSet::new(),
            stopping: None,
            commit_index: 0,
            voted: false,
        }));
        self.mail(sim, Input::NextDeadline(next_deadline));
        if self.disk.space != Space::Ample {
            self.mail(sim, Input::Space(self.disk.space));
        }
        let within = |sim: &mut Sim, ms: u64| sim.random.below(ms * MS) + 1;
        let tick = within(sim, sim.plan.core.tick_ms);
        self.after(sim, tick, Duty::Tick);
        let freeze = within(sim, sim.plan.checkpoint_interval_ms);
        self.after(sim, freeze, Duty::Freeze);
        let poll = within(sim, sim.plan.payments.poll_ms);
        self.after(sim, poll, Duty::Poll);
        let keep_alive = within(sim, 1_000);
        self.after(sim, keep_alive, Duty::KeepAlive);
    }

    /// Ends the process at once.
    pub(crate) fn crash(&mut self, sim: &mut Sim, how: Crash) {
        let Some(mut process) = self.up.take() else { return };
        sim.say(|| format!("n{} crashes: {how:?}", self.id));
        self.life += 1;
        self.forget_hanging();
        self.paused_until = None;
        self.held.clear();
        sim.cover.leader_crashes += u64::from(process.leads);
        match how {
            Crash::Kill => sim.cover.kills += 1,
            Crash::PowerCut => sim.cover.power_cuts += 1,
        }
        match &process.appending {
            // A truncated record has a wrong checksum, so opening the log removes it.
            Some((_, false)) => sim.cover.appends_torn += 1,
            Some((_, true)) => sim.cover.crashes_before_sync += 1,
            None => {}
        }
        let unsynced = self.log.unsynced();
        if how == Crash::PowerCut {
            let mut kept = 0;
            while kept < unsynced && sim.random.percent(sim.plan.disk.kept_percent) {
                kept += 1;
            }
            sim.cover.appends_lost += (unsynced - kept) as u64;
            sim.cover.appends_kept += kept as u64;
            self.log.crash_keeping(kept);
        } else {
            sim.cover.appends_kept += unsynced as u64;
        }
        if let Some((frozen, _)) = &process.frozen {
            self.tear_checkpoint(sim, frozen);
        }
        match how {
            Crash::Kill => self.store.crash(usize::MAX),
            Crash::PowerCut if sim.random.percent(50) => {
                let kept = sim.random.below(self.store.unsynced() as u64 + 1);
                self.store.crash(kept as usize);
            }
            Crash::PowerCut => self.store.crash_keeping(|| sim.random.percent(50)),
        }
        self.tear_snapshots(sim, &mut process, how);
        self.hang_up(sim, *process);
    }

    /// Replaces the disk with an empty one.
    pub(crate) fn wipe(&mut self, sim: &mut Sim) {
        self.crash(sim, Crash::PowerCut);
        sim.say(|| format!("n{} loses its disk", self.id));
        self.log = Arc::new(MemoryLog::default());
        self.store = Arc::new(MemoryStore::new());
        self.files = Arc::new(MemoryFiles::default());
        self.installed = (0, 0);
        self.disk.checkpoint_damaged = false;
        self.wiped = true;
        let delay = sim.random.between(MS, sim.plan.down_us + MS);
        self.restart_after(sim, delay);
    }

    /// A storage error: the node acknowledges nothing more, stops, and trusts only what it reads
    /// back.
    pub(super) fn fail_stop(&mut self, sim: &mut Sim, why: &str) {
        sim.say(|| format!("n{} stops: {why}", self.id));
        self.crash(sim, Crash::PowerCut);
        let delay = sim.random.between(MS, sim.plan.down_us + MS);
        self.restart_after(sim, delay);
    }

    pub(crate) fn restart_after(&mut self, sim: &mut Sim, delay: Time) {
        if !self.restarting {
            self.restarting = true;
            sim.after(delay, Event::Restart { node: self.id });
        }
    }

    /// Breaks connections: waiting clients get no answer.
    fn hang_up(&mut self, sim: &mut Sim, process: Process) {
        for (_, (request, waiter)) in process.waiting {
            sim.oracle.in_doubt(request);
            if let Waiter::Client { client, attempt } = waiter {
                sim.reply(client, attempt, Reply::ConnectionReset);
            }
        }
        let readers = process.readers.into_values();
        for reader in readers.chain(process.readers_at.into_values().flatten()) {
            sim.reply(reader.client, reader.attempt, Reply::ConnectionReset);
        }
    }

    /// Begins an orderly stop, with a transfer of leadership.
    pub(crate) fn stop(&mut self, sim: &mut Sim) {
        let patience = 2 * sim.plan.core.election_ticks as u64 * sim.plan.core.tick_ms * MS;
        let Some(process) = &mut self.up else { return };
        if process.stopping.is_none() {
            process.stopping = Some(sim.now + patience);
            sim.say(|| format!("n{} is asked to stop", self.id));
            self.mail(sim, Input::TransferLeader(None));
        }
    }

    /// At every tick of a stopping node: ends it once it does not lead, or has waited long enough.
    pub(super) fn go_on_stopping(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        let over = process.stopping.is_some_and(|until| !process.leads || sim.now >= until);
        if !over || self.disk.hangs {
            return;
        }
        // The core ends. Log and applier finish their queues.
        let (appending, appends) = (process.appending.take(), std::mem::take(&mut process.appends));
        let under_way = appending.filter(|(_, written)| !written).map(|(append, _)| append);
        for append in under_way.into_iter().chain(appends) {
            let Append { install, entries, hard_state, members, .. } = &append;
            if install.is_some() {
                // As if it had ended before.
                break;
            }
            self.log.write_all(entries, hard_state.as_ref(), members);
            if let Some(keep) = &append.keep {
                self.log.write_memory(&keep.memory);
            }
        }
        self.log.sync();
        if self.up.as_ref().is_some_and(|process| process.files.installing.is_none()) {
            self.apply_all(sim);
            self.last_checkpoint(sim);
        }
        let Some(mut process) = self.up.take() else { return };
        self.tear_snapshots(sim, &mut process, Crash::Kill);
        sim.cover.orderly_stops += 1;
        sim.say(|| format!("n{} has stopped", self.id));
        self.life += 1;
        self.hang_up(sim, *process);
        let delay = sim.random.between(MS, sim.plan.down_us + MS);
        self.restart_after(sim, delay);
    }
}

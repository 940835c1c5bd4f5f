//! The log thread's duty: writes and syncs one append after the other.

use raft_node::log::LogStore;
use raft_node::simulation;

use super::*;

impl Host {
    /// Begins the next append, unless one is open.
    pub(super) fn start_append(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        if process.appending.is_some() {
            return;
        }
        let Some(mut append) = process.appends.pop_front() else { return };
        // Appends that follow each other become one write, as in production.
        while let Some(next) = process.appends.pop_front() {
            if let Some(replaced) = simulation::merge(&mut append, next) {
                process.appends.push_front(replaced);
                break;
            }
        }
        let number = append.number;
        process.appending = Some((append, false));
        if sim.planted(Bug::ReportBeforeSync) {
            self.mail(sim, Input::Persisted(number));
        }
        let delay = self.disk_us(sim, sim.plan.disk.write_us);
        self.after(sim, delay, Duty::Written);
    }

    pub(super) fn written(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        if self.disk.full {
            sim.cover.disks_full += 1;
            return self.fail_stop(sim, "the disk is full");
        }
        let (append, written) = process.appending.as_mut().expect("an append is under way");
        *written = true;
        let mut hard_state = append.hard_state.clone();
        if sim.planted(Bug::VoteNotPersisted)
            && let Some(hard_state) = &mut hard_state
        {
            hard_state.vote = self.log.synced_hard_state().vote;
        }
        let mut entries = append.entries.clone();
        if let Some(first) = entries.first()
            && first.index <= self.log.last_index()
        {
            sim.cover.log_suffixes_replaced += 1;
            if sim.planted(Bug::OldTailKept) {
                let last = entries.last().map_or(0, |entry| entry.index);
                let end = self.log.last_index() + 1;
                let old = (last + 1 < end).then(|| self.log.entries(last + 1, end, u64::MAX));
                entries.extend(old.and_then(Result::ok).unwrap_or_default());
            }
        }
        sim.say(|| {
            let range =
                entries.first().map(|first| (first.index, first.index + entries.len() as u64));
            format!("n{} writes append {}: {range:?} {hard_state:?}", self.id, append.number)
        });
        let append = append.clone();
        self.begin_install(sim, &append);
        self.log.write_all(&entries, hard_state.as_ref(), &append.members);
        if let Some(keep) = &append.keep {
            self.log.write_memory(&keep.memory);
        }
        self.check_log(sim, &entries);
        let delay = self.disk_us(sim, sim.plan.disk.sync_us);
        self.after(sim, delay, Duty::Synced);
    }

    /// Checks the entries of a log.
    pub(super) fn check_log(&self, sim: &mut Sim, entries: &[Entry]) {
        for entry in entries {
            let before = self.log.term(entry.index - 1).unwrap_or(0);
            if let Err(what) = sim.oracle.in_log(entry, before) {
                return sim.fail(format!("node {}: {what}", self.id));
            }
        }
    }

    pub(super) fn synced(&mut self, sim: &mut Sim) {
        let Some(process) = &mut self.up else { return };
        if std::mem::take(&mut self.disk.fail_sync) {
            sim.cover.syncs_failed += 1;
            return self.fail_stop(sim, "a sync failed");
        }
        let (append, _) = process.appending.take().expect("an append is under way");
        self.log.sync();
        sim.say(|| format!("n{} synced append {}", self.id, append.number));
        self.mail(sim, Input::Persisted(append.number));
        if let Some(keep) = append.keep {
            self.mail(sim, Input::Kept(keep.number));
        }
        self.end_install(sim);
        self.start_append(sim);
    }
}

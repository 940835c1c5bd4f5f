//! How many bytes of the log are needed, so that files are removed only when it is worth it.

use std::collections::VecDeque;

use raft::eraftpb::Entry;

use super::view::entry_bytes;

/// About how many bytes the entries after the truncated ones take.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Last index and bytes of runs of entries, oldest first.
    runs: VecDeque<(u64, u64)>,
}

impl Needed {
    /// Entries of a run take about this many bytes.
    const RUN_BYTES: u64 = 1 << 20;
    /// Runs that the entries of a log that was opened count as.
    const RUNS_FOUND: u64 = 16;

    /// The bytes that a log needs when it was just opened: at most all of its files.
    pub(super) fn found(compacted: u64, last_index: u64, used: u64) -> Needed {
        let entries = last_index - compacted;
        let ends = (1..=Self::RUNS_FOUND).map(|n| compacted + entries * n / Self::RUNS_FOUND);
        let runs = ends.map(|end| (end, used / Self::RUNS_FOUND));
        Needed { runs: if entries == 0 { VecDeque::new() } else { runs.collect() } }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.runs.iter().map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn appended(&mut self, entries: &[Entry]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        // Entries that replace a suffix are counted with it.
        for run in self.runs.iter_mut().rev().take_while(|run| run.0 >= first.index) {
            run.0 = first.index - 1;
        }
        let bytes = entries.iter().map(|entry| entry_bytes(entry) as u64).sum();
        match self.runs.back_mut() {
            Some(run) if run.1 < Self::RUN_BYTES => *run = (last.index, run.1 + bytes),
            _ => self.runs.push_back((last.index, bytes)),
        }
    }

    /// Entries up to `index` are needed no more.
    pub(super) fn cut(&mut self, index: u64) {
        while self.runs.front().is_some_and(|run| run.0 <= index) {
            self.runs.pop_front();
        }
    }
}

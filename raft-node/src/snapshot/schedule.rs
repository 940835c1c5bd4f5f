//! Decides when the log has grown enough for a snapshot.

/// Counts the growth of the log since the last snapshot.
///
/// A snapshot is due when the log since the last one is as large as that one, and has at least a
/// minimum of bytes. So each order is written to a bounded number of snapshots, however many orders
/// there are, and the log stays in proportion to the state.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    bytes_min: u64,
    /// 0 sets no bound.
    entries_max: u64,
    /// Bytes of the last snapshot.
    index: u64,
    bytes: u64,
    /// Bytes of entries applied since it.
    grown: u64,
}

impl Schedule {
    /// A schedule: snapshots are due after at least `bytes_min` bytes of log, or after
    /// `entries_max` entries of any size unless that is 0.
    pub fn new(bytes_min: u64, entries_max: u64) -> Schedule {
        Schedule { bytes_min, entries_max, ..Schedule::default() }
    }

    /// Counts an applied entry.
    pub fn grew(&mut self, bytes: u64) {
        self.grown += bytes;
    }

    /// Sets the estimated size of the log since the last snapshot, at startup.
    pub fn estimate(&mut self, grown: u64) {
        self.grown = grown;
    }

    /// Counts a snapshot of this index and size. Entries applied since it began count for the next
    /// one.
    pub fn taken(&mut self, index: u64, bytes: u64, grown_at_begin: u64) {
        self.index = index;
        self.bytes = bytes;
        self.grown = self.grown.saturating_sub(grown_at_begin);
    }

    /// Bytes of log since the last snapshot.
    pub fn grown(&self) -> u64 {
        self.grown
    }

    /// Returns whether a snapshot at this applied index is due.
    pub fn is_due(&self, applied_index: u64) -> bool {
        let entries = applied_index.saturating_sub(self.index);
        let grown = self.grown >= self.bytes_min.max(self.bytes);
        entries > 0 && (grown || (self.entries_max > 0 && entries >= self.entries_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_when_the_log_has_outgrown_the_last() {
        let mut schedule = Schedule::new(100, 0);
        schedule.grew(99);
        assert!(!schedule.is_due(5));
        schedule.grew(1);
        assert!(schedule.is_due(5) && !schedule.is_due(0));
        // 30 more came while it was written, and it is larger than the minimum.
        let begun = schedule.grown();
        schedule.grew(30);
        schedule.taken(5, 250, begun);
        assert_eq!(schedule.grown(), 30);
        schedule.grew(219);
        assert!(!schedule.is_due(9));
        schedule.grew(1);
        assert!(schedule.is_due(9) && !schedule.is_due(5));
        let mut schedule = Schedule::new(u64::MAX, 50);
        schedule.taken(10, 1, 0);
        assert!(!schedule.is_due(59) && schedule.is_due(60));
    }
}

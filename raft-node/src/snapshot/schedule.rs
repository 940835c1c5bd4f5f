//! When the log has grown enough for a snapshot.

/// Counts how much the log has grown since the last snapshot.
///
/// A snapshot is due when the log since the last one is as large as that one, and at least a
/// minimum: so each order is written to snapshots a bounded number of times however many there are,
/// and the log stays in proportion to the state.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    bytes_min: u64,
    /// 0 sets no bound.
    entries_max: u64,
    /// Of the last snapshot.
    index: u64,
    bytes: u64,
    /// Of entries applied since it.
    grown: u64,
}

impl Schedule {
    /// Snapshots are due after at least `bytes_min` bytes of log, and after `entries_max` entries
    /// whatever their size unless that is 0.
    pub fn new(bytes_min: u64, entries_max: u64) -> Schedule {
        Schedule { bytes_min, entries_max, ..Schedule::default() }
    }

    /// The log grew by an entry that was applied.
    pub fn grew(&mut self, bytes: u64) {
        self.grown += bytes;
    }

    /// The size of the log since the last snapshot is not known from the beginning, but about this.
    pub fn estimate(&mut self, grown: u64) {
        self.grown = grown;
    }

    /// A snapshot of this index and size is there. What was applied since it began counts already
    /// for the next.
    pub fn taken(&mut self, index: u64, bytes: u64, grown_at_begin: u64) {
        self.index = index;
        self.bytes = bytes;
        self.grown = self.grown.saturating_sub(grown_at_begin);
    }

    /// How much the log has grown since the last snapshot, in bytes.
    pub fn grown(&self) -> u64 {
        self.grown
    }

    /// Whether a snapshot at this applied index is due.
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
        // 30 more came while it was taken, and it is larger than the minimum.
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

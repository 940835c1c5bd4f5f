//! Entries that were handed out to be applied and are not applied yet, as data.
//!
//! `ready` hands entries out with their bytes while they take at most
//! `CoreConfig::handed_out_bytes_max`. Beyond that it only says up to which index the applier may
//! go, which reads those entries from the log, where they are durable. So a node that catches up
//! keeps a bounded part of its log in memory, however far behind it is.

use std::collections::VecDeque;

/// Entries that were handed out with their bytes and are not applied yet.
#[derive(Debug, Default)]
pub(super) struct HandedOut {
    /// Last index and bytes of each part, oldest first.
    parts: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl HandedOut {
    /// Returns whether this many more bytes may be handed out, and counts them if so.
    pub(super) fn takes(&mut self, last_index: u64, bytes: usize, bytes_max: usize) -> bool {
        if self.bytes + bytes > bytes_max {
            return false;
        }
        self.parts.push_back((last_index, bytes));
        self.bytes += bytes;
        true
    }

    /// Everything up to `index` was applied.
    pub(super) fn applied(&mut self, index: u64) {
        while let Some((last, bytes)) = self.parts.front()
            && *last <= index
        {
            self.bytes -= bytes;
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_makes_room_for_more() {
        let mut handed_out = HandedOut::default();
        assert!(handed_out.takes(3, 60, 100));
        assert!(handed_out.takes(5, 40, 100));
        assert!(!handed_out.takes(6, 1, 100));
        handed_out.applied(4);
        assert_eq!(handed_out.bytes, 40);
        assert!(handed_out.takes(9, 60, 100), "what is read from the log does not count");
        handed_out.applied(9);
        assert_eq!((handed_out.bytes, handed_out.parts.len()), (0, 0));
    }
}

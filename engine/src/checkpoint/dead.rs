//! Stored rows that nobody needs any more.
//!
//! A row may be removed once no checkpoint that a crash could bring back counts it. So what a
//! checkpoint replaces is removed by the one after it, outside of any transaction: whether or not
//! such a row is there makes no difference any more.

use std::sync::Arc;

/// The key of a stored row.
pub(crate) type Key = Vec<u8>;

/// Rows to be removed.
#[derive(Debug, Default)]
pub(crate) struct DeadRows {
    /// The published checkpoint does not count them.
    dead: Arc<Vec<Key>>,
    /// What was frozen since, and perhaps published, does not count them.
    dying: Vec<Key>,
}

impl DeadRows {
    /// Notes what a freeze does not count any more; gives what its checkpoint may remove.
    pub(crate) fn freeze(&mut self, dying: impl IntoIterator<Item = Key>) -> Arc<Vec<Key>> {
        self.dying.extend(dying);
        Arc::clone(&self.dead)
    }

    /// The last freeze is published: what was dead is removed, what it replaced is dead.
    pub(crate) fn release(&mut self) {
        self.dead = Arc::new(std::mem::take(&mut self.dying));
    }

    /// Adds rows that were found in a store and that its published checkpoint does not count.
    pub(crate) fn found(&mut self, rows: impl IntoIterator<Item = Key>) {
        Arc::make_mut(&mut self.dead).extend(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_removed_by_the_checkpoint_after_the_one_that_replaced_them() {
        let key = |n: u8| vec![n];
        let mut rows = DeadRows::default();
        rows.found([key(1)]);
        assert_eq!(*rows.freeze([key(2)]), [key(1)]);
        // The first was never reported: what it replaced may still count.
        assert_eq!(*rows.freeze([key(3)]), [key(1)]);
        rows.release();
        assert_eq!(*rows.freeze([]), [key(2), key(3)]);
        rows.release();
        assert!(rows.freeze([]).is_empty());
    }
}

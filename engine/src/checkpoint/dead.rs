//! Stored rows that no checkpoint needs any more.
//!
//! A row may be removed once no checkpoint that a crash could bring back counts it. So the rows
//! that one checkpoint replaces are removed by the next one, outside of any transaction: by then it
//! makes no difference whether they exist.

use std::sync::Arc;

/// The key of a stored row.
pub(crate) type Key = Vec<u8>;

/// Rows to remove.
#[derive(Debug, Default)]
pub(crate) struct DeadRows {
    /// The published checkpoint does not count them.
    dead: Arc<Vec<Key>>,
    /// The last freeze, which may be published, does not count them.
    dying: Vec<Key>,
}

impl DeadRows {
    /// Records what a freeze no longer counts; returns what its checkpoint may remove.
    pub(crate) fn freeze(&mut self, dying: impl IntoIterator<Item = Key>) -> Arc<Vec<Key>> {
        self.dying.extend(dying);
        Arc::clone(&self.dead)
    }

    /// Records that the last freeze is published: dead rows are removed, replaced ones are dead.
    pub(crate) fn release(&mut self) {
        self.dead = Arc::new(std::mem::take(&mut self.dying));
    }

    /// Adds rows that a store contains and its published checkpoint does not count.
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
        // Nobody reported the first one as stored: what it replaced may still count.
        assert_eq!(*rows.freeze([key(3)]), [key(1)]);
        rows.release();
        assert_eq!(*rows.freeze([]), [key(2), key(3)]);
        rows.release();
        assert!(rows.freeze([]).is_empty());
    }
}

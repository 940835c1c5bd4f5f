//! Bounded parallelism over all test processes of this checkout.
//!
//! Three nodes and their clients fill a small machine, so only a few clusters run at a time, no
//! matter how many threads or processes the test runner uses. Locked files keep the bound: the
//! system unlocks them when a process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

/// Clusters that run at a time.
const SLOTS: usize = 2;

/// Time between two attempts to lock a file.
const POLL: Duration = Duration::from_millis(50);

/// The right to run a cluster; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    /// One locked file, or all of them for a test that measures time.
    _files: Vec<File>,
}

impl Slot {
    /// Waits for one slot, or for the whole machine when `alone`.
    ///
    /// The wait has no deadline of its own: it ends when earlier tests end, and the test runner
    /// bounds those.
    ///
    /// # Panics
    /// When a lock file cannot be opened or locked.
    pub(crate) async fn take(dir: &Path, alone: bool) -> Self {
        // Only one test at a time waits for slots. Without this, a test that needs all slots would
        // lose each freed slot to a test that needs one, and so run last while a core idles.
        let turn = open(dir, "turn.lock");
        while !try_lock(&turn) {
            tokio::time::sleep(POLL).await;
        }
        let mut free: Vec<File> =
            (0..SLOTS).map(|number| open(dir, &format!("slot-{number}.lock"))).collect();
        let wanted = if alone { SLOTS } else { 1 };
        let mut held = Vec::new();
        while held.len() < wanted {
            match free.iter().position(try_lock) {
                Some(index) => held.push(free.swap_remove(index)),
                None => tokio::time::sleep(POLL).await,
            }
        }
        Self { _files: held }
    }
}

fn open(dir: &Path, name: &str) -> File {
    let path = dir.join(name);
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}

fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => panic!("cannot lock a slot: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_test_that_needs_every_slot_is_served_before_later_ones() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let first = Slot::take(dir.path(), false).await;
        let second = Slot::take(dir.path(), false).await;
        let path = dir.path().to_owned();
        let alone = tokio::spawn(async move { Slot::take(&path, true).await });
        // The waiter has its turn once nobody else can lock the file.
        let turn = open(dir.path(), "turn.lock");
        while try_lock(&turn) {
            turn.unlock().expect("an own lock can be unlocked");
            tokio::time::sleep(POLL).await;
        }
        let path = dir.path().to_owned();
        let later = tokio::spawn(async move { Slot::take(&path, false).await });
        drop(first);
        tokio::time::sleep(POLL * 4).await;
        assert!(!alone.is_finished(), "one slot is still taken");
        assert!(!later.is_finished(), "the free slot belongs to the earlier test");
        drop(second);
        let alone = alone.await.expect("it got all slots");
        assert!(!later.is_finished(), "the earlier test holds every slot");
        drop(alone);
        later.await.expect("it got a slot");
    }
}

//! Bounded parallelism over all test processes of this checkout.
//!
//! Three nodes and their clients fill a small machine, so only a few clusters run at a time, no
//! matter how many threads or processes the test runner uses. The bound is made of locked files:
//! the system frees them when a process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

/// Clusters that run at a time.
const SLOTS: usize = 2;

/// The right to run a cluster; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    /// One locked file, or all of them for a test that measures time.
    _files: Vec<File>,
}

impl Slot {
    /// Waits for one slot, or for the whole machine when `alone`.
    pub(crate) async fn take(dir: &Path, alone: bool) -> Self {
        let files: Vec<File> = (0..SLOTS).map(|number| open(dir, number)).collect();
        let mut held = Vec::new();
        // A taker of all goes through the files in one order, so two of them cannot block each
        // other. The queue ends when the tests before this one do; the runner bounds those.
        if alone {
            for file in files {
                while !try_lock(&file) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                held.push(file);
            }
            return Self { _files: held };
        }
        loop {
            if let Some(free) = files.iter().position(try_lock) {
                held.extend(files.into_iter().nth(free));
                return Self { _files: held };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn open(dir: &Path, number: usize) -> File {
    let path = dir.join(format!("slot-{number}.lock"));
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

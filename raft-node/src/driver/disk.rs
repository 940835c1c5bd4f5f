//! The free space of the data directory's file system, read several times a second.
//!
//! A write that fails for lack of space is final for the node, so the node refuses writes while
//! there is still room for open work. This file only measures and judges; [`crate::core`] decides
//! what follows.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{Input, Space};
use crate::shared::Shared;

/// Interval between two readings. At a few hundred MB/s a disk loses far less than the reserve in
/// that time.
const INTERVAL: Duration = Duration::from_millis(200);

/// Bytes that this process may still write below a directory.
///
/// # Errors
/// When the file system cannot be read.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Judges free space against a reserve. Each step up needs a quarter more than the step down, so
/// the judgement does not flap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge {
    reserve_bytes: u64,
    space: Space,
}

impl Gauge {
    /// A gauge without a reading yet. With a reserve of 0 there is always room.
    pub(crate) fn new(reserve_bytes: u64) -> Gauge {
        Gauge { reserve_bytes, space: Space::Ample }
    }

    /// Judges a reading of free bytes.
    pub(crate) fn judge(&mut self, free_bytes: u64) -> Space {
        let over = |limit: u64, was_below: bool| {
            let margin = if was_below { limit / 4 } else { 0 };
            free_bytes >= limit.saturating_add(margin)
        };
        self.space = if over(self.reserve_bytes, self.space != Space::Ample) {
            Space::Ample
        } else if over(self.reserve_bytes / 4, self.space == Space::Exhausted) {
            Space::Low
        } else {
            Space::Exhausted
        };
        self.space
    }
}

/// Tells the core of each change of the judgement. Ends with the task.
pub(crate) async fn watch(shared: Arc<Shared>, dir: std::path::PathBuf, reserve_bytes: u64) {
    let mut gauge = Gauge::new(reserve_bytes);
    shared.counters.disk_reserve_bytes.set(reserve_bytes);
    let (mut known, mut unreadable) = (Space::Ample, false);
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let asked = dir.clone();
        // A hanging file system must not block the connections on this runtime.
        let free = match tokio::task::spawn_blocking(move || free_bytes(&asked)).await {
            Ok(Ok(free)) => free,
            Ok(Err(error)) => {
                if !std::mem::replace(&mut unreadable, true) {
                    let node = shared.node().0;
                    tracing::warn!(node, %error, "cannot read the free space of the disk");
                }
                continue;
            }
            // The runtime ends.
            Err(_) => return,
        };
        unreadable = false;
        shared.counters.disk_free_bytes.set(free);
        let space = gauge.judge(free);
        if space != std::mem::replace(&mut known, space) {
            tell(shared.node().0, space, free, reserve_bytes);
            *shared.space.write() = space;
            shared.send(Input::Space(space));
        }
    }
}

fn tell(node: u64, space: Space, free_bytes: u64, reserve_bytes: u64) {
    match space {
        Space::Ample => {
            tracing::warn!(node, free_bytes, "the disk has room again: the node takes writes");
        }
        Space::Low => {
            tracing::error!(
                node,
                free_bytes,
                reserve_bytes,
                "the disk is short of space: the node refuses writes until there is more"
            );
        }
        Space::Exhausted => {
            tracing::error!(
                node,
                free_bytes,
                reserve_bytes,
                "the disk is nearly full: this node's log takes no more entries"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_needs_a_quarter_more() {
        let mut gauge = Gauge::new(1_000);
        for (free, space) in [
            (5_000, Space::Ample),
            (1_000, Space::Ample),
            (999, Space::Low),
            (1_249, Space::Low),
            (250, Space::Low),
            (249, Space::Exhausted),
            (311, Space::Exhausted),
            (312, Space::Low),
            (0, Space::Exhausted),
            (1_249, Space::Low),
            (1_250, Space::Ample),
            (0, Space::Exhausted),
            (9_999, Space::Ample),
        ] {
            assert_eq!(gauge.judge(free), space, "{free}");
        }
    }

    #[test]
    fn without_a_reserve_there_is_always_room() {
        let mut gauge = Gauge::new(0);
        assert_eq!(gauge.judge(0), Space::Ample);
    }

    #[test]
    fn a_real_disk_can_be_asked_and_a_missing_one_says_so() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(free_bytes(dir.path()).expect("readable") > 0);
        assert!(free_bytes(&dir.path().join("missing")).is_err());
    }
}

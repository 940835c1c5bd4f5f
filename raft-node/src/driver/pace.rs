//! Checkpoints at a gentle pace.
//!
//! A checkpoint writes megabytes. Written at once they keep the disk busy while syncs of the log
//! wait, and keep a processor busy while requests wait. So it is written piece by piece, with a
//! rest after each. It is in no hurry: the log holds what it holds, and the next checkpoint only
//! begins later.

use std::thread;
use std::time::{Duration, Instant};

use engine::checkpoint::{CheckpointStore, Row, Write};
use engine::store::Error;

use crate::shared::disk_work::DiskWork;

/// A rest takes this many times as long as the work before it.
const RESTS: u32 = 2;
/// A checkpoint that takes longer than this goes on without rests. It must not fall behind under
/// load, since a restart replays what it does not hold.
const CHECKPOINT_PACED_MAX: Duration = Duration::from_secs(2);
/// Longest total rest of a snapshot: the log grows until the snapshot is done.
const SNAPSHOT_PACED_MAX: Duration = Duration::from_secs(60);
/// Bytes that a snapshot reads before a rest. Its file is synced after each 4 MiB.
const READ_BYTES: usize = 1 << 20;

/// A store to which a checkpoint is written gently, or from which a snapshot is read. A snapshot
/// writes what it reads to a file at once, so it too keeps processor and disk busy.
pub(super) struct Paced<'a, S, H> {
    store: &'a S,
    /// Where writes are noted.
    work: &'a DiskWork,
    until: Instant,
    in_hurry: H,
}

impl<'a, S: CheckpointStore, H: Fn() -> bool> Paced<'a, S, H> {
    /// A pace for a checkpoint that begins now. `in_hurry` returns whether somebody waits for it.
    pub(super) fn checkpoint(store: &'a S, work: &'a DiskWork, in_hurry: H) -> Paced<'a, S, H> {
        Paced { store, work, until: Instant::now() + CHECKPOINT_PACED_MAX, in_hurry }
    }

    /// A pace for a snapshot that begins now.
    pub(super) fn snapshot(store: &'a S, work: &'a DiskWork, in_hurry: H) -> Paced<'a, S, H> {
        Paced { store, work, until: Instant::now() + SNAPSHOT_PACED_MAX, in_hurry }
    }

    /// Does a piece of the work, and rests.
    fn gently(&self, work: impl FnOnce(&S) -> Result<(), Error>) -> Result<(), Error> {
        let begun = Instant::now();
        let operation = self.work.begin();
        work(self.store)?;
        if begun >= self.until || (self.in_hurry)() {
            return Ok(());
        }
        self.store.write_out()?;
        // A rest is no work of the disk.
        drop(operation);
        self.rest_since(begun);
        Ok(())
    }

    /// Rests after work that began at this moment.
    fn rest_since(&self, begun: Instant) {
        thread::sleep(rest(begun.elapsed(), self.until.saturating_duration_since(begun)));
    }
}

impl<S: CheckpointStore, H: Fn() -> bool + Send + Sync> CheckpointStore for Paced<'_, S, H> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut begun, mut bytes) = (Instant::now(), 0);
        self.store.scan(prefix, &mut |key, value| {
            visit(key, value)?;
            bytes += key.len() + value.len();
            if bytes >= READ_BYTES {
                if !(self.in_hurry)() {
                    self.rest_since(begun);
                }
                (begun, bytes) = (Instant::now(), 0);
            }
            Ok(())
        })
    }

    fn stage(&self, rows: Vec<Row>) -> Result<(), Error> {
        self.gently(|store| store.stage(rows))
    }

    fn discard(&self, keys: Vec<Vec<u8>>) -> Result<(), Error> {
        self.gently(|store| store.discard(keys))
    }

    fn publish(&self, writes: Vec<Write>) -> Result<(), Error> {
        let _operation = self.work.begin();
        self.store.publish(writes)
    }

    fn write_out(&self) -> Result<(), Error> {
        let _operation = self.work.begin();
        self.store.write_out()
    }

    fn sync(&self) -> Result<(), Error> {
        let _operation = self.work.begin();
        self.store.sync()
    }
}

/// How long to rest after some work, with this much time left for the whole.
fn rest(work: Duration, left: Duration) -> Duration {
    (work * RESTS).min(left)
}

#[cfg(test)]
mod tests {
    use engine::store::memory::MemoryStore;

    use super::*;

    #[test]
    fn rests_are_longer_than_the_work_and_end_with_the_time() {
        let ms = Duration::from_millis;
        assert_eq!(rest(ms(10), ms(500)), ms(20));
        assert_eq!(rest(ms(10), ms(5)), ms(5));
        assert_eq!(rest(ms(10), ms(0)), ms(0));
    }

    #[test]
    fn what_is_read_gently_is_all_there() {
        let store = MemoryStore::default();
        let large = vec![7; READ_BYTES / 2];
        let rows = (0..5).map(|n| (vec![n], large.clone())).collect();
        store.stage(rows).expect("memory takes it");
        let work = DiskWork::default();
        for in_hurry in [false, true] {
            let paced = Paced::snapshot(&store, &work, || in_hurry);
            let mut keys = Vec::new();
            let visit = &mut |key: &[u8], _: &[u8]| {
                keys.push(key[0]);
                Ok(())
            };
            paced.scan(&[], visit).expect("memory is read");
            assert_eq!(keys, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn what_is_written_gently_is_there() {
        let store = MemoryStore::default();
        let work = DiskWork::default();
        let paced = Paced::checkpoint(&store, &work, || false);
        paced.stage(vec![(vec![1], vec![2])]).expect("memory takes it");
        paced.publish(vec![(vec![3], Some(vec![4]))]).expect("memory takes it");
        paced.sync().expect("memory is durable enough");
        assert_eq!((work.ended(), work.oldest()), (3, None));
        assert_eq!(store.get(&[1]).expect("memory is read"), Some(vec![2]));
        assert_eq!(paced.get(&[3]).expect("memory is read"), Some(vec![4]));
    }
}

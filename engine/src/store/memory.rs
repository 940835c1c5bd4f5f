//! A store in memory for tests and simulations. A crash can lose what was not synced, as on a disk.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::store::{CheckpointStore, Error, Row, Write};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store in memory. Writes are visible at once and survive a [`MemoryStore::crash`] once synced.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    durable: Rows,
    visible: Rows,
    /// Writes since the last sync, oldest first; each is atomic.
    unsynced: Vec<Vec<Write>>,
    operations: u64,
    operations_max: Option<u64>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Loses power: the first `kept` writes since the last sync survive. A staged row is one write,
    /// a publication another. Ends the failures that [`MemoryStore::fail_after`] asked for.
    pub fn crash(&self, kept: usize) {
        let mut writes = 0..kept;
        self.crash_keeping(|| writes.next().is_some());
    }

    /// Loses power: each write since the last sync, oldest first, survives when `keeps` returns
    /// true. Nothing promises an order of writes before they are synced. Ends the failures that
    /// [`MemoryStore::fail_after`] asked for.
    pub fn crash_keeping(&self, mut keeps: impl FnMut() -> bool) {
        let mut inner = self.inner.lock();
        let mut durable = std::mem::take(&mut inner.durable);
        for write in inner.unsynced.drain(..).filter(|_| keeps()) {
            put(&mut durable, write);
        }
        inner.visible = durable.clone();
        inner.durable = durable;
        inner.operations_max = None;
    }

    /// A copy of everything visible, as a copied directory has it. All of it is durable there.
    #[must_use]
    pub fn copy(&self) -> MemoryStore {
        let rows = self.inner.lock().visible.clone();
        let copy = Inner { durable: rows.clone(), visible: rows, ..Inner::default() };
        MemoryStore { inner: Mutex::new(copy) }
    }

    /// How many writes a crash could lose now.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().unsynced.len()
    }

    /// How many operations have written or synced.
    pub fn operations(&self) -> u64 {
        self.inner.lock().operations
    }

    /// Lets this many further writing or syncing operations succeed and fails all later ones.
    pub fn fail_after(&self, operations: u64) {
        let mut inner = self.inner.lock();
        inner.operations_max = Some(inner.operations + operations);
    }

    /// Replaces the bytes under a key, synced or not, like a decaying disk. False when there is no
    /// such key.
    pub fn damage(&self, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut inner = self.inner.lock();
        let Some(value) = inner.visible.get_mut(key) else { return false };
        change(value);
        let value = value.clone();
        inner.durable.insert(key.to_vec(), value);
        true
    }

    /// All keys, ascending.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.inner.lock().visible.keys().cloned().collect()
    }
}

impl Inner {
    fn operate(&mut self) -> Result<(), Error> {
        if self.operations_max.is_some_and(|max| self.operations >= max) {
            return Err(Error::OnPurpose);
        }
        self.operations += 1;
        Ok(())
    }
}

fn put(rows: &mut Rows, writes: Vec<Write>) {
    for (key, value) in writes {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}

impl CheckpointStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.inner.lock().visible.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // A copy, so that the visitor may use the store.
        let rows: Vec<_> = self
            .inner
            .lock()
            .visible
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        rows.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn stage(&self, rows: Vec<Row>) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        for (key, value) in rows {
            let write = vec![(key, Some(value))];
            inner.unsynced.push(write.clone());
            put(&mut inner.visible, write);
        }
        Ok(())
    }

    fn discard(&self, keys: Vec<Vec<u8>>) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        for key in keys {
            let write = vec![(key, None)];
            inner.unsynced.push(write.clone());
            put(&mut inner.visible, write);
        }
        Ok(())
    }

    fn publish(&self, writes: Vec<Write>) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        inner.unsynced.push(writes.clone());
        put(&mut inner.visible, writes);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        let unsynced = std::mem::take(&mut inner.unsynced);
        unsynced.into_iter().for_each(|write| put(&mut inner.durable, write));
        Ok(())
    }
}

//! The store on disk: one sled tree.
//!
//! sled's own `flush` does not reach stable storage on Linux (it ends in `sync_file_range`), so
//! [`SledStore`] syncs the files itself. sled may panic while opening damaged files, which nothing
//! here can turn into an error: a node that dies while opening its store sets the store aside and
//! rebuilds it, for everything in it is also in the log.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::store::{CheckpointStore, Error, Row, Write};

/// Pages that sled keeps in memory, in bytes; a goal of sled's, not a limit.
const CACHE_BYTES: u64 = 64 << 20;

/// Bytes that are written before sled is waited for. sled makes some three times as many of them,
/// in buffers of 512 KiB, each of which occupies one of its threads, some seven, until it is
/// written. When all of them have one, and sled's file was just cut shorter, it waits for ever:
/// whoever writes for the cut, which none of the threads is left to make, and they for whoever
/// writes. So few of them may ever be busy.
const WAITING_BYTES_MAX: usize = 512 << 10;
/// What removing a row counts for there: sled writes the rows beside it again.
const DISCARDED_BYTES: usize = 8 << 10;

/// How often collected garbage is pushed on after a publication. Each turn frees some of what big
/// batches left behind; without it memory grows without bound.
const COLLECTIONS: usize = 128;

/// Waits until nobody has a store's file locked. A store of this process that was closed keeps its
/// lock for a moment, until sled's threads are through with it. Other processes are kept out by
/// whoever opens a store.
fn wait_for_lock(log: &Path) -> std::io::Result<()> {
    match File::open(log) {
        Ok(file) => file.lock(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The store on disk.
#[derive(Debug)]
pub struct SledStore {
    db: ::sled::Db,
    directory: PathBuf,
    /// sled's log file, kept open so that an error of an earlier write is not missed.
    log: File,
    /// Files beside the log that are on stable storage. sled writes each once.
    synced: Mutex<BTreeSet<PathBuf>>,
    /// Bytes that were written since sled was last waited for.
    waiting: AtomicUsize,
}

impl SledStore {
    /// Opens the store in a directory, which is created when it is not there.
    ///
    /// # Errors
    /// When the directory cannot be used or sled refuses what is in it.
    pub fn open(directory: &Path) -> Result<SledStore, Error> {
        fs::create_dir_all(directory).map_err(failed("create", directory))?;
        let config = ::sled::Config::new()
            .path(directory)
            .mode(::sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .use_compression(false)
            .print_profile_on_drop(false);
        let path = directory.join("db");
        wait_for_lock(&path).map_err(failed("lock", &path))?;
        let db = config.open().map_err(failed("open the store in", directory))?;
        let log = File::open(&path).map_err(failed("open", &path))?;
        let store = SledStore {
            db,
            directory: directory.to_owned(),
            log,
            synced: Mutex::new(BTreeSet::new()),
            waiting: AtomicUsize::new(0),
        };
        store.sync()?;
        if let Some(parent) = directory.parent().filter(|parent| parent.is_dir()) {
            sync_file(parent)?;
        }
        Ok(store)
    }

    /// Takes note of what was written, and waits for what was written before when that is much.
    fn wrote(&self, bytes: usize) -> Result<(), Error> {
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes >= WAITING_BYTES_MAX {
            self.write_out()?;
        }
        Ok(())
    }

    /// How many bytes the store takes on disk.
    ///
    /// # Errors
    /// When sled cannot tell.
    pub fn bytes_on_disk(&self) -> Result<u64, Error> {
        self.db.size_on_disk().map_err(failed("measure", &self.directory))
    }

    /// Syncs the files in a directory that were not synced before, then the directory itself.
    fn sync_new_files(&self, directory: &Path) -> Result<(), Error> {
        let mut synced = self.synced.lock();
        let mut found = BTreeSet::new();
        for file in fs::read_dir(directory).map_err(failed("list", directory))? {
            let path = file.map_err(failed("list", directory))?.path();
            if path.is_file() {
                found.insert(path);
            }
        }
        for path in found.difference(&synced) {
            match sync_file(path) {
                // sled removes files that it has no use for any more, at any time.
                Err(_) if !path.exists() => {}
                result => result?,
            }
        }
        synced.retain(|path| path.parent() != Some(directory) || found.contains(path));
        synced.append(&mut found);
        sync_file(directory)
    }
}

impl CheckpointStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.db.get(key).map_err(failed("read", &self.directory))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for row in self.db.scan_prefix(prefix) {
            let (key, value) = row.map_err(failed("read", &self.directory))?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn stage(&self, rows: Vec<Row>) -> Result<(), Error> {
        // One by one: a batch keeps all readers out until it is through, and nothing here has to be
        // there at once.
        let bytes = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        for (key, value) in rows {
            self.db.insert(key, value).map_err(failed("write", &self.directory))?;
        }
        self.wrote(bytes)
    }

    fn discard(&self, keys: Vec<Vec<u8>>) -> Result<(), Error> {
        let bytes = keys.len() * DISCARDED_BYTES;
        for key in keys {
            self.db.remove(key).map_err(failed("write", &self.directory))?;
        }
        self.wrote(bytes)
    }

    fn publish(&self, writes: Vec<Write>) -> Result<(), Error> {
        let mut batch = ::sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.transaction(|rows| Ok(rows.apply_batch(&batch)?)).map_err(
            |error: ::sled::transaction::TransactionError<()>| match error {
                ::sled::transaction::TransactionError::Storage(error) => {
                    failed("write", &self.directory)(error)
                }
                ::sled::transaction::TransactionError::Abort(()) => {
                    unreachable!("the transaction never aborts")
                }
            },
        )?;
        for _ in 0..COLLECTIONS {
            crossbeam::epoch::pin().flush();
        }
        Ok(())
    }

    fn write_out(&self) -> Result<(), Error> {
        self.waiting.store(0, Ordering::Relaxed);
        self.db.flush().map(|_| ()).map_err(failed("flush", &self.directory))
    }

    fn sync(&self) -> Result<(), Error> {
        self.write_out()?;
        self.log.sync_all().map_err(failed("sync", &self.directory.join("db")))?;
        let blobs = self.directory.join("blobs");
        if blobs.is_dir() {
            self.sync_new_files(&blobs)?;
        }
        self.sync_new_files(&self.directory)
    }
}

fn sync_file(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))
}

/// Puts what was tried and where around an error.
fn failed<E: std::error::Error + Send + Sync + 'static>(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> Error {
    move |source| Error::Failed { action, path: path.to_owned(), source: Box::new(source) }
}

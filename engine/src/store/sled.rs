//! The store on disk: one sled tree.
//!
//! sled's own `flush` does not reach stable storage on Linux (it ends in `sync_file_range`), so
//! [`SledStore`] syncs the files itself. sled may panic when it opens damaged files, which nothing
//! here can turn into an error. A node that dies while opening its store sets the store aside and
//! rebuilds it, since everything in it is also in the log.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::store::{CheckpointStore, Error, Row, Write};

/// Pages that sled keeps in memory, in bytes; a target of sled's, not a limit.
const CACHE_BYTES: u64 = 64 << 20;

/// Bytes that may be written before we wait for sled. sled writes about three times as many, in
/// buffers of 512 KiB. Each buffer occupies one of its about seven threads until it is written. If
/// all threads are busy just after sled's file was truncated, sled deadlocks: the writer waits for
/// the truncation, no thread is left to do it, and the threads wait for the writer. So only a few
/// threads may ever be busy.
const WAITING_BYTES_MAX: usize = 512 << 10;
/// The bytes that removing a row counts as: sled rewrites the rows beside it.
const DISCARDED_BYTES: usize = 8 << 10;

/// How often garbage collection is advanced after a publication. Each turn frees some of what large
/// transactions left behind; without it memory grows without bound.
const COLLECTIONS: usize = 128;

/// Waits until a store's file is unlocked. A store that this process just closed keeps its lock for
/// a moment, until sled's threads have ended. An open store locks other processes out.
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
    /// sled's log file, kept open so that a sync reports errors of earlier writes.
    log: File,
    /// Files beside the log that are synced. sled writes each once.
    synced: Mutex<BTreeSet<PathBuf>>,
    /// Bytes written since we last waited for sled.
    waiting: AtomicUsize,
}

impl SledStore {
    /// Opens the store in a directory, and creates the directory if needed.
    ///
    /// # Errors
    /// When the directory cannot be used or sled refuses its contents.
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

    /// Counts written bytes, and waits for sled when there are many.
    fn wrote(&self, bytes: usize) -> Result<(), Error> {
        if self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes >= WAITING_BYTES_MAX {
            self.write_out()?;
        }
        Ok(())
    }

    /// How many bytes the store takes on disk.
    ///
    /// # Errors
    /// When sled cannot say.
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
                // sled removes files that it no longer uses, at any time.
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
        // One by one: a transaction would block all readers until it ends, and these rows need not
        // appear together.
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

/// Adds the action and the path to an error.
fn failed<E: std::error::Error + Send + Sync + 'static>(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> Error {
    move |source| Error::Failed { action, path: path.to_owned(), source: Box::new(source) }
}

//! Snapshot files: the state at one index in one file, which replaces the log before it.
//!
//! A node takes a snapshot when the log has outgrown the last one, sends it to nodes that need
//! entries which the log no longer has, and reads it back when a checkpoint is lost. `format`
//! defines the file, [`files`] stores files (in a directory, or in memory that can lose power), and
//! [`Snapshots`] writes, verifies, keeps, sends and receives them.
//!
//! A file is renamed into place after it was written, synced and read back. The next startup
//! removes one that was being written, and continues one that was being received. The log is never
//! truncated past the older of two such files, so one damaged file loses nothing. [`crate::core`]
//! decides when to take one, whom to send it, and how far to truncate the log.

pub mod backup;
pub mod files;
pub mod format;
mod incoming;
mod partial;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::checkpoint::CheckpointStore;
use engine::checkpoint::image::{Fill, Image, Visit};
use engine::store;
use parking_lot::Mutex;

use self::files::Files;
use self::format::{END_BYTES, Header};
use self::partial::Incoming;
pub use self::schedule::Schedule;
use crate::members::Membership;

/// Name of a snapshot that is being written.
const TAKING: &str = "taking.new";
/// Bytes gathered per write.
const WRITE_BYTES: usize = 256 << 10;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("snapshot {name}: {source}")]
    Io {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file differs from what was written.
    #[error("snapshot {name}: {source}")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: format::Error,
    },
    /// It is not the expected snapshot.
    #[error("snapshot {name} is {what}")]
    Stranger {
        /// The file.
        name: String,
        /// What it is.
        what: String,
    },
    /// The checkpoint that it is made of or fills cannot be used.
    #[error("snapshot {name}: {source}")]
    Checkpoint {
        /// The file.
        name: String,
        /// What is wrong.
        source: engine::checkpoint::open::Error,
    },
}

impl Error {
    /// Returns whether a file differs from what was written. A mere failure is not damage.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Damaged { .. } | Error::Stranger { .. } => true,
            Error::Io { .. } => false,
            Error::Checkpoint { source, .. } => source.is_damage(),
        }
    }
}

/// The metadata of a snapshot file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// It holds everything up to this index.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The members at that index.
    pub members: Membership,
    /// The digest of the state.
    pub digest: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The snapshot files of a node.
pub struct Snapshots {
    files: Arc<dyn Files>,
    cluster: [u8; 16],
    cluster_name: String,
    cancelled: Arc<AtomicBool>,
    /// Files that this process has read to their end: their size and digest.
    sound: Mutex<BTreeMap<u64, (u64, u64)>>,
    /// Files that are being sent.
    held: Mutex<BTreeSet<u64>>,
    /// The file that is being received.
    incoming: Mutex<Option<Incoming>>,
}

/// A snapshot that is being written.
pub struct Draft {
    writer: format::Writer<Output>,
    image: Image,
    meta: Meta,
}

impl Draft {
    /// It will hold everything up to this index.
    pub fn index(&self) -> u64 {
        self.meta.index
    }
}

impl Snapshots {
    /// Opens these files without changing them.
    pub fn over(files: Arc<dyn Files>, cluster: [u8; 16]) -> Snapshots {
        Snapshots {
            files,
            cluster,
            cluster_name: String::new(),
            cancelled: Arc::default(),
            sound: Mutex::default(),
            held: Mutex::default(),
            incoming: Mutex::default(),
        }
    }

    /// Sets the cluster's name, for the files written from now on.
    #[must_use]
    pub fn named(self, cluster_name: &str) -> Snapshots {
        Snapshots { cluster_name: cluster_name.into(), ..self }
    }

    /// Opens these files. Removes what a former process was writing; what it was receiving can be
    /// continued.
    ///
    /// # Errors
    /// When the files cannot be listed or removed.
    pub fn open(files: Arc<dyn Files>, cluster: [u8; 16]) -> Result<Snapshots, Error> {
        let snapshots = Snapshots::over(files, cluster);
        snapshots.files.remove(TAKING).map_err(at(TAKING))?;
        Ok(snapshots)
    }

    /// Aborts a write, because the node stops and must not wait for it.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The indexes of all files in place, ascending.
    ///
    /// # Errors
    /// When the files cannot be listed.
    pub fn indexes(&self) -> Result<Vec<u64>, Error> {
        let names = self.files.list().map_err(at("directory"))?;
        let mut indexes: Vec<u64> = names.iter().filter_map(|name| index_of(name)).collect();
        indexes.sort_unstable();
        Ok(indexes)
    }

    /// The metadata of the files, newest first. Reads only the head and end of each, since a whole
    /// file was verified when it was written. Leaves out files that are visibly damaged.
    ///
    /// # Errors
    /// When the files cannot be listed.
    pub fn found(&self) -> Result<Vec<Meta>, Error> {
        let indexes = self.indexes()?.into_iter().rev();
        Ok(indexes.filter_map(|index| self.look(index).ok()).collect())
    }

    /// Begins a snapshot of the published checkpoint, and reads the rows that the next checkpoint
    /// may replace: nothing may be published before this returns. `None` when nothing was
    /// published.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or the file cannot be written.
    pub fn begin(
        &self,
        store: &dyn CheckpointStore,
        members_at: impl FnOnce(u64) -> Membership,
    ) -> Result<Option<Draft>, Error> {
        let broken = |source| Error::Checkpoint { name: TAKING.into(), source };
        let Some(mut image) = Image::open(store).map_err(broken)? else { return Ok(None) };
        let members = members_at(image.applied_index());
        let header = Header {
            cluster: self.cluster,
            index: image.applied_index(),
            term: image.applied_term(),
            clock: image.clock(),
            digest: image.digest(),
            members: members.encode(),
            cluster_name: self.cluster_name.clone(),
        };
        self.files.create(TAKING).map_err(at(TAKING))?;
        let output = Output {
            files: Arc::clone(&self.files),
            name: TAKING,
            waiting: Vec::new(),
            cancelled: Arc::clone(&self.cancelled),
        };
        let mut writer = format::Writer::new(output, &header).map_err(at(TAKING))?;
        image.begin(store, &mut to_file(&mut writer)).map_err(broken)?;
        let meta = Meta {
            index: header.index,
            term: header.term,
            members,
            digest: header.digest,
            bytes: 0,
        };
        Ok(Some(Draft { writer, image, meta }))
    }

    /// Writes the rest, syncs, reads all of it back and renames it into place. Checkpoints may go
    /// on.
    ///
    /// # Errors
    /// When anything fails. Then the file is not in place, and the caller decides.
    pub fn finish(&self, draft: Draft, store: &dyn CheckpointStore) -> Result<Meta, Error> {
        let Draft { mut writer, image, mut meta } = draft;
        image
            .finish(store, &mut to_file(&mut writer))
            .map_err(|source| Error::Checkpoint { name: TAKING.into(), source })?;
        meta.bytes = writer.finish().map_err(at(TAKING))?;
        self.files.sync(TAKING).map_err(at(TAKING))?;
        let read = self.read(TAKING, &mut |_, _| Ok(()))?;
        if (read.index, read.digest, read.bytes) != (meta.index, meta.digest, meta.bytes) {
            return Err(stranger(TAKING, format!("of index {} when read back", read.index)));
        }
        self.files.rename(TAKING, &name_of(meta.index)).map_err(at(TAKING))?;
        self.remember(&meta);
        Ok(meta)
    }

    /// Reads a whole file and verifies everything but the meaning of its rows.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn verify(&self, index: u64) -> Result<Meta, Error> {
        self.sound.lock().remove(&index);
        let meta = self.read(&name_of(index), &mut |_, _| Ok(()))?;
        self.remember(&meta);
        Ok(meta)
    }

    /// Verifies a file before it is sent, unless this process has read all of it before: reading
    /// takes as long as the file is large.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn verify_once(&self, index: u64) -> Result<(), Error> {
        match self.unverified_bytes(index)? {
            0 => Ok(()),
            _ => self.verify(index).map(drop),
        }
    }

    /// How many bytes [`Snapshots::verify_once`] reads.
    ///
    /// # Errors
    /// When the size of the file is not known.
    pub fn unverified_bytes(&self, index: u64) -> Result<u64, Error> {
        let known = self.sound.lock().get(&index).copied();
        let name = name_of(index);
        let size = self.files.size(&name).map_err(at(&name))?.unwrap_or(0);
        Ok(if known.is_some_and(|(bytes, _)| bytes == size) { 0 } else { size })
    }

    fn remember(&self, meta: &Meta) {
        self.sound.lock().insert(meta.index, (meta.bytes, meta.digest));
    }

    /// Fills an empty store with the content of a file.
    ///
    /// # Errors
    /// When the file is damaged or the store cannot be written.
    pub fn fill(&self, index: u64, store: &dyn CheckpointStore) -> Result<Meta, Error> {
        let name = name_of(index);
        let mut fill = Fill::new(store);
        let meta = self.read(&name, &mut |key, value| fill.add(key, value))?;
        fill.finish().map_err(|source| Error::Checkpoint { name, source })?;
        Ok(meta)
    }

    /// Reads some bytes of a file, and its size. `None` if there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn part(
        &self,
        index: u64,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let name = name_of(index);
        let Some(size) = self.files.size(&name).map_err(at(&name))? else { return Ok(None) };
        let length = size.saturating_sub(offset).min(bytes_max as u64);
        let length = usize::try_from(length).expect("no more than was asked for");
        let bytes = self.files.read(&name, offset, length).map_err(at(&name))?;
        Ok(Some((size, bytes)))
    }

    /// Opens a file from its beginning. It stays readable if it is removed meanwhile. `None` if
    /// there is no such file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reader(&self, index: u64) -> Result<Option<Box<dyn Read + Send>>, Error> {
        let name = name_of(index);
        match self.files.open(&name) {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { name, source }),
        }
    }

    /// Sets the snapshots that are being sent: [`Snapshots::keep_only`] spares them.
    pub fn hold(&self, indexes: BTreeSet<u64>) {
        *self.held.lock() = indexes;
    }

    /// Removes all files but those of these indexes and those that are being sent.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn keep_only(&self, kept: &[u64]) -> Result<(), Error> {
        let held = self.held.lock().clone();
        #[cfg(feature = "simulation")]
        let held = crate::planted::unless_forgotten(held);
        for index in self.indexes()? {
            if !kept.contains(&index) && !held.contains(&index) {
                let name = name_of(index);
                self.files.remove(&name).map_err(at(&name))?;
                self.sound.lock().remove(&index);
            }
        }
        self.remove_incoming_up_to(kept.iter().copied().max().unwrap_or(0))
    }

    /// Moves a damaged file aside for inspection.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn set_aside(&self, index: u64) -> Result<(), Error> {
        let name = name_of(index);
        self.sound.lock().remove(&index);
        self.files.rename(&name, &format!("{name}.damaged")).map_err(at(&name))
    }

    /// Reads the metadata at a file's beginning and end.
    fn look(&self, index: u64) -> Result<Meta, Error> {
        let name = name_of(index);
        let damaged = |source| Error::Damaged { name: name.clone(), source };
        let size = self.files.size(&name).map_err(at(&name))?.unwrap_or(0);
        let end_at = size.saturating_sub(END_BYTES as u64);
        let end = self.files.read(&name, end_at, END_BYTES).map_err(at(&name))?;
        format::check_end(&end, end_at).map_err(damaged)?;
        let input = Input { files: &*self.files, name: &name, offset: 0 };
        let (_, header) = format::Reader::new(input).map_err(damaged)?;
        let meta = self.meta(&name, header, size)?;
        match meta.index == index {
            true => Ok(meta),
            false => Err(stranger(&name, format!("of index {}", meta.index))),
        }
    }

    fn read(&self, name: &str, visit: Visit<'_>) -> Result<Meta, Error> {
        let damaged = |source| Error::Damaged { name: name.into(), source };
        let input = Input { files: &*self.files, name, offset: 0 };
        let input = io::BufReader::with_capacity(WRITE_BYTES, input);
        let (mut reader, header) = format::Reader::new(input).map_err(damaged)?;
        let mut failed = None;
        let bytes = reader.rows(&mut |key, value| {
            visit(key, value).map_err(|error| failed = Some(error)).is_ok()
        });
        if let Some(error) = failed {
            let source = engine::checkpoint::open::Error::Store(error);
            return Err(Error::Checkpoint { name: name.into(), source });
        }
        let bytes = bytes.map_err(damaged)?;
        self.meta(name, header, bytes)
    }

    fn meta(&self, name: &str, header: Header, bytes: u64) -> Result<Meta, Error> {
        if header.cluster != self.cluster {
            return Err(stranger(name, "of another cluster".into()));
        }
        let members = Membership::decode(&header.members)
            .map_err(|error| stranger(name, format!("of no readable membership: {error}")))?;
        let Header { index, term, digest, .. } = header;
        Ok(Meta { index, term, members, digest, bytes })
    }
}

fn at(name: &str) -> impl FnOnce(io::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Io { name, source }
}

fn stranger(name: &str, what: String) -> Error {
    Error::Stranger { name: name.into(), what }
}

/// The name of a snapshot file. The index has a fixed width, so names sort as indexes do.
pub fn name_of(index: u64) -> String {
    format!("snapshot-{index:020}")
}

fn index_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("snapshot-")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// Writes rows to the file.
fn to_file(
    writer: &mut format::Writer<Output>,
) -> impl FnMut(&[u8], &[u8]) -> Result<(), store::Error> {
    |key, value| {
        writer.row(key, value).map_err(|source| store::Error::Failed {
            action: "write",
            path: TAKING.into(),
            source: Box::new(source),
        })
    }
}

/// A file that is being written, in large writes.
struct Output {
    files: Arc<dyn Files>,
    name: &'static str,
    waiting: Vec<u8>,
    cancelled: Arc<AtomicBool>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("the node stops"));
        }
        self.files.append(self.name, &self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// A file that is being read.
struct Input<'a> {
    files: &'a dyn Files,
    name: &'a str,
    offset: u64,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.files.read(self.name, self.offset, buffer.len())?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests;

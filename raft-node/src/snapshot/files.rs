//! Storage of snapshot files: a directory, or memory that can lose power.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::directory::durable::create_private_dir;

/// A flat set of files. A file is appended to under one name, synced, and renamed to another.
pub trait Files: Send + Sync {
    /// All names.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, in the place of one that is there.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<()>;

    /// Opens a file that is there, to append to its first `length` bytes. Drops the rest.
    ///
    /// # Errors
    /// What the system says.
    fn reopen(&self, name: &str, length: u64) -> io::Result<()>;

    /// Appends to the file.
    ///
    /// # Errors
    /// What the system says.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Returns once the file's content is on stable storage.
    ///
    /// # Errors
    /// When that cannot be promised.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Renames a file, in the place of one that is there, durably.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// The size of a file, if it is there.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self, name: &str) -> io::Result<Option<u64>>;

    /// Reads at most `length` bytes from an offset on; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Opens a file for reading from its beginning. What is read stays the same even when the file
    /// is removed meanwhile.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;

    /// Removes a file if it is there.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Files in a directory.
#[derive(Debug)]
pub struct DirectoryFiles {
    dir: PathBuf,
    /// The files that are being written, so that a sync reports what became of every append.
    writing: Mutex<BTreeMap<String, Writing>>,
}

/// A file that is being written.
#[derive(Debug)]
struct Writing {
    file: File,
    /// Bytes since it was synced.
    unsynced: usize,
}

/// A file is synced after this many bytes at the latest: one of gigabytes that goes to the disk at
/// its end would keep the log's syncs waiting.
const UNSYNCED_BYTES_MAX: usize = 4 << 20;

impl DirectoryFiles {
    /// The files in a directory, which is created when it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(dir: &Path) -> io::Result<DirectoryFiles> {
        create_private_dir(dir)?;
        Ok(DirectoryFiles { dir: dir.to_owned(), writing: Mutex::default() })
    }

    fn write<T>(
        &self,
        name: &str,
        write: impl FnOnce(&mut Writing) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut writing = self.writing.lock();
        let file = writing.get_mut(name);
        write(file.ok_or_else(|| io::Error::other(format!("{name} is not being written")))?)
    }
}

impl Writing {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.unsynced = 0;
        Ok(())
    }
}

impl Files for DirectoryFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for found in fs::read_dir(&self.dir)? {
            names.extend(found?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.dir.join(name))?;
        self.writing.lock().insert(name.into(), Writing { file, unsynced: 0 });
        Ok(())
    }

    fn reopen(&self, name: &str, length: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.dir.join(name))?;
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        self.writing.lock().insert(name.into(), Writing { file, unsynced: 0 });
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, |writing| {
            writing.file.write_all(bytes)?;
            writing.unsynced += bytes.len();
            match writing.unsynced >= UNSYNCED_BYTES_MAX {
                true => writing.sync(),
                false => Ok(()),
            }
        })
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.write(name, Writing::sync)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.writing.lock().remove(from);
        fs::rename(self.dir.join(from), self.dir.join(to))?;
        File::open(&self.dir)?.sync_all()
    }

    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        match fs::metadata(self.dir.join(name)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.dir.join(name))?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.dir.join(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.writing.lock().remove(name);
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Files in memory.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    inner: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    files: BTreeMap<String, MemoryFile>,
    /// Appends and syncs that still succeed, if not all do.
    operations_left: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct MemoryFile {
    bytes: Vec<u8>,
    synced: usize,
}

impl MemoryFiles {
    /// Loses power: each file keeps the first `kept(n)` of its `n` bytes that were not synced.
    pub fn crash(&self, mut kept: impl FnMut(usize) -> usize) {
        let mut inner = self.inner.lock();
        inner.operations_left = None;
        for file in inner.files.values_mut() {
            let unsynced = file.bytes.len() - file.synced;
            let kept = kept(unsynced).min(unsynced);
            file.bytes.truncate(file.synced + kept);
            // What was read back after a crash may be relied on only if it was synced before.
            file.synced = file.bytes.len();
        }
    }

    /// A copy of all files, as a copied directory has them.
    #[must_use]
    pub fn copy(&self) -> MemoryFiles {
        let files = self.inner.lock().files.clone();
        MemoryFiles { inner: Mutex::new(Memory { files, operations_left: None }) }
    }

    /// Lets `operations` further appends and syncs succeed and fails all after them.
    pub fn fail_after(&self, operations: u64) {
        self.inner.lock().operations_left = Some(operations);
    }

    /// Changes the bytes of a file as a decaying disk would. False when it is not there.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut inner = self.inner.lock();
        let Some(file) = inner.files.get_mut(name) else { return false };
        change(&mut file.bytes);
        file.synced = file.synced.min(file.bytes.len());
        true
    }
}

impl Memory {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("failed on purpose")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut MemoryFile> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files for MemoryFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.inner.lock().files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<()> {
        self.inner.lock().files.insert(name.into(), MemoryFile::default());
        Ok(())
    }

    fn reopen(&self, name: &str, length: u64) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let file = inner.file(name)?;
        file.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        file.synced = file.synced.min(file.bytes.len());
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        inner.file(name)?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.operate()?;
        let file = inner.file(name)?;
        file.synced = file.bytes.len();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let file = inner.file(from)?.clone();
        inner.files.remove(from);
        inner.files.insert(to.into(), file);
        Ok(())
    }

    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.inner.lock().files.get(name).map(|file| file.bytes.len() as u64))
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut inner = self.inner.lock();
        let bytes = &inner.file(name)?.bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.inner.lock().file(name)?.bytes.clone();
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.lock().files.remove(name);
        Ok(())
    }
}

//! The library that is loaded before a node's own: shifted clocks, slow disks, failing syncs.
//!
//! Its C source is compiled at run time, so that no build of the server contains it. It reads its
//! settings from a page of a file, and counts there what it did.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::net;

const SOURCE: &str = include_str!("shim.c");

/// Size of the page, of which seven numbers are used.
const PAGE_BYTES: usize = 4_096;

/// A number in the page.
#[derive(Debug, Clone, Copy)]
pub enum Dial {
    /// Nanoseconds added to the wall clock.
    ClockOffset = 0,
    /// Microseconds that each sync takes longer.
    SyncDelay = 1,
    /// How many of the next syncs fail.
    SyncFailures = 2,
    /// Clock readings that were shifted so far.
    Shifted = 3,
    /// Syncs that were delayed, or hung, so far.
    Delayed = 4,
    /// Syncs that failed so far.
    Failed = 5,
    /// Not 0 while no sync ends.
    SyncHangs = 6,
}

/// The page of one node.
#[derive(Debug)]
pub struct Page {
    file: File,
    path: PathBuf,
}

/// Compiles the library.
///
/// # Errors
/// When there is no C compiler, or its message.
pub(super) fn compile(folder: &Path) -> Result<PathBuf, String> {
    let source = folder.join("shim.c");
    let library = folder.join("shim.so");
    std::fs::write(&source, SOURCE).map_err(|error| format!("{}: {error}", source.display()))?;
    let (from, to) = (source.display().to_string(), library.display().to_string());
    net::run("cc", &["-O2", "-shared", "-fPIC", "-o", &to, &from, "-ldl"])?;
    Ok(library)
}

impl Page {
    /// Makes a page that changes nothing.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(&[0; PAGE_BYTES], 0)?;
        Ok(Self { file, path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets a number.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, dial: Dial, value: i64) -> Result<(), String> {
        let at = 8 * dial as u64;
        let written = self.file.write_all_at(&value.to_ne_bytes(), at);
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// Reads a number; 0 when the file cannot be read.
    #[must_use]
    pub fn get(&self, dial: Dial) -> i64 {
        let mut bytes = [0; 8];
        match self.file.read_exact_at(&mut bytes, 8 * dial as u64) {
            Ok(()) => i64::from_ne_bytes(bytes),
            Err(_) => 0,
        }
    }
}

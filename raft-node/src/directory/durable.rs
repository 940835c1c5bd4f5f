//! Small files that survive a power cut, the directory's lock, and the errors of both.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};
use engine::codec;

/// The version of the files written today.
const VERSION: u8 = 1;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{0} is in use by another process")]
    Locked(PathBuf),
    /// A file in it is damaged or of an unknown version.
    #[error("{path}: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: codec::Error,
    },
    /// The boot counter is gone, although there is a log.
    #[error(
        "{0} is missing, although this data directory has a log: the node would reuse request ids"
    )]
    BootMissing(PathBuf),
    /// It belongs to another node or cluster.
    #[error("{path} belongs to {found}, not to {wanted}")]
    Stranger {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        found: String,
        /// The node that wanted to open it.
        wanted: String,
    },
    /// A peer knows that the data is older than what this node did.
    #[error(
        "{reason}. The node must not vote or acknowledge with it; if this copy is all that is left, \
         remove {path} and run `holdfast recover --force-new-cluster`"
    )]
    PutBack {
        /// The note in the directory.
        path: PathBuf,
        /// What the peer knows.
        reason: String,
    },
    /// It is new, and the configuration lists no peers to found a cluster with.
    #[error(
        "{0} is new: list every voter of the new cluster, this node too, or join a running cluster"
    )]
    NoPeers(PathBuf),
    /// A member gave invalid information about the cluster to join.
    #[error("the cluster to join: {0}")]
    Join(&'static str),
}

impl Error {
    /// Returns whether a file other than the identity differs from what was written; see
    /// [`StartError::is_damage`](crate::node::error::StartError::is_damage). Without its identity
    /// nobody can tell whose data it is.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::BootMissing(_) | Error::PutBack { .. } => true,
            Error::Damaged { path, .. } => path.file_name().is_some_and(|name| {
                ["boot", "peers", "current", "put-back"].iter().any(|of| name == *of)
            }),
            _ => false,
        }
    }
}

/// Adds the path to an error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { path, source }
}

/// Takes the lock of a data directory. Dropping the file releases it.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Locked(dir.to_path_buf())),
        Err(fs::TryLockError::Error(source)) => Err(Error::Io { path, source }),
    }
}

/// Reads a file that [`write_value`] wrote; `None` if there is none.
pub(crate) fn read_optional<T: Decode<()>>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(bytes) => codec::decode_row(VERSION, &bytes)
            .map(Some)
            .map_err(|source| Error::Damaged { path: path.to_path_buf(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_path_buf(), source }),
    }
}

/// Writes a value with version and checksum, durably.
pub(crate) fn write_value<T: Encode>(path: &Path, value: &T) -> Result<(), Error> {
    let bytes = codec::encode_row(VERSION, value);
    write_durably(path, |file| io::Write::write_all(file, &bytes)).map_err(at(path))
}

/// Writes a temporary file, syncs it, renames it into place and syncs the directory. After a crash
/// the file has the old content or the new.
pub(crate) fn write_durably(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = private_file(&beside)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let dir = path.parent().ok_or_else(|| io::Error::other("a file has a directory"))?;
    File::open(dir)?.sync_all()
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a data directory, or closes an existing one to other users.
///
/// It holds orders and members. A user who may write to it could replace them.
///
/// # Errors
/// Another user than this one or root owns it, or the system refuses.
pub(crate) fn private_data_dir(dir: &Path) -> io::Result<()> {
    create_private_dir(dir)?;
    let about = fs::metadata(dir)?;
    let (owner, user) = (about.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "user {owner} owns this directory and could change its data: chown it to user {user}"
            ),
        ));
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let was = format!("{mode:o}");
    if owner != user {
        // A volume of Kubernetes: root owns it, and its group is the one of the container.
        tracing::warn!(
            dir = %dir.display(), mode = was,
            "root owns the data directory, so this node cannot close it to other users"
        );
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode & !0o077))?;
    tracing::warn!(
        dir = %dir.display(), mode = was,
        "the data directory was open to other users, and is closed now"
    );
    Ok(())
}

/// Durably creates a directory that only its owner may enter. Does nothing if it exists.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

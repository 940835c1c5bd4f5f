//! Replaces a whole data directory with another.
//!
//! The new directory is made within the old one, under a name that nobody reads. Once all of it is
//! durable it is renamed. From then on, the next code that opens the data directory completes the
//! switch: everything old moves aside, another rename records that, then everything new moves up,
//! the identity last.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::durable::{Error, at, create_private_dir};

/// Name while it is being made; nobody reads it.
pub(crate) const UNFINISHED: &str = "new-cluster.unfinished";
/// Name once it is complete and the old data has to move aside.
const READY: &str = "new-cluster.ready";
/// Name once the old data has moved aside and the new data has to move up.
const MOVING: &str = "new-cluster.moving";
/// Within the new directory: holds the name of the directory for the old data.
const ASIDE: &str = "aside";
/// Makes a directory a node's. It moves last, so that nothing is founded before.
const IDENTITY: &str = "identity";

/// A new data directory that is being made within another.
pub(crate) struct Stage<'a> {
    data: &'a Path,
    path: PathBuf,
}

impl<'a> Stage<'a> {
    /// Begins, or begins again. The caller holds the lock.
    pub(crate) fn begin(data: &'a Path) -> Result<Stage<'a>, Error> {
        let path = data.join(UNFINISHED);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(at(&path))?;
        }
        create_private_dir(&path).map_err(at(&path))?;
        Ok(Stage { data, path })
    }

    /// The path of the new directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the old directory with the complete new one. The old data moves to `aside`.
    pub(crate) fn take_over(self, aside: Option<&str>) -> Result<(), Error> {
        if let Some(aside) = aside {
            let note = self.path.join(ASIDE);
            fs::write(&note, aside).map_err(at(&note))?;
        }
        sync_all(&self.path).map_err(at(&self.path))?;
        let switched = || -> io::Result<()> {
            fs::rename(&self.path, self.data.join(READY))?;
            sync(self.data)?;
            finish(self.data)
        };
        switched().map_err(at(self.data))
    }
}

/// Completes a switch that was begun, if there is one. The caller holds the lock.
pub(crate) fn finish(data: &Path) -> io::Result<()> {
    step(data, usize::MAX).map(|_| ())
}

/// Makes at most `moves` moves. Returns false when there is more to do.
fn step(data: &Path, moves: usize) -> io::Result<bool> {
    let mut left = moves;
    let mut may_move = || {
        let may = left > 0;
        left = left.saturating_sub(1);
        may
    };
    let (ready, moving) = (data.join(READY), data.join(MOVING));
    if ready.is_dir() {
        let aside = match fs::read_to_string(ready.join(ASIDE)) {
            Ok(name) => Some(data.join(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        for (name, path) in entries(data)? {
            let kept = ["before-recovery-", "damaged-", "new-cluster."];
            let kept = kept.iter().any(|prefix| name.starts_with(prefix));
            if name == "lock" || name == "lost+found" || kept {
                continue;
            }
            let Some(aside) = &aside else {
                // The directory was empty at the beginning, so nobody needs this.
                let what = format!("{} appeared while it was restored", path.display());
                return Err(io::Error::other(what));
            };
            if !may_move() {
                return Ok(false);
            }
            create_private_dir(aside)?;
            fs::rename(&path, aside.join(name))?;
            sync(aside)?;
        }
        sync(data)?;
        if !may_move() {
            return Ok(false);
        }
        fs::rename(&ready, &moving)?;
        sync(data)?;
    }
    if moving.is_dir() {
        let mut found = entries(&moving)?;
        found.sort_by_key(|(name, _)| (name == IDENTITY, name.clone()));
        for (name, path) in found {
            if name == ASIDE {
                continue;
            }
            if !may_move() {
                return Ok(false);
            }
            if name == IDENTITY {
                // Everything else is durable before it is a node's directory.
                sync(data)?;
            }
            fs::rename(&path, data.join(name))?;
        }
        sync(data)?;
        fs::remove_dir_all(&moving)?;
        sync(data)?;
    }
    Ok(true)
}

fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name = name
            .map_err(|name| io::Error::other(format!("the name {name:?} is not valid Unicode")))?;
        found.push((name, entry.path()));
    }
    found.sort();
    Ok(found)
}

/// Syncs everything in a directory.
fn sync_all(dir: &Path) -> io::Result<()> {
    for (_, path) in entries(dir)? {
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(dir)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn old_and_new(data: &Path) {
        for name in ["lock", "identity", "boot", "raft/log", "state/db", "state.damaged-1/db"] {
            put(data, name, "old");
        }
        put(data, "before-recovery-1/identity", "older");
        let stage = Stage::begin(data).expect("begun");
        for name in ["identity", "boot", "raft/log", "state/db", "snapshots/one"] {
            put(stage.path(), name, "new");
        }
        put(stage.path(), ASIDE, "before-recovery-2");
        fs::rename(stage.path(), data.join(READY)).expect("renamed");
    }

    fn read(data: &Path, name: &str) -> Option<String> {
        fs::read_to_string(data.join(name)).ok()
    }

    #[test]
    fn a_switch_interrupted_anywhere_is_finished_later() {
        let mut cuts = 0;
        loop {
            let dir = tempfile::tempdir().expect("a directory");
            let data = dir.path();
            old_and_new(data);
            let finished = step(data, cuts).expect("moved");
            if !finished {
                // During the switch nobody finds an identity that does not match the rest.
                let parts = ["identity", "raft/log", "state/db"].map(|name| read(data, name));
                let mixed = parts[0].as_deref() == Some("new")
                    && parts.iter().any(|part| part.as_deref() != Some("new"));
                assert!(!mixed, "after {cuts} moves: {parts:?}");
                finish(data).expect("finished");
            }
            for name in ["identity", "boot", "raft/log", "state/db", "snapshots/one"] {
                assert_eq!(read(data, name).as_deref(), Some("new"), "{name} after {cuts}");
            }
            for name in ["identity", "boot", "raft/log", "state/db", "state.damaged-1/db"] {
                let kept = read(&data.join("before-recovery-2"), name);
                assert_eq!(kept.as_deref(), Some("old"), "{name} after {cuts}");
            }
            assert_eq!(read(data, "before-recovery-1/identity").as_deref(), Some("older"));
            assert_eq!(read(data, "lock").as_deref(), Some("old"), "the lock stays");
            assert!(!data.join(READY).exists() && !data.join(MOVING).exists());
            if finished {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 8, "{cuts} places");
    }

    #[test]
    fn what_is_not_finished_is_nobodys() {
        let dir = tempfile::tempdir().expect("a directory");
        put(dir.path(), "identity", "old");
        let stage = Stage::begin(dir.path()).expect("begun");
        put(stage.path(), "identity", "new");
        finish(dir.path()).expect("nothing to do");
        assert_eq!(read(dir.path(), "identity").as_deref(), Some("old"));
        let again = Stage::begin(dir.path()).expect("begun anew");
        assert!(!again.path().join("identity").exists());
    }
}

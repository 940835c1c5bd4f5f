//! Small C libraries that nodes under test load before libc, to make system calls fail or wait.
//! A test compiles them when it needs them, with the compiler that links Rust programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;

/// The environment variable with the file whose existence makes syncs fail.
pub(crate) const FAIL_SYNC_WHEN: &str = "FAIL_SYNC_WHEN";

/// The file whose existence makes the syncs of the node with this data directory fail.
#[must_use]
pub fn failing_sync_trigger(data: &Path) -> PathBuf {
    data.with_extension("fail-sync")
}

/// The environment variable with the file whose existence makes syncs hang.
pub(crate) const HANG_SYNC_WHEN: &str = "HANG_SYNC_WHEN";

/// The file during whose existence the syncs of the node with this data directory do not end.
#[must_use]
pub fn hanging_sync_trigger(data: &Path) -> PathBuf {
    data.with_extension("hang-sync")
}

/// The environment variable with the file whose existence makes writes of the checkpoint fail.
pub(crate) const FAIL_CHECKPOINT_WHEN: &str = "FAIL_CHECKPOINT_WHEN";

/// The file whose existence makes the writes to the checkpoint of this data directory fail.
#[must_use]
pub fn failing_checkpoint_trigger(data: &Path) -> PathBuf {
    data.with_extension("fail-checkpoint")
}

/// The environment variable with the file whose existence makes writes of the checkpoint hang.
pub(crate) const HANG_CHECKPOINT_WHEN: &str = "HANG_CHECKPOINT_WHEN";

/// The file during whose existence the writes to the checkpoint of this data directory do not end.
#[must_use]
pub fn hanging_checkpoint_trigger(data: &Path) -> PathBuf {
    data.with_extension("hang-checkpoint")
}

/// The environment variable with the microseconds that each sync takes longer.
pub(crate) const DELAY_SYNC_US: &str = "DELAY_SYNC_US";

/// The environment variable with the microseconds that reading a kibibyte of a snapshot takes
/// longer.
pub(crate) const DELAY_READ_US: &str = "DELAY_READ_US";

/// Compiles the shim that makes the disk slow or fail, and returns where it is.
///
/// # Panics
/// When there is no C compiler, or the shim does not compile.
pub(crate) fn disk(dir: &Path) -> PathBuf {
    let source = binary::workspace().join("tests/shims/disk.c");
    let library = dir.join("disk.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
    let output = cc.output().unwrap_or_else(|error| panic!("{cc:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cc:?}: {said}");
    library
}

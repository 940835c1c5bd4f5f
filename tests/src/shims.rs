//! Small libraries that are loaded before libc into the nodes under test, to make the system fail
//! on purpose. They are C, compiled when a test asks, with the compiler that links Rust programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;

/// Where a node's shim looks whether syncs have to fail, as the environment names it.
pub(crate) const FAIL_SYNC_WHEN: &str = "FAIL_SYNC_WHEN";

/// The file whose existence makes the syncs of the node with this data directory fail.
#[must_use]
pub fn failing_sync_trigger(data: &Path) -> PathBuf {
    data.with_extension("fail-sync")
}

/// Where it looks whether writes of the checkpoint have to fail.
pub(crate) const FAIL_CHECKPOINT_WHEN: &str = "FAIL_CHECKPOINT_WHEN";

/// The file whose existence makes the writes to the checkpoint of this data directory fail.
#[must_use]
pub fn failing_checkpoint_trigger(data: &Path) -> PathBuf {
    data.with_extension("fail-checkpoint")
}

/// How many microseconds longer each sync takes, as the environment names it.
pub(crate) const DELAY_SYNC_US: &str = "DELAY_SYNC_US";

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

//! Finds the `holdfast` binary, and builds it when it is missing or older than its sources.
//!
//! `cargo test -p tests` does not build another package's binary, so the harness does it once,
//! in the profile of the running test. Set `HOLDFAST_TEST_BINARY` to test a given file instead.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The variable that names a binary to test, which is then never built.
const VARIABLE: &str = "HOLDFAST_TEST_BINARY";

/// The sources of the binary, relative to the workspace.
const SOURCES: &[&str] = &["Cargo.toml", "Cargo.lock", "engine", "raft-node", "http-api", "client"];

/// The binary under test.
///
/// # Panics
/// When it cannot be built.
pub(crate) fn path() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os(VARIABLE) {
        Some(given) => PathBuf::from(given),
        None => find_or_build(),
    })
}

/// The directory for locks, data and logs of the tests of this build.
///
/// # Panics
/// When the directory cannot be made.
pub(crate) fn scratch() -> PathBuf {
    let dir = profile_dir().join("e2e");
    fs::create_dir_all(&dir).expect("the target directory can be written");
    dir
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in a workspace")
}

/// `target/<profile>`: tests run from the folder `deps` in there, examples from `examples`.
fn profile_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("a running test knows its file");
    let deps = executable.parent().expect("the executable lies in a folder");
    if deps.ends_with("deps") || deps.ends_with("examples") {
        deps.parent().expect("`deps` lies in the profile's folder").to_owned()
    } else {
        deps.to_owned()
    }
}

fn find_or_build() -> PathBuf {
    let dir = profile_dir();
    let binary = dir.join(format!("holdfast{}", std::env::consts::EXE_SUFFIX));
    // Several test processes may get here at once: the first builds, the others wait for it.
    let lock = File::create(scratch().join("build.lock")).expect("the lock file can be made");
    lock.lock().expect("the lock file can be locked");
    if is_current(&binary) {
        return binary;
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "-p", "holdfast"]).current_dir(workspace());
    if let Some(target) = dir.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            cargo.args(["--profile", profile]);
        }
    }
    // What cargo says to a test about its package is no news to another cargo, but build scripts
    // that read it would run again, here and in the next build outside of tests.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|it| name.starts_with(it)) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "the binary under test does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(binary.is_file(), "cargo built no {}", binary.display());
    binary
}

/// Whether the binary is newer than all its sources.
fn is_current(binary: &Path) -> bool {
    let Ok(built) = fs::metadata(binary).and_then(|metadata| metadata.modified()) else {
        return false;
    };
    SOURCES.iter().all(|source| newest(&workspace().join(source)) <= built)
}

/// When the newest source at or under `path` changed.
fn newest(path: &Path) -> SystemTime {
    let Ok(metadata) = fs::metadata(path) else { return SystemTime::UNIX_EPOCH };
    if !metadata.is_dir() {
        let counts = path.extension().is_some_and(|end| end == "rs" || end == "toml")
            || path.file_name().is_some_and(|name| name == "Cargo.lock");
        return match (counts, metadata.modified()) {
            (true, Ok(changed)) => changed,
            _ => SystemTime::UNIX_EPOCH,
        };
    }
    let Ok(entries) = fs::read_dir(path) else { return SystemTime::UNIX_EPOCH };
    let times = entries.flatten().map(|entry| newest(&entry.path()));
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

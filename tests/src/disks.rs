//! Small disks for nodes: mounted in a mount namespace that ends with the test, so that nothing is
//! left behind however the test ends. Needs root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use jepsen::disks;
pub use jepsen::disks::Disk;

/// Set in the process that runs inside of the namespace.
const INSIDE: &str = "HOLDFAST_TEST_INSIDE_MOUNTS";

/// Set to skip these tests on a machine that cannot mount.
const SKIP: &str = "HOLDFAST_TEST_SKIP_MOUNTS";

/// How often a filler tries to take the free space while a node writes.
const ATTEMPTS: u32 = 100;

/// Runs `body` in a mount namespace of its own: starts this program again with only `test`, the
/// whole name of the calling test with its module.
///
/// # Panics
/// When the test fails, or when mounting is not permitted and `HOLDFAST_TEST_SKIP_MOUNTS` is unset.
pub fn isolated(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be started");
        return runtime.block_on(body);
    }
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).args(arguments);
        command
    };
    let probe = unshare(&["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let allowed = probe.as_ref().is_ok_and(|output| output.status.success());
    if !allowed && std::env::var_os(SKIP).is_some() {
        eprintln!("SKIPPED: {test} needs root and a mount namespace, and {SKIP} is set");
        return;
    }
    assert!(
        allowed,
        "{test} needs root, `unshare` and `mount`; set {SKIP}=1 to go without it: {probe:?}"
    );
    let executable = std::env::current_exe().expect("a running test knows its file");
    let executable = executable.to_str().expect("a path in UTF-8");
    let output = unshare(&[executable, "--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .output()
        .expect("`unshare` was there a moment ago");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && ran, "{test} failed inside of its namespace");
}

/// Mounted disks. Dropping it unmounts them.
#[derive(Debug, Default)]
pub struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// Makes a disk and mounts it at `place`, which is created.
    ///
    /// # Panics
    /// When that fails.
    pub fn mount(&mut self, disk: Disk, place: &Path) {
        disks::mount(disk, place).expect("a disk can be made");
        self.0.push(place.to_owned());
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for place in &self.0 {
            // Best effort: the namespace ends with the process anyway.
            let _ = Command::new("umount").arg("--lazy").arg(place).output();
        }
    }
}

/// The free bytes of the disk at `place`.
///
/// # Panics
/// When the file system cannot be asked.
#[must_use]
pub fn free_bytes(place: &Path) -> u64 {
    let found = rustix::fs::statvfs(place).expect("a mounted disk can be asked");
    found.f_bavail * found.f_frsize
}

/// A file that takes up disk space until it is dropped.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Filler {
    /// Takes all but `leave` bytes of the disk at `place`.
    ///
    /// # Panics
    /// When there is less than that already, or it cannot be written.
    #[must_use]
    pub fn leave(place: &Path, leave: u64) -> Self {
        let path = place.join("filler");
        let file = File::create(&path).expect("a file can be made on a disk with room");
        let free = free_bytes(place);
        assert!(free > leave, "only {free} bytes are free at {}", place.display());
        // The node writes meanwhile and may take the free space first, so try again.
        for _ in 0..ATTEMPTS {
            let size = free_bytes(place).saturating_sub(leave);
            if size == 0 {
                return Self(path);
            }
            let flags = rustix::fs::FallocateFlags::empty();
            match rustix::fs::fallocate(&file, flags, 0, size) {
                Ok(()) => return Self(path),
                Err(rustix::io::Errno::NOSPC | rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the filler at {} cannot grow: {error}", path.display()),
            }
        }
        panic!("{ATTEMPTS} attempts to fill {} met a full disk", place.display());
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        // The disk may be gone already, and the file with it.
        let _ = fs::remove_file(&self.0);
    }
}

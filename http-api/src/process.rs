//! What the system says about this process: memory and open files.
//!
//! It reads `/proc`. On systems without it, nothing is known.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What is known about this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// Resident memory, in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// How much it may use: the lowest limit of its control groups, else the machine's memory.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Open files and connections.
    pub(crate) files_open: Option<u64>,
    /// How many it may have; none without a limit.
    pub(crate) files_max: Option<u64>,
}

impl Process {
    /// Looks at this process now.
    pub(crate) fn now() -> Process {
        let text =
            |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        Process {
            memory_bytes: memory_bytes(&text("status")),
            memory_limit_bytes: memory_limit_bytes(&text("cgroup")),
            files_open: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            files_max: files_max(&text("limits")),
        }
    }
}

fn memory_bytes(status: &str) -> Option<u64> {
    kib_of(status, "VmRSS:")?.checked_mul(1024)
}

/// The number of a line that begins with `name` and ends with `kB`.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The lowest limit of these control groups and of those above them, at most the machine's memory.
fn memory_limit_bytes(groups: &str) -> Option<u64> {
    let limit = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limits = limit_files(groups).into_iter().filter_map(limit);
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| kib_of(&text, "MemTotal:")?.checked_mul(1024));
    limits.chain(machine).min()
}

/// The files with limits of memory for a process with this `/proc/self/cgroup`: of its group and of
/// all above it, in version 2 or version 1.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut words = line.splitn(3, ':').skip(1);
        let (root, name) = match words.next() {
            Some("") => ("/sys/fs/cgroup", "memory.max"),
            Some("memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let own = Path::new(words.next().unwrap_or_default().trim_start_matches('/'));
        // A container may see its group as the root, and others by names that it cannot follow.
        let is_inside = own.components().all(|part| matches!(part, Component::Normal(_)));
        let own = if is_inside { own } else { Path::new("") };
        files.extend(own.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

fn files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(memory_bytes("Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t1\n"), Some(2 << 20));
        assert_eq!(memory_bytes(""), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(files_max(limits), Some(1024));
        assert_eq!(files_max("Max open files  unlimited  unlimited  files\n"), None);
    }

    #[test]
    fn all_control_groups_above_a_process_count() {
        let root = |name: &str| Path::new("/sys/fs/cgroup").join(name);
        let found = limit_files("1:cpu:/x\n0::/shop.slice/holdfast.service\n");
        let expected =
            ["shop.slice/holdfast.service/memory.max", "shop.slice/memory.max", "memory.max"];
        assert_eq!(found, expected.map(root));
        let found = limit_files("4:memory:/shop\n1:name=systemd:/\n");
        let expected = ["memory/shop/memory.limit_in_bytes", "memory/memory.limit_in_bytes"];
        assert_eq!(found, expected.map(root));
        for own in ["0::/\n", "0::/../outside\n"] {
            assert_eq!(limit_files(own), [root("memory.max")], "{own}");
        }
        assert!(limit_files("").is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_running_process_has_memory_and_files() {
        let process = Process::now();
        assert!(process.memory_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.memory_limit_bytes >= process.memory_bytes, "{process:?}");
        assert!(process.files_open.is_some_and(|files| files >= 3), "{process:?}");
    }
}

//! What the system says about this process: memory and open files.
//!
//! It reads `/proc`. On systems without it, nothing is known.

use std::fs;

/// What is known about this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// Resident memory, in bytes.
    pub(crate) memory_bytes: Option<u64>,
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
            files_open: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            files_max: files_max(&text("limits")),
        }
    }
}

fn memory_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
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
    #[cfg(target_os = "linux")]
    fn a_running_process_has_memory_and_files() {
        let process = Process::now();
        assert!(process.memory_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.files_open.is_some_and(|files| files >= 3), "{process:?}");
    }
}

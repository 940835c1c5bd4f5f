//! What the system says of memory: how much this process uses, and how much it may use.
//!
//! It reads `/proc` and `/sys`. On systems without them, nothing is known.

use std::fs;
use std::path::Path;

/// Memory that this process uses, swapped or not, in bytes.
pub(crate) fn used_bytes() -> Option<u64> {
    used_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn used_in(status: &str) -> Option<u64> {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    kib("VmRSS:")?.saturating_add(kib("VmSwap:").unwrap_or(0)).checked_mul(1024)
}

/// Memory that this process may use, in bytes: that of the machine, or of its control groups if
/// they allow less.
pub(crate) fn available_bytes() -> Option<u64> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let machine = text("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let bytes = |text: String| text.trim().parse::<u64>().ok();
    let first = text("/sys/fs/cgroup/memory/memory.limit_in_bytes").and_then(bytes);
    let second = text("/proc/self/cgroup").and_then(|text| {
        let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
        let groups = Path::new(&own).ancestors().take(64);
        let limits = groups.filter_map(|group| {
            let file = Path::new("/sys/fs/cgroup").join(group).join("memory.max");
            bytes(fs::read_to_string(file).ok()?)
        });
        limits.min()
    });
    [machine, first, second].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_memory_counts() {
        let status = "Name:\tx\nVmRSS:\t  2048 kB\nVmSwap:\t  1024 kB\n";
        assert_eq!(used_in(status), Some(3 << 20));
        assert_eq!(used_in("VmRSS:\t 1 kB\n"), Some(1024));
        assert_eq!(used_in(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_less_than_there_is() {
        let (used, available) = (used_bytes(), available_bytes());
        assert!(used > Some(100_000) && used < available, "{used:?} of {available:?}");
    }
}

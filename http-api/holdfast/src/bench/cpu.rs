//! Processor time by thread, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// Clock ticks per second in `/proc`. The kernel's interface fixes it at 100 on common machines.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    user: u64,
    system: u64,
}

impl Ticks {
    fn add(&mut self, other: Ticks) {
        self.user += other.user;
        self.system += other.system;
    }

    fn since(self, before: Ticks) -> Ticks {
        Ticks {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    /// The rest beyond `part`. The total is exact, but the kernel splits the time of a process
    /// between user and system in another ratio than that of its threads.
    fn beyond(self, part: Ticks) -> Ticks {
        let all = (self.user + self.system).saturating_sub(part.user + part.system);
        let system = self.system.saturating_sub(part.system).min(all);
        Ticks { user: all - system, system }
    }
}

/// The name of all threads that ended between two readings.
pub(crate) const ENDED: &str = "(ended)";

/// The processor times of some processes at one time.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    threads: BTreeMap<(u32, u32), (String, Ticks)>,
    /// By process, threads that have ended included.
    processes: BTreeMap<u32, Ticks>,
}

/// Processor time of the threads of one name between two readings.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Used {
    /// The name of the threads, without digits; the kernel keeps 15 bytes of it.
    pub(crate) name: String,
    /// Seconds in user mode.
    pub(crate) user_s: f64,
    /// Seconds in the kernel.
    pub(crate) system_s: f64,
}

impl Used {
    /// Seconds in all.
    pub(crate) fn total_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

impl Reading {
    /// Reads the processor times of these processes.
    ///
    /// # Errors
    /// A process does not exist.
    pub(crate) fn take(pids: &[u32]) -> io::Result<Reading> {
        let mut reading = Reading::default();
        for &pid in pids {
            let process = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
            if let Some((_, ticks)) = process.as_deref().and_then(parse) {
                reading.processes.insert(pid, ticks);
            }
            let tasks = fs::read_dir(format!("/proc/{pid}/task"))
                .map_err(|error| io::Error::new(error.kind(), format!("process {pid}: {error}")))?;
            for task in tasks {
                let name = task?.file_name();
                let Some(tid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                    continue;
                };
                // A thread may end between the listing and the read.
                let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")) else {
                    continue;
                };
                if let Some(parsed) = parse(&stat) {
                    reading.threads.insert((pid, tid), parsed);
                }
            }
        }
        Ok(reading)
    }

    /// Processor time since `earlier`, by name of thread, busiest first. New threads count from
    /// their start; threads that ended in between count under [`ENDED`].
    pub(crate) fn since(&self, earlier: &Reading) -> Vec<Used> {
        let mut sums: BTreeMap<String, Ticks> = BTreeMap::new();
        for (id, (name, now)) in &self.threads {
            let before = earlier.threads.get(id).map_or(Ticks::default(), |(_, ticks)| *ticks);
            sums.entry(group(name)).or_default().add(now.since(before));
        }
        let mut rest = Ticks::default();
        for (pid, now) in &self.processes {
            let before = earlier.processes.get(pid).copied();
            rest.add(now.since(before.unwrap_or_default()));
        }
        let mut living = Ticks::default();
        sums.values().for_each(|sum| living.add(*sum));
        sums.insert(ENDED.to_owned(), rest.beyond(living));
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND as f64;
        let mut used: Vec<Used> = sums
            .into_iter()
            .map(|(name, ticks)| Used {
                name,
                user_s: seconds(ticks.user),
                system_s: seconds(ticks.system),
            })
            .collect();
        used.sort_by(|left, right| right.total_s().total_cmp(&left.total_s()));
        used
    }
}

/// Removes digits: `node1-raft` and `node2-raft` are the same part of the program.
fn group(name: &str) -> String {
    let bare: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let bare = bare.trim_matches(['-', '_', ' ']);
    if bare.is_empty() { name.to_owned() } else { bare.to_owned() }
}

/// Parses the name and the times of a `stat` line. The name is in brackets and may hold anything.
fn parse(stat: &str) -> Option<(String, Ticks)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_ascii_whitespace();
    // The state, after the name, is field 3 of the line; user and system time are 14 and 15.
    let user = fields.nth(11)?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some((name.to_owned(), Ticks { user, system }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_may_have_any_name() {
        let line = "77 (a) R (b 3) S 1 2 3 4 5 6 7 8 9 10 41 42 15 16 20 0 3 0 99\n";
        let (name, ticks) = parse(line).unwrap();
        assert_eq!(name, "a) R (b 3");
        assert_eq!(ticks, Ticks { user: 41, system: 42 });
        assert_eq!(parse("77 (cut) S 1 2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn threads_are_summed_by_name() {
        let thread = |name: &str, user, system| (name.to_owned(), Ticks { user, system });
        let mut before = Reading::default();
        before.threads.insert((1, 1), thread("raft-1", 100, 10));
        before.threads.insert((1, 9), thread("gone", 100, 10));
        let mut after = Reading::default();
        after.threads.insert((1, 1), thread("raft-1", 150, 30));
        after.threads.insert((1, 2), thread("http", 5, 5));
        after.threads.insert((2, 7), thread("raft-2", 50, 0));
        before.processes.insert(1, Ticks { user: 300, system: 30 });
        after.processes.insert(1, Ticks { user: 358, system: 56 });
        after.processes.insert(2, Ticks { user: 50, system: 0 });
        let used = after.since(&before);
        assert_eq!(used.len(), 3);
        assert_eq!((used[0].name.as_str(), used[0].user_s, used[0].system_s), ("raft", 1.0, 0.2));
        assert_eq!((used[1].name.as_str(), used[1].total_s()), ("http", 0.1));
        assert_eq!((used[2].name.as_str(), used[2].user_s, used[2].system_s), (ENDED, 0.03, 0.01));
        assert_eq!(group("node1-raft"), "node-raft");
        assert_eq!(group("12"), "12");
    }

    #[test]
    fn this_process_can_be_read() {
        let own = std::process::id();
        let before = Reading::take(&[own]).unwrap();
        assert!(!before.threads.is_empty());
        assert!(Reading::take(&[u32::MAX]).is_err());
    }
}

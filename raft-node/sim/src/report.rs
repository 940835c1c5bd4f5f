//! The report of a run.

use crate::coverage::Coverage;
use crate::time::Time;

/// The report of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed it is a function of.
    pub seed: u64,
    /// The first violation, if any.
    pub failure: Option<String>,
    /// A hash of all events.
    pub trace_hash: u64,
    /// Number of events.
    pub events: u64,
    /// Duration, in simulated microseconds.
    pub time: Time,
    /// Time from the end of the faults to the first answer, or 0.
    pub first_answer: Time,
    /// Time from the end of the faults to the rest of the cluster, or to the end of the run.
    pub rest: Time,
    /// Counters.
    pub coverage: Coverage,
    /// The last lines of its trace, if they were kept.
    pub tail: Vec<String>,
}

impl Report {
    /// The command that runs this seed again, with all events shown.
    pub fn replay_command(&self) -> String {
        format!(
            "cargo run --release -p raft-node --example simulate -- --seed {} --trace",
            self.seed
        )
    }
}

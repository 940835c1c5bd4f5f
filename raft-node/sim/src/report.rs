//! What became of a run.

use crate::coverage::Coverage;
use crate::time::Time;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed it is a function of.
    pub seed: u64,
    /// What went wrong, if anything did.
    pub failure: Option<String>,
    /// A hash of everything that happened.
    pub trace_hash: u64,
    /// Events that the loop took.
    pub events: u64,
    /// How long it was, in simulated microseconds.
    pub time: Time,
    /// How long after the faults the first request was answered, as far as it came to that.
    pub first_answer: Time,
    /// How long after the faults the cluster was at rest, or the run ended.
    pub rest: Time,
    /// What it did and saw.
    pub coverage: Coverage,
    /// The last lines of its trace, if they were kept.
    pub tail: Vec<String>,
}

impl Report {
    /// The command that runs this seed again, with every event shown.
    pub fn replay_command(&self) -> String {
        format!(
            "cargo run --release -p raft-node --example simulate -- --seed {} --trace",
            self.seed
        )
    }
}

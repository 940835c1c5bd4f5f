//! The settings of a run, and its results.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::checker::{Judgement, Verdict};

/// The settings of a run, which are saved with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// Name of the workload.
    pub workload: String,
    /// Names of faults and groups of them.
    pub nemesis: Vec<String>,
    /// The number of nodes.
    pub nodes: usize,
    /// Seconds of load.
    pub time_s: u64,
    /// Determines operations, targets and the times of faults.
    pub seed: u64,
    /// How many clients send requests concurrently.
    pub clients: usize,
    /// The most requests per second of all clients together.
    pub rate: u64,
    /// The server's binary.
    pub binary: PathBuf,
    /// The binary of an older build, with which the nodes begin.
    #[serde(default)]
    pub old_binary: Option<PathBuf>,
    /// Environment variables of the nodes, such as a planted bug.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// The time limit of the search for an order, in seconds.
    pub search_s: u64,
}

/// Judgements by checker.
pub type Judgements = Vec<(String, Judgement)>;

/// The gravest of all verdicts.
#[must_use]
pub fn verdict(judgements: &Judgements) -> Verdict {
    judgements.iter().map(|(_, judgement)| judgement.verdict).max().unwrap_or(Verdict::Empty)
}

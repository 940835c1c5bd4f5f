//! What a run is asked for, and what it came to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::checker::{Judgement, Verdict};

/// What a run is asked for. Saved with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// Name of the workload.
    pub workload: String,
    /// Names of faults and groups of them.
    pub nemesis: Vec<String>,
    /// Nodes.
    pub nodes: usize,
    /// Seconds of load.
    pub time_s: u64,
    /// Decides operations, targets and the times of faults.
    pub seed: u64,
    /// Clients that ask at the same time.
    pub clients: usize,
    /// Requests a second that all clients make together at most.
    pub rate: u64,
    /// The server's binary.
    pub binary: PathBuf,
    /// Environment of the nodes, such as a planted bug.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// Seconds that the search for an order may take.
    pub search_s: u64,
}

/// Judgements by checker.
pub type Judgements = Vec<(String, Judgement)>;

/// The gravest of all verdicts.
#[must_use]
pub fn verdict(judgements: &Judgements) -> Verdict {
    judgements.iter().map(|(_, judgement)| judgement.verdict).max().unwrap_or(Verdict::Empty)
}

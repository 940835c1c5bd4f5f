//! The results of a run in a few numbers, and many runs as one table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checker::Availability;
use crate::config::{Config, Judgements, verdict};
use crate::history::{History, Operation, Outcome};

/// A run in a few numbers. Saved with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Requests of clients.
    pub operations: usize,
    /// Those that succeeded.
    pub ok: usize,
    /// Those with an unknown outcome.
    pub unknown: usize,
    /// Faults that began and were healed; a combination counts as one.
    pub faults: usize,
    /// The longest time without a success or a refusal by the rules, in seconds.
    pub longest_gap_s: f64,
    /// The gravest verdict.
    pub verdict: String,
}

impl Summary {
    /// Counts.
    #[must_use]
    pub fn of(history: &History, judgements: &Judgements) -> Self {
        let count = |kind: fn(&Operation) -> bool| {
            history.client_operations().filter(|operation| kind(operation)).count()
        };
        let ended = history.faults.iter().filter(|fault| fault.value["phase"] == "end");
        Self {
            operations: count(|_| true),
            ok: count(Operation::is_ok),
            unknown: count(|operation| matches!(operation.outcome, Outcome::Info(_))),
            faults: ended.count(),
            longest_gap_s: Availability::longest_gap(history) as f64 / 1e9,
            verdict: verdict(judgements).to_string(),
        }
    }

    /// The numbers as the text in tables.
    fn figures(&self) -> [String; 6] {
        [
            self.operations.to_string(),
            self.ok.to_string(),
            self.unknown.to_string(),
            self.faults.to_string(),
            format!("{:.1} s", self.longest_gap_s),
            self.verdict.clone(),
        ]
    }
}

/// Verdicts as a table for people.
#[must_use]
pub fn table(summary: &Summary, judgements: &Judgements) -> String {
    let mut text = String::new();
    for (name, judgement) in judgements {
        let notes = judgement.notes.join("; ");
        let _ = writeln!(text, "{:<8} {name:<13} {notes}", judgement.verdict);
        for finding in &judgement.findings {
            let _ = writeln!(text, "         - {finding}");
        }
        if judgement.more > 0 {
            let _ = writeln!(text, "         - and {} more", judgement.more);
        }
    }
    let [operations, ok, unknown, faults, longest_gap, verdict] = summary.figures();
    let _ = writeln!(
        text,
        "{operations} operations: {ok} ok, {unknown} unknown; {faults} faults; longest \
         unavailability {longest_gap}\nverdict: {verdict}"
    );
    text
}

/// Judged runs as a table in Markdown, by the names of their faults.
///
/// # Errors
/// When the folder of the runs cannot be read.
pub fn of_runs(runs: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", runs.display());
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(runs).map_err(failed)? {
        let folder = entry.map_err(failed)?.path();
        rows.extend(row(&folder));
    }
    rows.sort();
    let mut text = String::from(
        "| nemesis | workload | seed | nodes | seconds | operations | ok | unknown | faults | \
         longest unavailability | verdict |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --- |\n",
    );
    for row in rows {
        text.push_str(&row);
    }
    Ok(text)
}

/// A row for a folder that holds a judged run.
fn row(folder: &Path) -> Option<String> {
    let config: Config = read(folder.join("config.json"))?;
    let summary: Summary = read(folder.join("summary.json"))?;
    let mut words = vec![config.nemesis.join(", "), config.workload];
    words
        .extend([config.seed, config.nodes as u64, config.time_s].map(|number| number.to_string()));
    words.extend(summary.figures());
    Some(format!("| {} |\n", words.join(" | ")))
}

fn read<T: serde::de::DeserializeOwned>(path: PathBuf) -> Option<T> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

//! How long clients could write nothing, by fault: the longest time between two writes that
//! succeeded, from the moment at which a fault begins to that at which the next one does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::history::{self, History};

/// Seconds without writes, by the name of the fault, in the order in which the faults began.
pub type Gaps = BTreeMap<String, Vec<f64>>;

/// The times without writes in a history.
#[must_use]
pub fn of(history: &History) -> Gaps {
    let mut writes: Vec<u64> = history
        .client_operations()
        .filter(|operation| operation.is_ok() && operation.call.is_write())
        .filter_map(|operation| operation.ended)
        .collect();
    writes.sort_unstable();
    let last = history.client_operations().filter_map(|operation| operation.ended).max();
    let begins: Vec<(&str, u64)> = history
        .faults
        .iter()
        .filter(|fault| fault.value["phase"] == "begin")
        .map(|fault| (fault.f.as_str(), fault.time))
        .collect();
    let mut gaps = Gaps::new();
    for (at, (name, begun)) in begins.iter().enumerate() {
        let next = begins.get(at + 1).map(|(_, next)| *next);
        let Some(until) = next.or(last).filter(|until| until > begun) else { continue };
        gaps.entry((*name).to_owned()).or_default().push(longest(&writes, *begun, until));
    }
    gaps
}

/// The longest time without a write in a span, in seconds.
fn longest(writes: &[u64], begun: u64, until: u64) -> f64 {
    let from = writes.partition_point(|time| *time < begun);
    let to = writes.partition_point(|time| *time <= until);
    // The write before the fault began says since when there was none.
    let mut last = from.checked_sub(1).map_or(begun, |at| writes[at]);
    let mut longest = 0;
    for time in writes[from..to].iter().copied().chain([until]) {
        longest = longest.max(time - last);
        last = time;
    }
    longest as f64 / 1e9
}

/// The middle one of some numbers, or the mean of the two in the middle.
fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// The runs in a folder as a table in Markdown.
///
/// # Errors
/// When the folder or a history in it cannot be read.
pub fn of_runs(runs: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", runs.display());
    let mut all = Gaps::new();
    for entry in std::fs::read_dir(runs).map_err(failed)? {
        let path = entry.map_err(failed)?.path().join("history.jsonl");
        if !path.exists() {
            continue;
        }
        let history = history::read(&path).map_err(|error| error.to_string())?;
        for (name, gaps) in of(&history) {
            all.entry(name).or_default().extend(gaps);
        }
    }
    Ok(table(&all))
}

fn table(gaps: &Gaps) -> String {
    let mut text = String::from(
        "| fault | times | median without writes | shortest | longest |\n\
         | --- | --: | --: | --: | --: |\n",
    );
    for (name, gaps) in gaps {
        let Some(median) = median(gaps) else { continue };
        let shortest = gaps.iter().copied().fold(f64::INFINITY, f64::min);
        let longest = gaps.iter().copied().fold(0.0, f64::max);
        let times = gaps.len();
        let _ = writeln!(
            text,
            "| {name} | {times} | {median:.1} s | {shortest:.1} s | {longest:.1} s |"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_begins_with_the_last_write_before_the_fault() {
        const S: u64 = 1_000_000_000;
        let writes = [S, 2 * S, 5 * S, 6 * S];
        let seconds = longest(&writes, 5 * S / 2, 13 * S / 2);
        assert!((seconds - 3.0).abs() < 1e-9, "{seconds}");
        let seconds = longest(&writes, 6 * S + 1, 10 * S);
        assert!((seconds - 4.0).abs() < 1e-9, "until the end: {seconds}");
        let seconds = longest(&[], S, 3 * S);
        assert!((seconds - 2.0).abs() < 1e-9, "never: {seconds}");
    }

    #[test]
    fn the_table_shows_the_median() {
        assert_eq!(median(&[]), None);
        let gaps = Gaps::from([("kill-leader".to_owned(), vec![3.0, 1.0, 2.0])]);
        assert!(table(&gaps).ends_with("| kill-leader | 3 | 2.0 s | 1.0 s | 3.0 s |\n"));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }
}

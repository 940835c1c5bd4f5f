//! `holdfast verify`: checks the data of a stopped node, or a backup, without changing it.
//!
//! Exit codes: 0 if everything is sound, 1 if something is damaged (the report names each file), 2
//! if nothing could be checked, for example because the node runs.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use raft_node::verify::{self, Finding, Notebook, Report};
use serde_json::{Value, json};

use crate::exit::{CliError, chain};
use crate::output::print_line;

/// The flags of `verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Check the data directory of this stopped node
    #[arg(long, value_name = "DIR", required_unless_present = "backup")]
    data: Option<PathBuf>,
    /// Check this backup instead of a data directory
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    backup: Option<PathBuf>,
    /// Make a temporary copy, as large as the data, in this directory [default: that of the system]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// A directory that is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(options: &Options) -> Result<Scratch, CliError> {
        let parent = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let path = parent.join(format!("holdfast-verify-{}", std::process::id()));
        // An existing directory was left by an earlier process with the same id.
        std::fs::create_dir(&path).map_err(|error| {
            CliError::Usage(format!(
                "cannot create {}: {error}; name another directory with --scratch",
                path.display()
            ))
        })?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("holdfast: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Checks the data, prints the report and fails if anything is damaged.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    let scratch = Scratch::make(options)?;
    let notebook = Arc::new(Notebook::default());
    report_panics(&notebook, options.json, scratch.0.clone());
    let checked = match (&options.data, &options.backup) {
        (Some(data), _) => verify::verify(data, &scratch.0, &notebook),
        (None, Some(backup)) => verify::verify_backup(backup, &notebook),
        (None, None) => unreachable!("clap requires one of them"),
    };
    let report = checked.map_err(|error| CliError::Usage(chain(&error)))?;
    print(&report, options.json)?;
    match report.damage.len() {
        0 => Ok(()),
        1 => Err(CliError::Failed("found damage in 1 place, see above".to_owned())),
        many => Err(CliError::Failed(format!("found damage in {many} places, see above"))),
    }
}

/// Prints the report so far and exits with code 1 on a panic: the storage library may panic on
/// damaged files, which ends a release build.
fn report_panics(notebook: &Arc<Notebook>, json: bool, scratch: PathBuf) {
    let notebook = Arc::clone(notebook);
    std::panic::set_hook(Box::new(move |panic| {
        let mut report = notebook.report();
        let what = format!("the storage library failed on it: {panic}");
        report.damage.push(Finding { path: report.looking_at.clone(), what });
        // Nothing can be done if the output is gone.
        let _ = print(&report, json);
        let _ = std::fs::remove_dir_all(&scratch);
        std::process::exit(1);
    }));
}

fn print(report: &Report, json: bool) -> Result<(), CliError> {
    print_line(&if json { as_json(report).to_string() } else { as_text(report) })
}

fn as_json(report: &Report) -> Value {
    let found = |findings: &[Finding]| -> Vec<Value> {
        findings.iter().map(|found| json!({"path": found.path, "what": found.what})).collect()
    };
    let checks = report.checks.iter().map(|check| (check.what.to_owned(), check.count.into()));
    let states = report.states.iter().map(|made| {
        json!({"of": made.of, "index": made.index, "digest": format!("{:016x}", made.digest)})
    });
    json!({
        "sound": report.is_sound(),
        "node": report.node,
        "checked": checks.collect::<serde_json::Map<_, Value>>(),
        "states": states.collect::<Vec<_>>(),
        "damage": found(&report.damage),
        "notes": found(&report.notes),
    })
}

fn as_text(report: &Report) -> String {
    let mut lines = Vec::new();
    if !report.node.is_empty() {
        lines.push(report.node.clone());
    }
    let checks = report.checks.iter();
    lines.extend(checks.map(|check| format!("{:>12}  {}", check.count, check.what)));
    lines.extend(report.states.iter().map(|made| {
        format!("state of {} at index {}: digest {:016x}", made.of, made.index, made.digest)
    }));
    let line_of = |kind: &str, found: &Finding| format!("{kind}: {}: {}", found.path, found.what);
    lines.extend(report.notes.iter().map(|found| line_of("note", found)));
    lines.extend(report.damage.iter().map(|found| line_of("DAMAGED", found)));
    lines.push(if report.is_sound() { "sound" } else { "damaged" }.to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_text_or_one_json_object() {
        let mut report = Report { node: "node 1 of cluster \"a\"".to_owned(), ..Report::default() };
        report.checks.push(raft_node::verify::Check { what: "log entries", count: 7 });
        assert!(as_text(&report).ends_with("7  log entries\nsound"));
        let made = raft_node::verify::Made { of: "backup".into(), index: 9, digest: 255 };
        report.states.push(made);
        let line = "state of backup at index 9: digest 00000000000000ff\nsound";
        assert!(as_text(&report).ends_with(line));
        assert_eq!(as_json(&report)["states"][0]["digest"], "00000000000000ff");
        assert_eq!(as_json(&report)["checked"]["log entries"], 7);
        report.damage.push(Finding { path: "x/identity".into(), what: "cut".into() });
        assert!(as_text(&report).ends_with("DAMAGED: x/identity: cut\ndamaged"));
        let json = as_json(&report);
        assert_eq!(
            (&json["sound"], &json["damage"][0]["path"]),
            (&json!(false), &json!("x/identity"))
        );
    }
}

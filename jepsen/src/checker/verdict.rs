//! What a checker is, and what it says about a history.

use std::fmt;

use crate::history::{History, Operation, Outcome, Reply};

/// Findings that a judgement keeps; the rest is only counted.
const FINDINGS_MAX: usize = 20;

/// The verdict of a checker, in the order of gravity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The promise was kept, as far as the history shows.
    #[default]
    Valid,
    /// Too little happened for the history to prove anything.
    Empty,
    /// It could not be decided.
    Unknown,
    /// The promise was broken.
    Invalid,
}

impl Verdict {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }

    /// The exit code of a program that found this: 0 only for valid.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown | Self::Empty => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A verdict with its reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The gravest of all findings.
    pub verdict: Verdict,
    /// What is wrong with the history, at most 20 findings.
    pub findings: Vec<String>,
    /// How many findings there are beyond those.
    pub more: usize,
    /// Numbers about what was checked.
    pub notes: Vec<String>,
}

impl Judgement {
    /// Adds a broken promise.
    pub fn invalid(&mut self, finding: impl Into<String>) {
        self.add(Verdict::Invalid, finding.into());
    }

    /// Adds something that could not be decided.
    pub fn unknown(&mut self, finding: impl Into<String>) {
        self.add(Verdict::Unknown, finding.into());
    }

    /// Adds something of which too little happened.
    pub fn empty(&mut self, finding: impl Into<String>) {
        self.add(Verdict::Empty, finding.into());
    }

    /// Adds a number.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn add(&mut self, verdict: Verdict, finding: String) {
        if verdict > self.verdict {
            // Graver findings come first and are never dropped for others.
            self.findings.insert(0, finding);
            self.verdict = verdict;
        } else {
            self.findings.push(finding);
        }
        if self.findings.len() > FINDINGS_MAX {
            self.findings.pop();
            self.more += 1;
        }
    }
}

/// Judges histories by one promise.
pub trait Checker {
    /// Its name, in reports and on the command line.
    fn name(&self) -> &'static str;

    /// What it checks, as text.
    fn promise(&self) -> &'static str;

    /// Judges a history.
    fn check(&self, history: &History) -> Judgement;
}

/// An operation with its answer and its lines, for findings.
pub(crate) fn describe(operation: &Operation) -> String {
    let answer = match &operation.outcome {
        Outcome::Ok(Reply::Done | Reply::Dump(_)) => "ok".to_owned(),
        Outcome::Ok(Reply::Placed(order)) => format!("order {order}"),
        Outcome::Ok(Reply::Stock(stock)) => format!("stock {stock}"),
        Outcome::Ok(Reply::Order { status, .. }) => status.to_string(),
        Outcome::Fail(reason) => format!("refused with {}", reason.as_str()),
        Outcome::Info(_) => "unknown".to_owned(),
    };
    let lines = match operation.end_line {
        Some(end) => format!("lines {} and {end}", operation.line),
        None => format!("line {}", operation.line),
    };
    format!("`{}` → {answer} ({lines})", operation.call)
}

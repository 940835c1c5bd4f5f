//! Pairs the events of a history into operations, and refuses impossible sequences.

use std::collections::{HashMap, HashSet};

use super::operation::{Call, Operation, Outcome, Reason};
use super::value::{self, ValueError};
use super::{Event, Kind, Process};

/// A whole history: the operations of clients and the faults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Operations in the order they began.
    pub operations: Vec<Operation>,
    /// What the nemesis recorded, by time.
    pub faults: Vec<Fault>,
    /// Lines that were read.
    pub events: usize,
}

/// A line of the nemesis.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Name of the fault, or of its end.
    pub f: String,
    /// The kind of the line; mostly [`Kind::Info`].
    pub kind: Kind,
    /// Details.
    pub value: serde_json::Value,
    /// When, in nanoseconds.
    pub time: u64,
    /// The line, from 1.
    pub line: usize,
}

/// Why events are not a valid history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The value of an event is wrong.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A process began an operation before its last one ended.
    #[error("process {process} begins `{f}` while its operation of line {line} is still open")]
    Busy {
        /// Which process.
        process: u64,
        /// What it begins.
        f: String,
        /// Where the open one began.
        line: usize,
    },
    /// A process number is used again after an unknown outcome.
    #[error("process {0} continues after an unknown outcome; it must continue under a new number")]
    Reused(u64),
    /// A completion without an invocation.
    #[error("process {0} completes an operation that it did not begin")]
    NotBegun(u64),
    /// A completion of another operation.
    #[error("process {process} completes `{f}` but began `{begun}` in line {line}")]
    Mismatch {
        /// Which process.
        process: u64,
        /// What it completes.
        f: String,
        /// What it began.
        begun: &'static str,
        /// Where.
        line: usize,
    },
    /// A failure without a reason.
    #[error("a `fail` needs an `error` that says why it certainly had no effect")]
    NoReason,
}

impl History {
    /// Makes a history of numbered events.
    ///
    /// # Errors
    /// The line with the error, and what is wrong.
    pub fn of(mut events: Vec<(usize, Event)>) -> Result<Self, (usize, PairError)> {
        // The sort is stable, so the lines of one process keep their order.
        events.sort_by_key(|(_, event)| event.time);
        let mut history = Self { events: events.len(), ..Self::default() };
        let mut open: HashMap<u64, usize> = HashMap::new();
        let mut gone: HashSet<u64> = HashSet::new();
        for (line, event) in events {
            let Process::Client(process) = event.process else {
                let Event { f, kind, value, time, .. } = event;
                history.faults.push(Fault { f, kind, value, time, line });
                continue;
            };
            let at = |error: PairError| (line, error);
            if gone.contains(&process) {
                return Err(at(PairError::Reused(process)));
            }
            if event.kind == Kind::Invoke {
                if let Some(&index) = open.get(&process) {
                    let begun: &Operation = &history.operations[index];
                    let error = PairError::Busy { process, f: event.f, line: begun.line };
                    return Err(at(error));
                }
                open.insert(process, history.operations.len());
                history.operations.push(begin(event, line).map_err(at)?);
                continue;
            }
            let index = open.remove(&process).ok_or_else(|| at(PairError::NotBegun(process)))?;
            if event.kind == Kind::Info {
                gone.insert(process);
            }
            complete(&mut history.operations[index], process, event, line).map_err(at)?;
        }
        Ok(history)
    }

    /// Client operations that are not dumps.
    pub fn client_operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| operation.call != Call::Dump)
    }
}

/// An operation of which only the beginning is known.
fn begin(event: Event, line: usize) -> Result<Operation, PairError> {
    Ok(Operation {
        process: event.process,
        call: value::call(&event.f, &event.value)?,
        node: event.node,
        outcome: Outcome::Info("the history ends before the answer".to_owned()),
        invoked: event.time,
        ended: None,
        line,
        end_line: None,
    })
}

fn complete(
    operation: &mut Operation,
    process: u64,
    event: Event,
    line: usize,
) -> Result<(), PairError> {
    if event.f != operation.call.f() {
        let (begun, line) = (operation.call.f(), operation.line);
        return Err(PairError::Mismatch { process, f: event.f, begun, line });
    }
    if operation.node.is_none() {
        operation.node = event.node;
    }
    operation.outcome = match event.kind {
        Kind::Ok => {
            let node = operation.node.as_deref();
            Outcome::Ok(value::reply(&operation.call, &event.value, node)?)
        }
        Kind::Fail => Outcome::Fail(Reason::parse(&event.error.ok_or(PairError::NoReason)?)),
        Kind::Info | Kind::Invoke => Outcome::Info(event.error.unwrap_or_default()),
    };
    operation.ended = Some(event.time);
    operation.end_line = Some(line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn event(process: u64, kind: Kind, f: &str, value: Value, time: u64) -> Event {
        let error = (kind == Kind::Fail).then(|| "not_found".to_owned());
        let process = Process::Client(process);
        Event { process, kind, f: f.to_owned(), value, error, time, node: None }
    }

    fn pair(events: Vec<Event>) -> Result<History, (usize, PairError)> {
        History::of((1..).zip(events).collect())
    }

    #[test]
    fn an_operation_that_never_ends_is_unknown() {
        let history = pair(vec![event(1, Kind::Invoke, "cancel", json!({"order": "o"}), 5)]);
        let operation = &history.unwrap().operations[0];
        assert!(matches!(operation.outcome, Outcome::Info(_)));
        assert_eq!((operation.returned(), operation.ended), (None, None));
    }

    #[test]
    fn impossible_sequences_are_refused_with_their_line() {
        let invoke =
            |process, time| event(process, Kind::Invoke, "cancel", json!({"order": 1}), time);
        let end = |kind, f: &str, time| event(1, kind, f, Value::Null, time);
        let cases: Vec<(Vec<Event>, usize, &str)> = vec![
            (vec![invoke(1, 1), invoke(1, 2)], 2, "still open"),
            (vec![end(Kind::Ok, "cancel", 1)], 1, "did not begin"),
            (vec![invoke(1, 1), end(Kind::Ok, "dump", 2)], 2, "but began `cancel` in line 1"),
            (vec![invoke(1, 1), end(Kind::Info, "cancel", 2), invoke(1, 3)], 3, "new number"),
        ];
        for (events, line, said) in cases {
            let (at, error) = pair(events).expect_err(said);
            assert_eq!(at, line, "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        let mut fail = end(Kind::Fail, "cancel", 2);
        fail.error = None;
        assert_eq!(pair(vec![invoke(1, 1), fail]), Err((2, PairError::NoReason)));
    }

    #[test]
    fn events_are_sorted_by_time() {
        let events = vec![
            event(1, Kind::Ok, "cancel", Value::Null, 9),
            event(1, Kind::Invoke, "cancel", json!({"order": "o"}), 5),
        ];
        let history = pair(events).unwrap();
        assert_eq!(history.operations[0].returned(), Some(9));
        assert_eq!(history.operations[0].end_line, Some(1));
    }
}

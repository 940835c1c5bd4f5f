//! Writes a history while it happens: all clients into one file, with one clock.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::{Event, Kind, Process};

/// The text of an event, without the line break.
#[must_use]
pub fn line(event: &Event) -> String {
    let process = match event.process {
        Process::Client(number) => number.to_string(),
        Process::Nemesis => "\"nemesis\"".to_owned(),
    };
    let text = |text: &str| Value::from(text).to_string();
    let mut line = format!(
        "{{\"process\":{process},\"type\":\"{}\",\"f\":{},\"value\":{}",
        event.kind.as_str(),
        text(&event.f),
        event.value
    );
    if let Some(error) = &event.error {
        line.push_str(&format!(",\"error\":{}", text(error)));
    }
    line.push_str(&format!(",\"time\":{}", event.time));
    if let Some(node) = &event.node {
        line.push_str(&format!(",\"node\":{}", text(node)));
    }
    line.push('}');
    line
}

/// Records events. Each gets its time while the file is locked, so the lines are in the order of
/// their times.
#[derive(Debug)]
pub struct Recorder {
    started: Instant,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Begins a history in a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        Ok(Self { started: Instant::now(), out: Mutex::new(Out { file, failed: None }) })
    }

    /// Nanoseconds since the history began.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records an event with the current time, which replaces its own, and returns that time.
    ///
    /// [`Recorder::finish`] reports failures to write.
    pub fn note(&self, mut event: Event) -> u64 {
        let mut out = self.lock();
        event.time = self.now();
        let written = writeln!(out.file, "{}", line(&event));
        if let Err(error) = written {
            out.failed.get_or_insert(error);
        }
        event.time
    }

    /// Records what the nemesis did.
    pub fn note_fault(&self, f: &str, value: Value) -> u64 {
        self.note(Event {
            process: Process::Nemesis,
            kind: Kind::Info,
            f: f.to_owned(),
            value,
            error: None,
            time: 0,
            node: None,
        })
    }

    /// Writes everything recorded so far to the file.
    ///
    /// # Errors
    /// The first failure to write since the beginning.
    pub fn finish(&self) -> io::Result<()> {
        let mut out = self.lock();
        match out.failed.take() {
            Some(error) => Err(error),
            None => out.file.flush(),
        }
    }

    /// A client that panicked while recording leaves at most a torn line, which the reader refuses.
    fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history;
    use serde_json::json;

    #[test]
    fn lines_match_the_format() {
        let mut event = Event {
            process: Process::Client(3),
            kind: Kind::Invoke,
            f: "place_order".to_owned(),
            value: json!({"key": "k7", "product": "p1", "qty": 2}),
            error: None,
            time: 1201,
            node: None,
        };
        let expected = concat!(
            r#"{"process":3,"type":"invoke","f":"place_order","#,
            r#""value":{"key":"k7","product":"p1","qty":2},"time":1201}"#
        );
        assert_eq!(line(&event), expected);
        event.process = Process::Nemesis;
        event.kind = Kind::Info;
        event.value = Value::Null;
        event.error = Some("a \"b\"\n".to_owned());
        event.node = Some("n1".to_owned());
        let expected = concat!(
            r#"{"process":"nemesis","type":"info","f":"place_order","value":null,"#,
            r#""error":"a \"b\"\n","time":1201,"node":"n1"}"#
        );
        assert_eq!(line(&event), expected);
    }

    #[test]
    fn a_recorded_history_survives_the_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        let event = |kind, value| Event {
            process: Process::Client(1),
            kind,
            f: "cancel".to_owned(),
            value,
            error: None,
            time: 0,
            node: Some("n2".to_owned()),
        };
        let begun = recorder.note(event(Kind::Invoke, json!({"order": "o1"})));
        let ended = recorder.note(event(Kind::Ok, Value::Null));
        recorder.note_fault("kill", json!({"node": "n1"}));
        recorder.finish().unwrap();
        let read = history::read(&path).unwrap();
        assert_eq!((read.operations[0].invoked, read.operations[0].ended), (begun, Some(ended)));
        assert_eq!(read.faults[0].f, "kill");
        assert!(Recorder::create(&path).is_err(), "a history is never overwritten");
    }
}

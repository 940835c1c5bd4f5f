//! Data directories of earlier versions, kept in the repository so that each later version is
//! tested on them: how they were written, and how their answers are compared.
//!
//! `tests/fixtures/format-N/` was written by `cargo run -p tests --example write-fixture`, and is
//! never written again: a version that changes a format adds a directory of its own beside it.

mod write;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use client::EventQuery;
use client::wire::Event;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary;
use crate::caller::{Call, Caller};
use crate::cluster::{Options, workspace};
use crate::wait;

pub use self::write::write;

/// The file of recorded answers in the archive, beside the data of node 1.
const SERVED: &str = "served.json";
/// The backup in the archive, of the same state.
const BACKUP: &str = "backup";
/// The data directory in the archive.
const DATA: &str = "node-1";
/// Deadlines that no test outlives: sixty years.
const LONG_S: &str = "1900000000";

/// Settings under which no deadline passes during a test.
const FLAGS: [(&str, &str); 5] = [
    ("--hold-ttl-max-s", LONG_S),
    ("--payment-deadline-s", LONG_S),
    ("--event-retention-h", "87600"),
    ("--payment-delay-ms", "1-2"),
    ("--payment-success-rate", "0.6"),
];

/// An unpacked fixture; dropping it removes its directory.
#[derive(Debug)]
pub struct Fixture {
    dir: TempDir,
    served: Value,
}

impl Fixture {
    /// Unpacks the fixture of this name, such as `format-1`.
    ///
    /// # Panics
    /// When it cannot be unpacked.
    #[must_use]
    pub fn unpack(name: &str) -> Fixture {
        let dir = tempfile::Builder::new().prefix(name).tempdir_in(binary::scratch());
        let dir = dir.expect("a directory can be made");
        tar(&["-xzf", text(&archive(name)), "-C", text(dir.path())]);
        let served = fs::read(dir.path().join(SERVED)).expect("the archive says what was served");
        let served = serde_json::from_slice(&served).expect("as JSON");
        Fixture { dir, served }
    }

    /// The data directory of node 1.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join(DATA)
    }

    /// The backup.
    #[must_use]
    pub fn backup(&self) -> PathBuf {
        self.dir.path().join(BACKUP)
    }

    /// Index and digest of the recorded state.
    #[must_use]
    pub fn place(&self) -> (&Value, &Value) {
        (&self.served["index"], &self.served["digest"])
    }

    /// The name of the cluster that wrote it.
    ///
    /// # Panics
    /// When the fixture does not say so.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.served["cluster"].as_str().expect("the name of its cluster")
    }

    /// Options for one node of this cluster, with the settings of the fixture and existing data.
    #[must_use]
    pub fn options(test: &str, cluster: &str, data: &Path) -> Options {
        settings(test).existing(cluster, data)
    }

    /// Compares the answers of a node with the recorded ones. Answers may have additional fields,
    /// but must otherwise be equal.
    ///
    /// # Panics
    /// Names the first place that differs.
    pub async fn assert_served(&self, caller: &Caller) {
        let reads = self.served["reads"].as_object().expect("answers by path");
        assert!(reads.len() > 100, "{} reads", reads.len());
        for (path, then) in reads {
            let now = caller.get(1, path).await.expect(200).json();
            assert_kept(path, then, &now);
        }
        let events = self.served["events"].as_array().expect("events");
        let now = read_events(caller, |count, _| count == events.len()).await;
        assert_kept("events", &self.served["events"], &now);
    }

    /// Repeats every request that had a key. Each must be answered as a known one.
    ///
    /// # Panics
    /// Names the first that is answered differently.
    pub async fn assert_known(&self, caller: &Caller) {
        let repeats = self.served["repeats"].as_array().expect("requests");
        assert!(repeats.len() > 20, "{} requests", repeats.len());
        for then in repeats {
            let path = then["path"].as_str().expect("a path");
            let (status, now) = repeat(caller, path, &then["body"]).await;
            assert_eq!(then["status"], status, "{path} {}: {now}", then["body"]);
            assert_kept(path, &then["answer"], &now);
        }
    }
}

fn settings(test: &str) -> Options {
    let options = Options::new(test).nodes(1);
    FLAGS.iter().fold(options, |options, (name, value)| options.flag(name, value))
}

fn archive(name: &str) -> PathBuf {
    workspace().join("tests/fixtures").join(name).join("data.tar.gz")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

fn tar(words: &[&str]) {
    let output = Command::new("tar").args(words).output().expect("tar can be started");
    assert!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
}

/// Every recorded value must still be there, unchanged. An order that was cancelled for a reason
/// shows it now, which it did not when the formats were recorded.
fn assert_kept(place: &str, then: &Value, now: &Value) {
    match (then, now) {
        (Value::Object(fields), Value::Object(_)) => {
            let shows_reason = then["status"] == "CANCELLED" && then["failure_reason"].is_null();
            for (name, field) in fields {
                if shows_reason && name == "failure_reason" {
                    continue;
                }
                assert_kept(&format!("{place} {name}"), field, &now[name]);
            }
        }
        (Value::Array(rows), Value::Array(others)) => {
            assert_eq!(rows.len(), others.len(), "{place}: another number of rows");
            for (number, (row, other)) in rows.iter().zip(others).enumerate() {
                assert_kept(&format!("{place} {number}"), row, other);
            }
        }
        _ => assert_eq!(then, now, "{place}"),
    }
}

/// The events from the first to the last one.
async fn read_events(caller: &Caller, mut is_last: impl FnMut(usize, &Event) -> bool) -> Value {
    let client = client::Client::builder().base_urls([caller.urls().swap_remove(0)]);
    let client = client.deadline(wait::READY).build().expect("an address makes a URL");
    let after = EventQuery { after: Some("0.0".to_owned()), ..EventQuery::default() };
    let mut stream = client.events(&after);
    let mut events = Vec::new();
    loop {
        let next = tokio::time::timeout(wait::READY, stream.next()).await;
        let next = next.unwrap_or_else(|_| panic!("there are {} events alone", events.len()));
        let next = next.expect("an event");
        events.push(serde_json::to_value(&next).expect("JSON"));
        if is_last(events.len(), &next) {
            return Value::Array(events);
        }
    }
}

async fn repeat(caller: &Caller, path: &str, body: &Value) -> (u16, Value) {
    let answer = caller.ask(1, &Call::post(path, body)).await;
    let mut now = answer.json();
    // A problem names its request.
    if let Some(fields) = now.as_object_mut() {
        fields.remove("trace_id").filter(|_| answer.status >= 400);
    }
    (answer.status, now)
}

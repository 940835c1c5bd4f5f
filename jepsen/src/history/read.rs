//! Reads a history from JSON lines. Every error names its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::pair::PairError;
use super::value::text_of;
use super::{Event, History, Kind, Process};

/// The longest line: enough for a dump of half a million orders.
const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Most lines of a history.
const LINES_MAX: usize = 10_000_000;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not an event.
    #[error("line {line}: {reason}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line contradicts earlier ones.
    #[error("line {line}: {source}")]
    Pair {
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: PairError,
    },
    /// The file is longer than this program reads.
    #[error("the history has more than {LINES_MAX} lines")]
    TooLong,
}

/// Reads the history in a file.
///
/// # Errors
/// When the file cannot be read or is not a history; the line is named.
pub fn read(path: &Path) -> Result<History, ReadError> {
    let failed = |source| ReadError::File { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut events = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        if line > LINES_MAX {
            return Err(ReadError::TooLong);
        }
        bytes.clear();
        let limited = &mut (&mut reader).take(LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        if bytes.len() as u64 == LINE_BYTES_MAX {
            let reason = format!("longer than {LINE_BYTES_MAX} bytes");
            return Err(ReadError::Line { line, reason });
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let event = event(&bytes).map_err(|reason| ReadError::Line { line, reason })?;
        events.push((line, event));
    }
    History::of(events).map_err(|(line, source)| ReadError::Pair { line, source })
}

/// Reads one line.
fn event(bytes: &[u8]) -> Result<Event, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(mut fields) = value else {
        return Err("an event is a JSON object".to_owned());
    };
    let process = match fields.get("process") {
        Some(Value::String(text)) if text == "nemesis" => Process::Nemesis,
        Some(value) => Process::Client(
            value.as_u64().ok_or("`process` must be a whole number from 0 or \"nemesis\"")?,
        ),
        None => return Err("`process` is missing".to_owned()),
    };
    let kind = match fields.get("type").and_then(Value::as_str) {
        Some("invoke") => Kind::Invoke,
        Some("ok") => Kind::Ok,
        Some("fail") => Kind::Fail,
        Some("info") => Kind::Info,
        _ => return Err("`type` must be invoke, ok, fail or info".to_owned()),
    };
    let f = fields.get("f").and_then(Value::as_str).ok_or("`f` must be text")?.to_owned();
    let time = fields.get("time").and_then(Value::as_u64);
    let time = time.ok_or("`time` must be whole nanoseconds from 0")?;
    let error = match fields.get("error") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err("`error` must be text".to_owned()),
    };
    let node = match fields.get("node") {
        None | Some(Value::Null) => None,
        Some(value) => Some(text_of(value).ok_or("`node` must be text or a whole number")?),
    };
    let value = fields.remove("value").unwrap_or(Value::Null);
    Ok(Event { process, kind, f, value, error, time, node })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn parse(text: &str) -> Result<History, ReadError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read(file.path())
    }

    #[test]
    fn the_example_of_the_format_can_be_read() {
        let text = [
            r#"{"process":3,"type":"invoke","f":"place_order","#,
            r#""value":{"key":"k7","product":"p1","qty":2},"time":1201}"#,
            "\n",
            r#"{"process":3,"type":"ok","f":"place_order","value":{"order":"o9"},"time":1350}"#,
            "\n",
            r#"{"process":4,"type":"invoke","f":"place_order","#,
            r#""value":{"key":"k8","product":"p1","qty":9},"time":1351}"#,
            "\n",
            r#"{"process":4,"type":"fail","f":"place_order","value":null,"#,
            r#""error":"insufficient_stock","time":1360}"#,
            "\n",
            r#"{"process":5,"type":"invoke","f":"cancel","value":{"order":"o2"},"time":1361}"#,
            "\n",
            r#"{"process":5,"type":"info","f":"cancel","value":{"order":"o2"},"#,
            r#""error":"timeout","time":1400}"#,
            "\n\n",
            r#"{"process":"nemesis","type":"info","f":"partition","#,
            r#""value":{"drop":[["n1","n2"]]},"time":1500}"#,
        ]
        .concat();
        let history = parse(&text).unwrap();
        assert_eq!((history.operations.len(), history.faults.len()), (3, 1));
        assert_eq!(history.faults[0].line, 8);
    }

    #[test]
    fn errors_name_the_line() {
        let good = r#"{"process":1,"type":"invoke","f":"dump","value":null,"time":1}"#;
        for (bad, said) in [
            ("{", "line 2: not JSON"),
            ("[]", "line 2: an event is a JSON object"),
            (r#"{"type":"ok"}"#, "line 2: `process` is missing"),
            (r#"{"process":-1,"type":"ok"}"#, "line 2: `process` must be"),
            (r#"{"process":1,"type":"okay"}"#, "line 2: `type` must be"),
            (r#"{"process":1,"type":"ok"}"#, "line 2: `f` must be text"),
            (r#"{"process":1,"type":"ok","f":"dump"}"#, "line 2: `time` must be"),
            (r#"{"process":1,"type":"ok","f":"dump","time":1.5}"#, "line 2: `time` must be"),
            (r#"{"process":1,"type":"ok","f":"dump","time":2,"error":1}"#, "`error` must be text"),
            (
                r#"{"process":1,"type":"ok","f":"dump","time":2,"value":{}}"#,
                "line 2: `value` lacks",
            ),
            (
                r#"{"process":2,"type":"invoke","f":"x","time":2}"#,
                "line 2: `x` is not an operation",
            ),
        ] {
            let error = parse(&format!("{good}\n{bad}\n")).expect_err(bad).to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
        let missing = read(Path::new("no such file")).expect_err("nothing to read");
        assert!(missing.to_string().starts_with("no such file: "), "{missing}");
    }
}

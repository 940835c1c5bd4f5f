//! A keep-alive HTTP/1.1 connection with little overhead.
//!
//! It sends prepared bytes, and parses only the status and the length of an answer. It supports
//! what our server sends: a `content-length` on every answer with a body. Anything else is an
//! error.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer, head and body, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Bytes per read: more than nearly every answer has, so that one read is enough.
const READ_BYTES: usize = 8 * 1024;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The connection failed or broke.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before the answer was complete.
    #[error("connection: closed before the answer")]
    Closed,
    /// This generator cannot parse the answer.
    #[error("answer: {0}")]
    Malformed(&'static str),
}

/// An open connection with its read buffer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, whose body is still in the connection's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
    /// Whether the server will close the connection.
    pub(crate) last: bool,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Connection, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; READ_BYTES] })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Error> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let mut head = None;
        loop {
            if filled == self.buffer.len() {
                if filled >= ANSWER_BYTES_MAX {
                    return Err(Error::Malformed("larger than 4 MiB"));
                }
                self.buffer.resize(filled * 2, 0);
            }
            match self.stream.read(&mut self.buffer[filled..]).await? {
                0 => return Err(Error::Closed),
                count => filled += count,
            }
            if head.is_none() {
                head = parse_head(&self.buffer[..filled])?;
            }
            let Some(found) = &head else { continue };
            let end = found.bytes + found.body_bytes;
            if end > ANSWER_BYTES_MAX {
                return Err(Error::Malformed("larger than 4 MiB"));
            }
            match filled.cmp(&end) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => {
                    let body = &self.buffer[found.bytes..end];
                    return Ok(Answer { status: found.status, body, last: found.last });
                }
                std::cmp::Ordering::Greater => {
                    return Err(Error::Malformed("bytes after the answer"));
                }
            }
        }
    }
}

/// The parsed head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Length of the head with its empty line, in bytes.
    bytes: usize,
    /// Length of the body, in bytes.
    body_bytes: usize,
    /// Whether the server closes the connection after this answer.
    last: bool,
}

/// Parses a head; `None` while it is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let Some(status_end) = line_end(bytes, 0) else { return Ok(None) };
    let status = parse_status(&bytes[..status_end])?;
    let mut head = Head { status, bytes: 0, body_bytes: 0, last: false };
    let mut length = None;
    let mut start = status_end + 1;
    loop {
        let Some(end) = line_end(bytes, start) else { return Ok(None) };
        let line = bytes[start..end].strip_suffix(b"\r").unwrap_or(&bytes[start..end]);
        start = end + 1;
        if line.is_empty() {
            break;
        }
        // Only three headers matter. Their first letters exclude nearly all others.
        if !matches!(line[0] | 0x20, b'c' | b't') {
            continue;
        }
        if let Some(value) = header(line, b"content-length") {
            length = Some(parse_length(value)?);
        } else if let Some(value) = header(line, b"connection") {
            head.last = value.eq_ignore_ascii_case(b"close");
        } else if header(line, b"transfer-encoding").is_some() {
            return Err(Error::Malformed("has a transfer encoding"));
        }
    }
    head.bytes = start;
    head.body_bytes = match (length, status) {
        (Some(length), _) => length,
        (None, 204 | 304) => 0,
        (None, _) => return Err(Error::Malformed("has no content-length")),
    };
    Ok(Some(head))
}

fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    bytes[from..].iter().position(|&byte| byte == b'\n').map(|at| from + at)
}

/// Parses the status of a line such as `HTTP/1.1 201 Created`.
fn parse_status(line: &[u8]) -> Result<u16, Error> {
    let digits = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.first_chunk::<3>());
    match digits {
        Some(digits) if digits.iter().all(u8::is_ascii_digit) && digits[0] >= b'2' => {
            Ok(digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
        }
        _ => Err(Error::Malformed("does not begin with an HTTP/1.1 status of 200 or above")),
    }
}

/// The value of a header line with this name, which is in lower case.
fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn parse_length(value: &[u8]) -> Result<usize, Error> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|&length: &usize| length <= ANSWER_BYTES_MAX)
        .ok_or(Error::Malformed("has a content-length that is not a number up to 4 MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_in_any_case_and_order() {
        let text = b"HTTP/1.1 201 Created\r\nX-Trace-Id: t\r\nContent-Length:  17 \r\n\
            Connection: close\r\n\r\n{";
        let head = parse_head(text).unwrap().unwrap();
        assert_eq!(head, Head { status: 201, bytes: text.len() - 1, body_bytes: 17, last: true });
        let text = b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n";
        let head = parse_head(text).unwrap().unwrap();
        assert_eq!(head, Head { status: 409, bytes: text.len(), body_bytes: 0, last: false });
        assert_eq!(parse_head(b"HTTP/1.1 204 \r\n\r\n").unwrap().unwrap().body_bytes, 0);
    }

    #[test]
    fn a_truncated_head_is_incomplete() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse_head(&text[..cut]).unwrap(), None, "cut at {cut}");
        }
        assert!(parse_head(text).unwrap().is_some());
    }

    #[test]
    fn malformed_answers_are_errors() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4194305\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(parse_head(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

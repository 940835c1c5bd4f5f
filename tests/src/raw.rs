//! HTTP byte by byte, for requests that no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;

/// Most bytes of one answer: no refusal may be longer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One connection to a node.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// How a wait for an answer ended.
#[derive(Debug)]
pub enum Reply {
    /// A whole answer.
    Answer(Answer),
    /// The server closed or reset the connection without a whole answer.
    Closed,
    /// Neither happened within the limit.
    Silence,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// When the node does not accept.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("a connected socket takes options");
        Self { stream, received: Vec::new() }
    }

    /// Sends bytes. Ignores errors, because a server may answer and close first; the test reads
    /// that answer.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Closes the sending half: the server sees the end of the stream.
    pub async fn end(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads one answer.
    ///
    /// # Panics
    /// When the bytes are not an HTTP/1 answer.
    pub async fn answer(&mut self, limit: Duration) -> Reply {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = self.take_answer(false) {
                return Reply::Answer(answer);
            }
            match self.receive(deadline).await {
                Received::Bytes => {}
                Received::End => {
                    return self.take_answer(true).map_or(Reply::Closed, Reply::Answer);
                }
                Received::Nothing => return Reply::Silence,
            }
        }
    }

    /// Whether the server closes the connection within the limit. Drops what it sends before.
    pub async fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.receive(deadline).await {
                Received::Bytes => self.received.clear(),
                Received::End => return true,
                Received::Nothing => return false,
            }
        }
    }

    async fn receive(&mut self, deadline: Instant) -> Received {
        let mut buffer = [0; 8192];
        match timeout_at(deadline, self.stream.read(&mut buffer)).await {
            Err(_) => Received::Nothing,
            Ok(Ok(0) | Err(_)) => Received::End,
            Ok(Ok(length)) => {
                self.received.extend_from_slice(&buffer[..length]);
                assert!(self.received.len() <= ANSWER_BYTES_MAX, "an endless answer");
                Received::Bytes
            }
        }
    }

    /// Removes one whole answer from the received bytes. At the end of the stream, an answer
    /// without a length is whole too.
    fn take_answer(&mut self, at_end: bool) -> Option<Answer> {
        let head_length = find(&self.received, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.received[..head_length]).into_owned();
        let (status, headers) = parse_head(&head);
        let start = head_length + 4;
        let length = headers.get("content-length").and_then(|value| value.to_str().ok());
        let end = match length.and_then(|text| text.parse::<usize>().ok()) {
            Some(length) => start + length,
            None if at_end || status == 204 || (100..200).contains(&status) => {
                if at_end {
                    self.received.len()
                } else {
                    start
                }
            }
            None => return None,
        };
        if self.received.len() < end {
            return None;
        }
        let body = Bytes::copy_from_slice(&self.received[start..end]);
        self.received.drain(..end);
        Some(Answer { asked: "raw request".to_owned(), status, headers, body })
    }
}

enum Received {
    Bytes,
    End,
    Nothing,
}

/// Sends `bytes` on a new connection and reads one answer.
///
/// # Panics
/// When the node does not accept, or its answer is not HTTP.
pub async fn exchange(address: SocketAddr, bytes: &[u8], limit: Duration) -> Reply {
    let mut connection = Connection::open(address).await;
    connection.send(bytes).await;
    connection.answer(limit).await
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn parse_head(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("HTTP/1."), "no HTTP answer: {head:?}");
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {head:?}"));
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("header {line:?}"));
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a legal header name");
        (name, HeaderValue::from_str(value.trim()).expect("a legal header value"))
    });
    (status, headers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let (status, headers) =
            parse_head("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nx-a:b");
        assert_eq!(status, 413);
        assert_eq!(headers["content-length"], "3");
        assert_eq!(headers["x-a"], "b");
    }
}

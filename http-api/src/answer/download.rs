//! A file as the body of an answer, read in pieces as fast as the connection takes them.
//!
//! At most one piece is in memory. A client that takes longer for a piece than a write may be
//! blocked is let go, so that slow readers do not keep all permits. If the file cannot be read to
//! its end, the answer ends before its announced length, so the reader sees that it is incomplete.

use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use crate::watch::{Streaming, Watch};

/// The content type of a file.
pub(crate) const CONTENT_TYPE: &str = "application/octet-stream";

/// The size of a piece, in bytes.
const PIECE_BYTES: u64 = 256 << 10;

type Reader = Box<dyn Read + Send>;

/// The body.
pub(crate) struct Download {
    /// The file, while no read is in progress.
    reader: Option<Reader>,
    reading: Option<JoinHandle<(Reader, std::io::Result<Vec<u8>>)>>,
    left: u64,
    /// Marks the connection as busy with this download.
    streaming: Option<Streaming>,
    /// The permit to download, released with the body.
    _permit: OwnedSemaphorePermit,
}

impl Download {
    /// Sends `bytes` bytes of a file.
    pub(crate) fn new(reader: Reader, bytes: u64, permit: OwnedSemaphorePermit) -> Download {
        let (reader, reading, streaming) = (Some(reader), None, None);
        Download { reader, reading, left: bytes, streaming, _permit: permit }
    }

    /// Marks the connection as busy until the download ends.
    pub(crate) fn goes_out_on(&mut self, watch: &Arc<Watch>) {
        self.streaming = Some(Streaming::begin(watch));
    }
}

/// Reads a whole piece, or the rest.
fn piece(mut reader: Reader, bytes: u64) -> (Reader, std::io::Result<Vec<u8>>) {
    let mut piece = Vec::new();
    let read = reader.by_ref().take(bytes).read_to_end(&mut piece);
    (reader, read.map(|_| piece))
}

impl hyper::body::Body for Download {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if let Some(reader) = this.reader.take_if(|_| this.left > 0) {
            let bytes = this.left.min(PIECE_BYTES);
            this.reading = Some(tokio::task::spawn_blocking(move || piece(reader, bytes)));
        }
        let Some(reading) = &mut this.reading else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        this.reading = None;
        match read {
            Ok((reader, Ok(piece))) if !piece.is_empty() => {
                this.reader = Some(reader);
                this.left -= piece.len() as u64;
                if let Some(streaming) = &this.streaming {
                    streaming.begins_piece();
                }
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Ok((_, Ok(_))) => {
                tracing::error!(missing = this.left, "a downloaded file is shorter than announced");
                Poll::Ready(None)
            }
            Ok((_, Err(error))) => {
                tracing::error!(%error, "a downloaded file cannot be read to its end");
                Poll::Ready(None)
            }
            // The runtime stops.
            Err(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_file_goes_out_in_pieces_and_a_short_one_ends_early() {
        let bytes: Vec<u8> = (0..700_000_u32).map(|n| n as u8).collect();
        let permits = Arc::new(Semaphore::new(1));
        let permit = || Arc::clone(&permits).try_acquire_owned().unwrap();
        let reader = || -> Reader { Box::new(std::io::Cursor::new(bytes.clone())) };
        let mut whole = Download::new(reader(), 700_000, permit());
        assert!(permits.try_acquire().is_err(), "it is taken while the body lives");
        let mut read = Vec::new();
        while let Some(frame) = whole.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() as u64 <= PIECE_BYTES);
            read.extend_from_slice(&piece);
        }
        assert_eq!(read, bytes);
        drop(whole);
        let short = Download::new(reader(), 700_001, permit()).collect().await.unwrap();
        assert_eq!(short.to_bytes().len(), 700_000);
    }
}

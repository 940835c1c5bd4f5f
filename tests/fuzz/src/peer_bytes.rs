//! What a node reads from its peers: hellos and frames.

use raft_node::message::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Hello, decode_frame, decode_frame_header, encode_frame,
};

/// A hello or a frame, as sent and with the right checksum. What is read is written so that it
/// reads as the same. The bytes may differ: protobuf keeps unknown fields in no order.
pub fn frame(bytes: &[u8]) -> bool {
    let is_hello = hello(bytes);
    let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else { return is_hello };
    let body = &bytes[FRAME_HEADER_BYTES..];
    let Ok((length, crc)) = decode_frame_header(*header) else { return is_hello };
    assert!(length <= FRAME_BYTES_MAX);
    // As a link reads it: as many bytes as the header says.
    let as_sent = body.get(..length).is_some_and(|body| messages(body, crc));
    is_hello | as_sent | messages(body, crc32fast::hash(body))
}

fn messages(body: &[u8], crc: u32) -> bool {
    let Ok((wall_ms, messages)) = decode_frame(body, crc) else { return false };
    let written = write(wall_ms, &messages);
    let header = written.first_chunk().expect("a frame has a header");
    let (length, crc) = decode_frame_header(*header).expect("a frame of our own");
    let body = &written[FRAME_HEADER_BYTES..];
    assert_eq!(length, body.len());
    let read = decode_frame(body, crc).expect("a frame of our own");
    assert_eq!(read, (wall_ms, messages));
    true
}

fn write(wall_ms: u64, messages: &[raft_node::message::PeerMessage]) -> Vec<u8> {
    let mut written = Vec::new();
    encode_frame(wall_ms, messages, &mut written);
    written
}

fn hello(bytes: &[u8]) -> bool {
    let mut mended = bytes.to_vec();
    if let Some((told, crc)) = mended.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(told).to_le_bytes();
    }
    let mut is_read = false;
    for bytes in [bytes, &mended] {
        if let Ok(hello) = Hello::decode(bytes) {
            assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
            is_read = true;
        }
    }
    is_read
}

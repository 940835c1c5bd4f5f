//! The parts of one file that are under way to this node.
//!
//! Several parts are requested ahead, so that a long round trip does not bound the speed. The
//! window begins with one part, grows by one with each part that arrives, and is cut to one after a
//! silence. Parts are handed on in the order of the file, each once; a part that arrives early
//! waits here. Everything under way, waiting or being written counts, so memory has a bound.

use std::collections::BTreeMap;

#[cfg(feature = "simulation")]
use crate::planted::Bug;

/// Most parts that are under way.
pub(super) const PARTS_MAX: usize = 16;
/// Most bytes under way, unless a single part has more.
const BYTES_MAX: u64 = 4 << 20;
/// Bounds on the silence after which the first missing part is requested again, in milliseconds.
const PATIENCE_MS_MIN: u64 = 1_000;
const PATIENCE_MS_MAX: u64 = 8_000;

/// A part that was requested.
struct Asked {
    /// Requests are numbered: those before the number of a part that arrived were lost or
    /// overtaken.
    number: u64,
    at_ms: u64,
}

/// The parts of a file that are under way.
pub(super) struct Window {
    /// The first byte that was never requested.
    next: u64,
    /// Where the next part to be handed on begins.
    front: u64,
    /// Size of the file and of its parts, once the first part has told them.
    shape: Option<(u64, u64)>,
    asked: BTreeMap<u64, Asked>,
    /// Parts that arrived before one in front of them.
    early: BTreeMap<u64, Vec<u8>>,
    /// Parts that were handed on and are not written yet.
    writing: usize,
    limit: usize,
    numbers: u64,
    patience_ms: u64,
    /// When something was last requested or arrived.
    stirred_ms: u64,
}

impl Window {
    /// Begins at this offset of the file.
    pub(super) fn new(offset: u64, now_ms: u64) -> Window {
        Window {
            next: offset,
            front: offset,
            shape: None,
            asked: BTreeMap::new(),
            early: BTreeMap::new(),
            writing: 0,
            limit: 1,
            numbers: 0,
            patience_ms: PATIENCE_MS_MIN,
            stirred_ms: now_ms,
        }
    }

    /// Requests what the window has room for; returns where those parts begin.
    pub(super) fn ask(&mut self, now_ms: u64) -> Vec<u64> {
        let mut offsets = Vec::new();
        while self.asked.len() + self.early.len() + self.writing < self.limit {
            let more = match self.shape {
                // The first part tells how long parts are.
                None => self.asked.is_empty(),
                Some((size, _)) => self.next < size,
            };
            if !more {
                break;
            }
            offsets.push(self.next);
            self.request(self.next, now_ms);
            if let Some((_, part)) = self.shape {
                self.next += part;
            }
        }
        offsets
    }

    fn request(&mut self, offset: u64, now_ms: u64) {
        self.numbers += 1;
        // The time since the first request counts: nobody knows which one a part answers, and what
        // is requested again too early takes the room of a slow link (RFC 6298, section 3).
        let at_ms = self.asked.get(&offset).map_or(now_ms, |asked| asked.at_ms);
        self.asked.insert(offset, Asked { number: self.numbers, at_ms });
        self.stirred_ms = now_ms;
    }

    /// Takes a part. Returns the parts that can be written now, in order, and where those begin
    /// that have to be requested again. A part that was not requested, or does not fit the others,
    /// is a late copy: nothing comes of it.
    pub(super) fn arrived(
        &mut self,
        offset: u64,
        size: u64,
        bytes: Vec<u8>,
        now_ms: u64,
    ) -> (Vec<(u64, Vec<u8>)>, Vec<u64>) {
        let length = bytes.len() as u64;
        let fits = match self.shape {
            None => length > 0 && offset.checked_add(length).is_some_and(|end| end <= size),
            Some((known, part)) => {
                known == size && length == part.min(size.saturating_sub(offset)) && length > 0
            }
        };
        if !fits {
            return Default::default();
        }
        #[cfg(feature = "simulation")]
        if crate::planted::is_planted(Bug::PartWrittenTwice)
            && self.shape.is_some()
            && offset < self.front
        {
            self.writing += 1;
            return (vec![(offset, bytes)], Vec::new());
        }
        let Some(Asked { number, at_ms }) = self.asked.remove(&offset) else {
            return Default::default();
        };
        if self.shape.is_none() {
            self.shape = Some((size, length));
            self.next = offset + length;
        }
        self.stirred_ms = now_ms;
        let latency_ms = now_ms.saturating_sub(at_ms);
        self.patience_ms = (2 * latency_ms).clamp(PATIENCE_MS_MIN, PATIENCE_MS_MAX);
        let parts_max = usize::try_from(BYTES_MAX / length.max(1)).unwrap_or(PARTS_MAX);
        self.limit = (self.limit + 1).min(parts_max.clamp(1, PARTS_MAX));
        self.early.insert(offset, bytes);
        let overtaken: Vec<u64> = self
            .asked
            .iter()
            .filter_map(|(offset, asked)| (asked.number < number).then_some(*offset))
            .collect();
        for offset in &overtaken {
            self.request(*offset, now_ms);
        }
        (self.take_front(), overtaken)
    }

    /// Takes the parts that follow what was handed on.
    fn take_front(&mut self) -> Vec<(u64, Vec<u8>)> {
        let mut parts = Vec::new();
        while let Some((offset, bytes)) = self.early.pop_first() {
            #[cfg(feature = "simulation")]
            let in_order = offset == self.front || crate::planted::is_planted(Bug::PartsOutOfOrder);
            #[cfg(not(feature = "simulation"))]
            let in_order = offset == self.front;
            if !in_order {
                self.early.insert(offset, bytes);
                break;
            }
            self.front = self.front.max(offset + bytes.len() as u64);
            self.writing += 1;
            parts.push((offset, bytes));
        }
        parts
    }

    /// One of the parts that were handed on is written.
    pub(super) fn written(&mut self) {
        self.writing = self.writing.saturating_sub(1);
    }

    /// Whether the whole file was handed on.
    pub(super) fn is_complete(&self) -> bool {
        self.shape.is_some_and(|(size, _)| self.front >= size)
    }

    /// After a silence: requests the first missing part again, and returns where it begins.
    pub(super) fn missing(&mut self, now_ms: u64) -> Option<u64> {
        if now_ms.saturating_sub(self.stirred_ms) < self.patience_ms {
            return None;
        }
        let offset = *self.asked.first_key_value()?.0;
        self.patience_ms = (self.patience_ms * 2).min(PATIENCE_MS_MAX);
        self.limit = 1;
        self.request(offset, now_ms);
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 100;

    fn part(offset: u64) -> Vec<u8> {
        (offset..(offset + 10).min(SIZE)).map(|byte| byte as u8).collect()
    }

    /// A window that has taken the first part.
    fn begun() -> Window {
        let mut window = Window::new(0, 0);
        assert_eq!(window.ask(0), [0]);
        assert_eq!(window.ask(0), [0; 0], "one until the parts' length is known");
        let (parts, again) = window.arrived(0, SIZE, part(0), 100);
        assert_eq!((parts, again), (vec![(0, part(0))], vec![]));
        window.written();
        window
    }

    #[test]
    fn the_window_grows_with_each_part_and_counts_what_is_not_written() {
        let mut window = begun();
        assert_eq!(window.ask(100), [10, 20]);
        let (parts, _) = window.arrived(10, SIZE, part(10), 200);
        assert_eq!(parts.len(), 1);
        assert_eq!(window.ask(200), [30], "the part that is being written counts");
        window.written();
        assert_eq!(window.ask(200), [40]);
        // Parts of a megabyte: four of them are as many bytes as may be under way.
        let mut large = Window::new(0, 0);
        large.ask(0);
        for n in 0..20_u64 {
            large.arrived(n << 20, 64 << 20, vec![0; 1 << 20], 0);
            large.written();
            large.ask(0);
        }
        assert_eq!(large.asked.len(), 4);
    }

    #[test]
    fn parts_are_handed_on_once_and_in_order_whatever_the_network_does() {
        let mut window = begun();
        assert_eq!(window.ask(100), [10, 20]);
        let (parts, again) = window.arrived(20, SIZE, part(20), 150);
        assert_eq!((parts, again), (vec![], vec![10]), "the one before it was overtaken");
        let (parts, _) = window.arrived(20, SIZE, part(20), 150);
        assert_eq!(parts, [], "a copy");
        let (parts, _) = window.arrived(10, SIZE, part(10), 160);
        assert_eq!(parts, [(10, part(10)), (20, part(20))]);
        for (offset, size, bytes) in [(10, SIZE, part(10)), (30, SIZE, part(30)[..9].to_vec())] {
            window.ask(170);
            assert_eq!(window.arrived(offset, size, bytes, 170).0, [], "late or of another file");
        }
        assert_eq!(window.arrived(30, SIZE + 1, part(30), 170).0, [], "of another file");
    }

    #[test]
    fn after_a_silence_the_first_missing_part_is_requested_again() {
        let mut window = begun();
        assert_eq!(window.ask(100), [10, 20]);
        assert_eq!(window.missing(1_099), None);
        assert_eq!(window.missing(1_100), Some(10));
        assert_eq!(window.missing(3_099), None, "the second silence is longer");
        assert_eq!(window.missing(3_100), Some(10));
        let (parts, again) = window.arrived(10, SIZE, part(10), 3_150);
        assert_eq!((parts.len(), again), (1, vec![20]), "what was requested before it is lost too");
    }

    #[test]
    fn it_ends_with_the_last_byte_and_may_begin_in_the_middle() {
        let mut window = Window::new(85, 0);
        assert_eq!(window.ask(0), [85]);
        assert_eq!(window.arrived(85, SIZE, vec![1; 10], 1).0.len(), 1);
        assert!(!window.is_complete());
        window.written();
        assert_eq!(window.ask(1), [95]);
        assert_eq!(window.arrived(95, SIZE, vec![1; 5], 2).0.len(), 1);
        assert!(window.is_complete());
        assert_eq!(window.ask(2), [0; 0]);
    }
}

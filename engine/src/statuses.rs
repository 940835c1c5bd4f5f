//! The status of every order ever placed, in four bits each, with counts that make any page of any
//! status cheap to find.
//!
//! It stays in memory when an order's row does not, so that applying never needs the disk.

use std::ops::Range;

use crate::order::Status;
use crate::scan::Scan;

/// Orders per word group: the same 64 that share a chunk.
const BLOCK: u64 = 64;
/// Orders that are counted together.
const GROUP: u64 = 64 * 256;
/// A slot without an order.
const ABSENT: u64 = 0xf;
const EACH: u64 = 0x1111_1111_1111_1111;

/// Statuses by slot; an order's slot is its id − 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statuses {
    blocks: Vec<[u64; 4]>,
    groups: Vec<[u32; 5]>,
    counts: [u64; 5],
    len: u64,
}

impl Statuses {
    /// How many orders there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many orders have this status.
    pub(crate) fn count(&self, status: Status) -> u64 {
        self.counts[status as usize]
    }

    /// The status at a slot, if it has an order.
    pub(crate) fn get(&self, slot: u64) -> Option<Status> {
        if slot >= self.len {
            return None;
        }
        let nibble = self.blocks[(slot / BLOCK) as usize][word(slot)] >> shift(slot) & 0xf;
        Some(Status::ALL[nibble as usize])
    }

    /// Adds the next order.
    pub(crate) fn push(&mut self, status: Status) {
        let slot = self.len;
        if slot.is_multiple_of(BLOCK) {
            self.blocks.push([ABSENT * EACH; 4]);
        }
        if slot.is_multiple_of(GROUP) {
            self.groups.push([0; 5]);
        }
        self.len += 1;
        self.write(slot, status);
        self.count_up(slot, status);
    }

    /// Changes the status at a slot that has an order.
    pub(crate) fn set(&mut self, slot: u64, status: Status) {
        let before = self.get(slot).expect("only a placed order changes its status");
        self.counts[before as usize] -= 1;
        self.groups[(slot / GROUP) as usize][before as usize] -= 1;
        self.write(slot, status);
        self.count_up(slot, status);
    }

    fn write(&mut self, slot: u64, status: Status) {
        let word = &mut self.blocks[(slot / BLOCK) as usize][word(slot)];
        *word = *word & !(0xf << shift(slot)) | (status as u64) << shift(slot);
    }

    fn count_up(&mut self, slot: u64, status: Status) {
        self.counts[status as usize] += 1;
        self.groups[(slot / GROUP) as usize][status as usize] += 1;
    }

    /// How many orders of a block of 64 have this status.
    pub(crate) fn count_in_block(&self, block: u64, status: Status) -> u64 {
        self.blocks[block as usize]
            .iter()
            .map(|word| {
                let other = word ^ (status as u64 * EACH);
                let any = (other | other >> 1 | other >> 2 | other >> 3) & EACH;
                u64::from(16 - any.count_ones())
            })
            .sum()
    }

    /// How many orders of these slots have this status.
    pub(crate) fn count_between(&self, slots: Range<u64>, status: Status) -> u64 {
        self.count_below(slots.end, status).saturating_sub(self.count_below(slots.start, status))
    }

    /// How many of the first `end` orders have this status.
    fn count_below(&self, end: u64, status: Status) -> u64 {
        let end = end.min(self.len);
        let groups = end / GROUP;
        let counts = self.groups[..groups as usize].iter();
        let grouped: u64 = counts.map(|counts| u64::from(counts[status as usize])).sum();
        let blocks = groups * (GROUP / BLOCK)..end / BLOCK;
        let blocked: u64 = blocks.map(|block| self.count_in_block(block, status)).sum();
        let rest = end / BLOCK * BLOCK..end;
        grouped + blocked + rest.filter(|slot| self.get(*slot) == Some(status)).count() as u64
    }

    /// Finds slots with this status, newest first. Skips whole groups and blocks by their counts.
    pub(crate) fn newest(&self, status: Status, scan: &mut Scan) {
        scan.end = scan.end.min(self.len);
        while scan.step() {
            let end = scan.end;
            if end.is_multiple_of(GROUP) {
                let count = u64::from(self.groups[(end / GROUP) as usize - 1][status as usize]);
                if scan.skip_block(GROUP, count) {
                    continue;
                }
            }
            if end.is_multiple_of(BLOCK) {
                let count = self.count_in_block(end / BLOCK - 1, status);
                if scan.skip_block(BLOCK, count) {
                    continue;
                }
            }
            scan.end -= 1;
            if self.get(scan.end) == Some(status) {
                scan.take(scan.end);
            }
        }
    }

    /// Whether the counts agree with the statuses.
    pub(crate) fn is_sound(&self) -> bool {
        let mut counts = [0; 5];
        let mut groups = vec![[0; 5]; self.groups.len()];
        for slot in 0..self.len {
            let status = self.get(slot).expect("below the length") as usize;
            counts[status] += 1;
            groups[(slot / GROUP) as usize][status] += 1;
        }
        counts == self.counts && groups == self.groups
    }
}

fn word(slot: u64) -> usize {
    (slot % BLOCK / 16) as usize
}

fn shift(slot: u64) -> u64 {
    slot % 16 * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed pattern in which some statuses have empty blocks and empty groups.
    fn mixture(slot: u64) -> Status {
        match slot {
            0..20_000 => Status::Paid,
            20_000..20_010 => Status::Pending,
            _ if slot.is_multiple_of(7) => Status::Failed,
            _ if slot.is_multiple_of(3) => Status::Cancelled,
            _ => Status::Paid,
        }
    }

    #[test]
    fn every_page_equals_that_of_a_scan() {
        let mut statuses = Statuses::default();
        let len = 3 * GROUP + 77;
        for slot in 0..len {
            statuses.push(Status::Pending);
            statuses.set(slot, mixture(slot));
        }
        assert!(statuses.is_sound());
        for status in Status::ALL {
            let all: Vec<u64> = (0..len).rev().filter(|slot| mixture(*slot) == status).collect();
            assert_eq!(statuses.count(status), all.len() as u64);
            for end in [0, 1, 63, 64, 65, 20_005, GROUP, GROUP + 1, len - 1, len, len + 9] {
                let below: Vec<u64> = all.iter().copied().filter(|slot| *slot < end).collect();
                for skip in [0, 1, 9, 63, 64, 1000, 16_384, 40_000] {
                    let expected: Vec<u64> =
                        below.iter().copied().skip(skip as usize).take(50).collect();
                    for steps in [1, 7, usize::MAX] {
                        let mut scan =
                            Scan { start: 0, end, skip, wanted: 50, steps, found: vec![] };
                        statuses.newest(status, &mut scan);
                        while !scan.is_done() {
                            scan.steps = steps;
                            statuses.newest(status, &mut scan);
                        }
                        assert_eq!(scan.found, expected, "{end} {skip} {steps}");
                    }
                }
                for start in [0, 1, 64, 20_004, GROUP - 1, GROUP, end] {
                    let range = start..end.max(start);
                    let count = below.iter().filter(|slot| **slot >= start).count() as u64;
                    assert_eq!(statuses.count_between(range.clone(), status), count, "{range:?}");
                    let (skip, wanted) = (40, 50);
                    let mut scan =
                        Scan { start, end, skip, wanted, steps: usize::MAX, found: vec![] };
                    statuses.newest(status, &mut scan);
                    let within = below.iter().copied().filter(|slot| *slot >= start);
                    let expected: Vec<u64> = within.skip(40).take(50).collect();
                    assert_eq!(scan.found, expected, "{range:?}");
                }
            }
        }
    }

    #[test]
    fn a_slot_without_an_order_has_no_status() {
        let mut statuses = Statuses::default();
        assert_eq!(statuses.get(0), None);
        statuses.push(Status::Pending);
        assert_eq!((statuses.get(0), statuses.get(1)), (Some(Status::Pending), None));
        assert_eq!(statuses.count_in_block(0, Status::Pending), 1);
    }
}

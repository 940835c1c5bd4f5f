//! A hash table that takes little more memory than its entries, and never grows all at once.
//!
//! Linear hashing (Litwin, 1980): there is one bucket per few entries, and each new bucket takes
//! its share from one other. So no insertion moves more than one bucket, however many entries there
//! are, and a bucket is as long as its entries.

use super::name::{KeyHash, Used};
use super::rule::Places;

/// Entries per bucket, on average.
const BUCKET_ENTRIES: usize = 12;
/// Buckets that are allocated together.
const PAGE: usize = 1024;
/// Bytes of the hash that are stored. Two of a hundred million keys have the same ones with a
/// probability of one in two hundred million.
const NAME_BYTES: usize = 10;
/// Bytes of an id: enough for a trillion rows.
const ID_BYTES: usize = 5;

/// A key and its use, as bytes, so that no padding is lost.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: [u8; NAME_BYTES],
    id: [u8; ID_BYTES],
    fingerprint: [u8; 8],
}

impl Entry {
    fn new(key: KeyHash, used: Used) -> Entry {
        let id = used.id.to_le_bytes();
        assert!(id[ID_BYTES..].iter().all(|byte| *byte == 0), "there are no ids beyond a trillion");
        Entry {
            name: name(key),
            id: std::array::from_fn(|at| id[at]),
            fingerprint: used.fingerprint.to_le_bytes(),
        }
    }

    fn used(&self) -> Used {
        let mut id = [0; 8];
        id[..ID_BYTES].copy_from_slice(&self.id);
        let fingerprint = u64::from_le_bytes(self.fingerprint);
        Used { id: u64::from_le_bytes(id), fingerprint }
    }
}

fn name(key: KeyHash) -> [u8; NAME_BYTES] {
    let bytes = key.0.to_le_bytes();
    std::array::from_fn(|at| bytes[at])
}

type Bucket = Box<[Entry]>;

/// The hash table; see the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Places,
    pages: Vec<Vec<Bucket>>,
    buckets: usize,
    len: usize,
}

impl Table {
    /// An empty table with these places.
    pub(super) fn new(places: Places) -> Table {
        Table { places, ..Table::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: KeyHash) -> Option<Used> {
        let name = name(key);
        let bucket = self.bucket(self.place(&name)?);
        bucket.iter().find(|entry| entry.name == name).map(Entry::used)
    }

    /// Prefetches the bucket of a key; the result means nothing. It does not branch on what it
    /// reads, so that the processor can wait for many buckets at once.
    pub(super) fn fetch(&self, key: KeyHash) -> u8 {
        let Some(at) = self.place(&name(key)) else { return 0 };
        let bucket = self.bucket(at);
        let middle = bucket.get(bucket.len() / 2);
        let touch = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.name[0]);
        touch(bucket.first()) ^ touch(middle) ^ touch(bucket.last())
    }

    /// Inserts a key's use, and returns the earlier one that it replaces.
    pub(super) fn insert(&mut self, key: KeyHash, used: Used) -> Option<Used> {
        let entry = Entry::new(key, used);
        if self.len >= self.buckets * BUCKET_ENTRIES {
            self.split();
        }
        let at = self.place(&entry.name).expect("there is a bucket");
        let bucket = self.bucket_mut(at);
        if let Some(before) = bucket.iter_mut().find(|before| before.name == entry.name) {
            return Some(std::mem::replace(before, entry).used());
        }
        let mut entries = std::mem::take(bucket).into_vec();
        entries.reserve_exact(1);
        entries.push(entry);
        *bucket = entries.into_boxed_slice();
        self.len += 1;
        None
    }

    /// The bucket of a name: the lowest bits of its place, one fewer while that bucket does not
    /// exist yet.
    fn place(&self, name: &[u8; NAME_BYTES]) -> Option<usize> {
        let (low, high) = name.split_first_chunk::<8>().expect("a name is longer");
        let (high, _) = high.split_first_chunk::<2>().expect("a name has ten bytes");
        let hash = self.places.of(u64::from_le_bytes(*low), u16::from_le_bytes(*high).into());
        let mask = self.buckets.checked_next_power_of_two()? - 1;
        let at = hash as usize & mask;
        match at < self.buckets {
            true => Some(at),
            false => Some(at & mask >> 1).filter(|_| self.buckets > 0),
        }
    }

    fn bucket(&self, at: usize) -> &Bucket {
        &self.pages[at / PAGE][at % PAGE]
    }

    fn bucket_mut(&mut self, at: usize) -> &mut Bucket {
        &mut self.pages[at / PAGE][at % PAGE]
    }

    /// The entries of the longest bucket.
    #[cfg(test)]
    pub(super) fn longest(&self) -> usize {
        self.pages.iter().flatten().map(|bucket| bucket.len()).max().unwrap_or(0)
    }

    /// Adds a bucket and moves its entries there from the one that had them so far.
    fn split(&mut self) {
        let new = self.buckets;
        if new.is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        self.buckets += 1;
        let mut moved = Bucket::default();
        if new > 0 {
            // All of its bits except the highest.
            let from = new ^ (1 << new.ilog2());
            let entries = std::mem::take(self.bucket_mut(from));
            let moves = |entry: &Entry| self.place(&entry.name) == Some(new);
            let (go, stay): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| moves(entry));
            moved = go.into_boxed_slice();
            *self.bucket_mut(from) = stay.into_boxed_slice();
        }
        self.pages.last_mut().expect("a page has room").push(moved);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn used(id: u64) -> Used {
        Used { id, fingerprint: id ^ 0xaaaa_aaaa_bbbb_bbbb }
    }

    /// A hash whose lowest bytes, which select the bucket, take few values.
    fn key(number: u64) -> KeyHash {
        KeyHash(u128::from(number % 97) | u128::from(number) << 64)
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_last(
            puts in prop::collection::vec((0_u64..700, 1_u64..1 << 40), 0..2_000),
        ) {
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for (name, id) in puts {
                prop_assert_eq!(table.insert(key(name), used(id)), model.insert(name, used(id)));
            }
            prop_assert_eq!(table.len(), model.len());
            for name in 0..700 {
                prop_assert_eq!(table.get(key(name)), model.get(&name).copied());
            }
        }
    }

    #[test]
    fn growing_keeps_buckets_short_and_loses_no_entry() {
        let mut table = Table::default();
        assert_eq!(table.get(KeyHash(7)), None);
        // As in a real hash, the lowest bits vary most.
        let key = |n: u64| KeyHash(u128::from(xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())));
        for n in 1..=50_000 {
            assert_eq!(table.insert(key(n), used(n)), None);
            assert_eq!(table.get(key(n / 2 + 1)), Some(used(n / 2 + 1)));
        }
        assert!((1..=50_000).all(|n| table.get(key(n)) == Some(used(n))));
        assert_eq!(table.get(key(0)), None);
        assert_eq!((table.len(), table.buckets), (50_000, 50_000_usize.div_ceil(BUCKET_ENTRIES)));
        assert!(table.longest() < 6 * BUCKET_ENTRIES, "{}", table.longest());
    }

    #[test]
    #[should_panic(expected = "there are no ids beyond a trillion")]
    fn an_id_beyond_five_bytes_panics() {
        Table::default().insert(KeyHash(1), used(1 << 40));
    }
}

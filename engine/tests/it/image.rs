//! The checkpoint as a stream of rows. A store filled from it gives the same state although
//! checkpoints continue, and damage is found before the stream ends.

use engine::checkpoint::image::{Fill, Image};
use engine::checkpoint::{CheckpointStore, Row, read_events};
use engine::event::{EventId, EventPage};
use engine::ids::OrderId;
use engine::state::{OrderLookup, State, Unobserved};
use engine::store::memory::MemoryStore;

use crate::checkpoint::{busy_log, checkpoint};

/// Reads an image as rows, letting `between` happen after the part that may change.
fn rows(store: &MemoryStore, between: impl FnOnce()) -> Result<(Head, Vec<Row>), String> {
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    let image = Image::open(store).map_err(|error| error.to_string())?;
    let mut image = image.ok_or("nothing was published")?;
    image.begin(store, &mut visit).map_err(|error| error.to_string())?;
    between();
    let head = (image.applied_index(), image.digest());
    image.finish(store, &mut visit).map_err(|error| error.to_string())?;
    Ok((head, rows))
}

/// Index and digest.
type Head = (u64, u64);

fn filled(rows: &[Row]) -> MemoryStore {
    let store = MemoryStore::new();
    let mut fill = Fill::new(&store);
    for (key, value) in rows {
        fill.add(key, value).expect("staged");
    }
    fill.finish().expect("published");
    // Acknowledged changes survive a power cut.
    store.crash(0);
    store
}

fn apply_all(state: &mut State, log: &[Vec<u8>]) {
    for (index, entry) in (state.applied_index() + 1..).zip(log) {
        state.apply(index, 1, entry, &mut Unobserved).expect("applied");
    }
}

#[test]
fn a_store_filled_from_an_image_gives_the_same_state_while_checkpoints_go_on() {
    let log = busy_log(700);
    let (first, second) = log.split_at(log.len() / 2);
    let mut state = State::new();
    state.set_resident_chunks_max(2);
    let store = MemoryStore::new();
    for part in first.chunks(97) {
        apply_all(&mut state, part);
        checkpoint(&mut state, &store);
    }
    let (index, digest) = (state.applied_index(), state.digest());
    state.keep_old_events(true);
    let (head, rows) = rows(&store, || {
        // Chunks are sealed, open ones removed, products replaced, events added and dropped.
        for part in second.chunks(61) {
            apply_all(&mut state, part);
            state.set_event_retention(0, 0);
            checkpoint(&mut state, &store);
        }
    })
    .expect("an image");
    assert_eq!(head, (index, digest));
    assert!(state.applied_index() > index);
    let copy = filled(&rows);
    let mut opened = State::open(&copy).expect("opens");
    assert_eq!((opened.applied_index(), opened.digest()), head);
    // The copy applies the rest of the log as the original did.
    apply_all(&mut opened, second);
    assert_eq!(opened.digest(), state.digest());
    let old = OrderId(1);
    assert!(matches!(opened.order(old), OrderLookup::Stored | OrderLookup::Resident(_)));
    let EventPage::Stored { chunk } = opened.events_after(EventId::default(), 1) else {
        panic!("the first events are in the store");
    };
    assert!(read_events(&copy, chunk).expect("readable").is_some());
}

#[test]
fn an_image_with_a_damaged_or_missing_row_is_refused() {
    let mut state = State::new();
    let store = MemoryStore::new();
    apply_all(&mut state, &busy_log(300));
    checkpoint(&mut state, &store);
    let (_, whole) = rows(&store, || {}).expect("an image");
    for (key, value) in &whole {
        let damaged = filled(&whole);
        damaged.damage(key, |value| {
            let middle = value.len() / 2;
            value[middle] ^= 8;
        });
        let error = rows(&damaged, || {}).expect_err("found");
        assert!(!error.is_empty(), "{}", value.len());
        let without = filled(&whole);
        without.publish(vec![(key.clone(), None)]).expect("removed");
        rows(&without, || {}).expect_err("missed");
    }
}

#[test]
fn a_truncated_stream_fills_nothing() {
    let mut state = State::new();
    let store = MemoryStore::new();
    assert!(Image::open(&store).expect("readable").is_none());
    apply_all(&mut state, &busy_log(50));
    checkpoint(&mut state, &store);
    let (_, rows) = rows(&store, || {}).expect("an image");
    let copy = MemoryStore::new();
    let mut fill = Fill::new(&copy);
    for (key, value) in &rows[..rows.len() - 1] {
        fill.add(key, value).expect("staged");
    }
    assert!(fill.finish().is_err());
    assert_eq!(State::open(&copy).expect("empty").applied_index(), 0);
}

//! The state on disk and back: equal digests, crashes at every step, damage found.

use engine::adjustment::Change;
use engine::checkpoint::image::{Fill, Image};
use engine::checkpoint::{CheckpointStore, open, read_ledger, read_order};
use engine::command::{AdjustStock, Command, CreateHold, PlaceOrder, Verdict};
use engine::ids::{OrderId, Position, ProductId};
use engine::order::{PaymentMethod, Status};
use engine::outcome::{Outcome, Rejection};
use engine::query::{OrderFilter, Page};
use engine::state::{OrderLookup, State, Unobserved};
use engine::store::memory::MemoryStore;
use engine::store::sled::SledStore;
use engine::webhook::Report;

use crate::common::*;

/// Freezes, writes and releases.
pub(crate) fn checkpoint(state: &mut State, store: &dyn CheckpointStore) {
    let written = state.freeze().write(store).expect("written");
    assert_eq!(written.applied_index(), state.applied_index());
    state.release(&written);
}

/// The digest of the state that opens from the store, and from an image of it.
fn digest_of(store: &MemoryStore) -> u64 {
    let digest = State::open(store).expect("opened").digest();
    let copy = MemoryStore::new();
    let mut fill = Fill::new(&copy);
    let mut image = Image::open(store).expect("readable").expect("published");
    image.begin(store, &mut |key, row| fill.add(key, row)).expect("begun");
    image.finish(store, &mut |key, row| fill.add(key, row)).expect("whole");
    fill.finish().expect("filled");
    assert_eq!(State::open(&copy).expect("opened").digest(), digest);
    digest
}

/// A history with every kind of row and every path of an order.
pub(crate) fn busy_log(orders: u64) -> Vec<Vec<u8>> {
    let mut machine = Machine::default();
    machine.product("999.99", 100_000);
    machine.product("0.10", 100_000);
    machine.run(user("a@example.org"));
    for n in 1..=orders {
        machine.now += 10;
        let lines: &[_] = if n % 3 == 0 { &[(1, 1), (2, 2), (1, 1)] } else { &[(n % 2 + 1, 1)] };
        let payment_method = match n % 5 {
            0 => PaymentMethod::Webhook,
            1 => PaymentMethod::None,
            _ => PaymentMethod::Mock,
        };
        let order = PlaceOrder {
            payment_method,
            user: user_id(n % 4),
            key: (n % 2 == 0).then(|| format!("key-{n}").into()),
            metadata: (n % 7 == 0).then(|| "{\"gift\":true}".into()),
            payment_attempts_max: 2,
            ..order(lines)
        };
        if n % 2 == 1 {
            // Most of them expire.
            let key = (n % 3 == 0).then(|| format!("hold-{n}").into());
            let id = machine.make_hold(CreateHold { key, ..hold(&[(1, 1), (2, 1)]) });
            if n % 5 == 0 {
                machine.run(release(id));
            }
        }
        let order = match n % 11 {
            0 => {
                let held = CreateHold { user: order.user, lines: order.lines, ..hold(&[]) };
                let (hold, lines) = (Some(machine.make_hold(held)), Vec::new());
                PlaceOrder { hold, lines, ..order }
            }
            _ => order,
        };
        if n % 2 == 0 {
            // About this order, which does not exist yet, and one that never will.
            let order = if n % 4 == 0 { n } else { 1_000_000 };
            machine.run(Command::PaymentWebhook(webhook(&format!("{n}"), order, Report::Failed)));
        }
        let key = Some(format!("adjustment-{n}").into());
        let adjustment = AdjustStock { key, ..adjust(ProductId(1), Change::By(1)) };
        machine.run(Command::AdjustStock(adjustment));
        machine.run(fence(&format!("fenced-{n}")));
        let id = machine.place(order);
        match n % 10 {
            2 | 4 => drop(machine.claim(&[id])),
            3 | 7 | 8 => {
                machine.claim(&[id]);
                machine.settle(id, 1, Verdict::Succeeded);
            }
            9 => {
                machine.claim(&[id]);
                machine.settle(id, 1, declined());
                machine.now += 500;
                machine.run(claim(2, vec![(id, 2)]));
                machine.settle(id, 2, declined());
            }
            1 | 6 => drop(machine.run(cancel(id))),
            _ => {}
        }
        if n % 40 == 0 {
            // The orders that were claimed and forgotten are paid after all, so that chunks are
            // sealed.
            let late: Vec<_> = (n - 39..=n).filter(|m| matches!(m % 10, 2 | 4)).collect();
            for id in late {
                machine.settle(OrderId(id), 1, Verdict::Succeeded);
            }
            machine.run(user(&format!("{n}@example.org")));
        }
    }
    machine.log
}

fn replay(state: &mut State, log: &[Vec<u8>]) {
    for (index, payload) in (1..).zip(log) {
        if index > state.applied_index() {
            state.apply(index, 1, payload, &mut Unobserved).expect("well formed");
        }
    }
}

#[test]
fn equal_entries_give_equal_digests_even_across_a_reopening() {
    let log = busy_log(200);
    let store = MemoryStore::new();
    let (mut first, mut second) = (State::new(), State::new());
    let mut digests = std::collections::BTreeSet::new();
    for (index, payload) in (1..).zip(&log) {
        first.apply(index, 1, payload, &mut Unobserved).expect("well formed");
        second.apply(index, 1, payload, &mut Unobserved).expect("well formed");
        let digest = first.digest();
        assert_eq!(digest, second.digest(), "at {index}");
        assert!(digests.insert(digest), "each entry here changes something");
        if index % 13 == 0 {
            checkpoint(&mut second, &store);
        }
        if index % 39 == 0 {
            let reopened = State::open(&store).expect("opened");
            assert_eq!(reopened.applied_index(), index);
            assert_eq!(reopened.position(), second.position());
            second = reopened;
            second.set_resident_chunks_max(0);
        }
    }
    assert_eq!(first.totals(), second.totals());
    first.check_invariants().expect("sound");
    second.check_invariants().expect("sound");
}

#[test]
fn states_that_differ_in_one_thing_have_different_digests() {
    let digest = |commands: Vec<Command>| {
        let mut machine = Machine::default();
        machine.product("1", 9);
        machine.run_all(commands);
        machine.state.digest()
    };
    let place = |order| vec![Command::PlaceOrder(order)];
    let base = digest(place(order(&[(1, 1)])));
    assert_eq!(base, digest(place(order(&[(1, 1)]))));
    for other in [
        place(order(&[(1, 2)])),
        place(keyed("k", &[(1, 1)])),
        place(mock_order(&[(1, 1)])),
        vec![Command::Tick],
        vec![Command::PlaceOrder(order(&[(1, 1)])), Command::Tick],
        vec![Command::CreateHold(hold(&[(1, 1)]))],
        vec![Command::PaymentWebhook(webhook("k", 9, Report::Failed))],
        vec![Command::PaymentWebhook(webhook("k", 9, Report::Succeeded))],
    ] {
        assert_ne!(base, digest(other));
    }
}

#[test]
fn a_crash_during_a_checkpoint_leaves_the_old_or_the_new_one() {
    let log = busy_log(150);
    let (middle, later) = (log.len() / 2, log.len() * 3 / 4);
    let digest_at = |end: usize| {
        let mut state = State::new();
        replay(&mut state, &log[..end]);
        state.digest()
    };
    let (at_later, end) = (digest_at(later), digest_at(log.len()));
    let prepare = || {
        let store = MemoryStore::new();
        let mut state = State::new();
        // Several, so that there are rows to discard.
        for part in [middle / 2, middle - 20, middle] {
            replay(&mut state, &log[..part]);
            checkpoint(&mut state, &store);
        }
        replay(&mut state, &log);
        (store, state)
    };
    let operations = {
        let (store, mut state) = prepare();
        let before = store.operations();
        checkpoint(&mut state, &store);
        store.operations() - before
    };
    assert!(operations >= 5, "discard, stage, sync, publish, sync");
    let mut seen = [0, 0];
    for fail_after in 0..=operations {
        for kept in 0.. {
            let (store, mut state) = prepare();
            store.fail_after(fail_after);
            let result = state.freeze().write(&store);
            assert_eq!(result.is_err(), fail_after < operations);
            let unsynced = store.unsynced();
            // The first writes survive, or any of them.
            let mut random = xxhash_rust::xxh3::xxh3_64(&[kept as u8, fail_after as u8]);
            let mut survives = || {
                random = random.rotate_left(1);
                random & 1 == 0
            };
            match kept % 2 {
                0 => store.crash(kept),
                _ => store.crash_keeping(&mut survives),
            }
            let mut reopened = State::open(&store).expect("every crash leaves a checkpoint");
            let published = reopened.applied_index() == log.len() as u64;
            assert!(published || reopened.applied_index() == middle as u64);
            seen[usize::from(published)] += 1;
            // The next checkpoint is of an earlier position than the one that the crash
            // interrupted. The leftovers of that one must not count, now or later.
            if !published {
                replay(&mut reopened, &log[..later]);
                checkpoint(&mut reopened, &store);
                assert_eq!((reopened.digest(), digest_of(&store)), (at_later, at_later));
                if kept % 3 == 0 {
                    reopened = State::open(&store).expect("opened");
                }
            }
            replay(&mut reopened, &log);
            checkpoint(&mut reopened, &store);
            assert_eq!((reopened.digest(), digest_of(&store)), (end, end));
            if kept >= unsynced {
                break;
            }
        }
    }
    assert!(seen[0] > 5 && seen[1] > 1, "both were met: {seen:?}");
}

#[test]
fn an_unpublished_first_checkpoint_leaves_an_empty_store() {
    let log = busy_log(100);
    let store = MemoryStore::new();
    let mut state = State::new();
    replay(&mut state, &log);
    store.fail_after(2);
    state.freeze().write(&store).expect_err("not published");
    store.crash(usize::MAX);
    assert!(!store.keys().is_empty(), "something was staged");
    let mut reopened = State::open(&store).expect("empty");
    assert_eq!(reopened.applied_index(), 0);
    assert_eq!(read_order(&store, OrderId(1)).expect("readable"), None);
    // They do not count either once another checkpoint is published, whether of an earlier position
    // or a later one.
    for end in [log.len() / 3, log.len()] {
        replay(&mut reopened, &log[..end]);
        checkpoint(&mut reopened, &store);
        assert_eq!(digest_of(&store), reopened.digest());
    }
}

#[test]
fn rows_staged_after_the_last_checkpoint_are_ignored() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    machine.place(order(&[(1, 1)]));
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    // Two chunks and several ledger segments begin and end between two checkpoints.
    for n in 2..=200 {
        machine.place(order(&[(1, 1)]));
        machine.run(cancel(OrderId(n)));
        machine.run(user(&format!("{n}@example.org")));
    }
    store.fail_after(2);
    machine.state.freeze().write(&store).expect_err("staged and synced, not published");
    store.crash(usize::MAX);
    assert!(store.keys().iter().any(|key| key[0] == b'S'), "a sealed chunk is staged");
    assert!(store.keys().iter().any(|key| key[0] == b'J'), "a block of segments is staged");
    for id in [2, 64, 65, 128, 129, 192] {
        assert_eq!(read_order(&store, OrderId(id)).expect("readable"), None);
    }
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!((reopened.open_orders(), reopened.order_status(OrderId(2))), (1, None));
    assert!(reopened.ledger_homes(product).is_empty());
    replay(&mut reopened, &machine.log);
    assert_eq!(reopened.digest(), machine.state.digest());
}

#[test]
fn the_ledger_is_read_from_memory_and_from_the_store() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    for n in 1..=40 {
        machine.place(order(&[(1, 1)]));
        machine.run(cancel(OrderId(n)));
    }
    let all: Vec<_> = machine.state.ledger(product).map(|(_, row)| row).collect();
    assert_eq!(all.len(), 81);
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    let resident: Vec<_> = machine.state.ledger(product).collect();
    assert_eq!((resident[0].0, resident.len()), (64, 17));
    let homes = machine.state.ledger_homes(product);
    assert_eq!(homes.len(), 2);
    let read = read_ledger(&store, product, 1, homes[1]).expect("readable");
    assert_eq!(read, all[32..64]);
    let reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.ledger_homes(product), homes);
    // A missing segment is an error, not an empty one.
    read_ledger(&store, product, 2, homes[1]).expect_err("in memory only");
    read_ledger(&store, ProductId(9), 0, homes[0]).expect_err("of no product");
}

#[test]
fn a_chunk_has_one_row_even_after_failed_checkpoints() {
    let mut machine = Machine::default();
    machine.product("1", 1_000);
    let store = MemoryStore::new();
    let rows = |store: &MemoryStore, letter: u8| {
        let keys = store.keys().into_iter().filter(|key| key[0] == letter);
        keys.map(|key| key[1..].to_vec()).collect::<Vec<_>>()
    };
    for n in 1..=3 {
        machine.place(order(&[(1, 1)]));
        checkpoint(&mut machine.state, &store);
        // Its own row, and the one that it replaced.
        assert_eq!(rows(&store, b'M').len(), n.min(2));
    }
    // It makes no difference whether the replaced row still exists.
    let replaced = [&b"M"[..], &rows(&store, b'M')[0]].concat();
    store.damage(&replaced, |row| row[7] ^= 1);
    assert_eq!(digest_of(&store), machine.state.digest());
    // Staged but never published, then staged again; the process ends in between.
    machine.place(order(&[(1, 1)]));
    store.fail_after(3);
    machine.state.freeze().write(&store).expect_err("staged and synced");
    store.crash(usize::MAX);
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.order_status(OrderId(4)), None);
    replay(&mut reopened, &machine.log[..4]);
    checkpoint(&mut reopened, &store);
    assert_eq!(State::open(&store).expect("opened").digest(), reopened.digest());
    replay(&mut reopened, &machine.log);
    machine.state = reopened;
    // A freeze that nobody reported, and then the chunk is sealed.
    machine.state.freeze().write(&store).expect("written");
    for _ in 5..=64 {
        machine.place(order(&[(1, 1)]));
    }
    for n in 1..=64 {
        machine.run(cancel(OrderId(n)));
    }
    for _ in 0..3 {
        machine.run(Command::Tick);
        checkpoint(&mut machine.state, &store);
        assert_eq!(rows(&store, b'S').len(), 1);
        assert_eq!(State::open(&store).expect("opened").digest(), machine.state.digest());
        assert!(read_order(&store, OrderId(64)).expect("readable").is_some());
    }
    assert_eq!(rows(&store, b'M').len(), 0);
}

#[test]
fn segments_of_older_formats_count_and_those_that_were_never_published_do_not() {
    let mut machine = Machine::default();
    let product = machine.product("1", 10);
    let cancelled = |machine: &mut Machine, orders: std::ops::RangeInclusive<u64>| {
        for n in orders {
            machine.place(order(&[(1, 1)]));
            machine.run(cancel(OrderId(n)));
        }
    };
    cancelled(&mut machine, 1..=20);
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    // The block of one segment, as formats 1 and 2 would have stored it: without the sum, the
    // number of segments, the product and its number, which take a byte each.
    let block = [&b"J"[..], &[0; 8], &1_u64.to_be_bytes()].concat();
    let row = store.get(&block).expect("readable").expect("there");
    let single = [&[1], &row[16..]].concat();
    let single = [&crc32fast::hash(&single).to_le_bytes()[..], &single].concat();
    let key = |number: u64| {
        [&b"L"[..], &[0; 8], &product.0.to_be_bytes(), &number.to_be_bytes()].concat()
    };
    store.stage(vec![(key(0), single.clone()), (key(1), single)]).expect("staged");
    store.publish(vec![(block, None)]).expect("removed");
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.digest(), machine.state.digest());
    assert_eq!(reopened.ledger_homes(product).len(), 1);
    machine.state = reopened;
    cancelled(&mut machine, 21..=40);
    checkpoint(&mut machine.state, &store);
    assert!(store.get(&key(0)).expect("readable").is_some(), "it stays as it is");
    assert!(store.get(&key(1)).expect("readable").is_none(), "it never counted");
    let mut again = State::open(&store).expect("opened");
    assert_eq!(again.digest(), machine.state.digest());
    let homes = again.ledger_homes(product);
    assert_eq!(homes.len(), 2);
    for (n, home) in (0..).zip(homes.iter()) {
        let rows = read_ledger(&store, product, n, *home).expect("readable");
        assert_eq!(rows.len(), 32);
    }
    assert_eq!(digest_of(&store), machine.state.digest());
}

#[test]
fn ledgers_of_many_products_share_blocks() {
    let mut machine = Machine::default();
    let products: Vec<_> = (0..40).map(|_| machine.product("1", 1_000)).collect();
    let store = MemoryStore::new();
    let mut placed = 0;
    for round in 0..3 {
        for n in 1..=40 {
            for _ in 0..17 {
                machine.place(order(&[(n, 1)]));
                placed += 1;
                machine.run(cancel(OrderId(placed)));
            }
        }
        // A checkpoint that is discarded changes nothing, whether or not it reached the store.
        if round == 1 {
            machine.state.freeze().write(&store).expect("written");
            assert_eq!(digest_of(&store), machine.state.digest());
        }
        checkpoint(&mut machine.state, &store);
        assert_eq!(digest_of(&store), machine.state.digest());
    }
    let blocks = store.keys().iter().filter(|key| key[0] == b'J').count();
    // One, one and then two segments per product: 40, 40 and 40 more, 16 to a block.
    let segments: usize = products.iter().map(|id| machine.state.ledger_homes(*id).len()).sum();
    assert_eq!((blocks, segments), (9, 120));
    let reopened = State::open(&store).expect("opened");
    for id in products {
        assert_eq!(reopened.ledger_homes(id), machine.state.ledger_homes(id));
        let homes = reopened.ledger_homes(id);
        let stored: Vec<_> = (0..)
            .zip(homes.iter())
            .flat_map(|(n, home)| read_ledger(&store, id, n, *home).expect("readable"))
            .chain(reopened.ledger(id).map(|(_, row)| row))
            .collect();
        assert_eq!(stored.len() as u64, reopened.ledger_rows(id).expect("a product"));
        assert!(stored.is_sorted_by_key(|row| row.position));
    }
}

#[test]
fn an_opened_state_behaves_like_one_that_never_stopped() {
    let mut machine = Machine::default();
    machine.product("1", 10);
    let paid = machine.place(mock_order(&[(1, 1)]));
    let keyed_order = machine.place(keyed("k", &[(1, 1)]));
    let store = MemoryStore::new();
    checkpoint(&mut machine.state, &store);
    machine.state = State::open(&store).expect("opened");
    assert_eq!(machine.claim(&[paid]), [paid]);
    assert_eq!(machine.settle(paid, 1, Verdict::Succeeded), 1);
    let again = machine.run(Command::PlaceOrder(keyed("k", &[(1, 1)])));
    assert_eq!(again, Outcome::Replayed(keyed_order));
    machine.seq -= 1;
    assert_eq!(machine.run(Command::Tick), Outcome::Ignored, "sessions are stored too");
    assert_eq!(machine.place(order(&[(1, 1)])), OrderId(3));
    assert_eq!(machine.product("1", 1), ProductId(2));
    machine.state.check_invariants().expect("sound");
}

#[test]
fn evicted_orders_are_listed_refused_and_read() {
    let mut machine = Machine::default();
    machine.product("1", 1_000);
    let store = MemoryStore::new();
    machine.state.set_resident_chunks_max(1);
    for n in 0..200 {
        let id = machine.place(PlaceOrder { user: user_id(n % 2), ..mock_order(&[(1, 1)]) });
        machine.claim(&[id]);
        machine.settle(id, 1, Verdict::Succeeded);
    }
    let last = machine.place(order(&[(1, 1)]));
    let stored = machine.order(OrderId(7));
    let digest = machine.state.digest();
    checkpoint(&mut machine.state, &store);
    assert_eq!(machine.state.resident_chunks(), 1);
    assert_eq!(machine.state.digest(), digest);
    assert_eq!(machine.state.order(OrderId(7)), OrderLookup::Stored);
    assert_eq!(machine.state.order_status(OrderId(7)), Some(Status::Paid));
    assert_eq!(read_order(&store, OrderId(7)).expect("readable"), Some(stored));
    assert_eq!(read_order(&store, last).expect("readable"), Some(machine.order(last)));
    for absent in [0, 202, 256, 257, u64::MAX] {
        assert_eq!(read_order(&store, OrderId(absent)).expect("readable"), None);
    }
    let refusal = Rejection::NotCancellable { order: OrderId(7), status: Status::Paid };
    assert_eq!(machine.run(cancel(OrderId(7))), Outcome::Rejected(refusal));
    assert_eq!(machine.settle(OrderId(7), 1, Verdict::Succeeded), 0);
    assert_eq!(machine.claim(&[OrderId(7)]), []);
    let filter =
        OrderFilter { user: user_id(1), status: Some(Status::Paid), ..OrderFilter::default() };
    let page = machine.state.list_orders(&filter, Page::Number { page: 10, per_page: 10 });
    assert_eq!((page.total, page.ids.last()), (Some(100), Some(&OrderId(2))));
    machine.state.check_invariants().expect("sound");
    let mut reopened = State::open(&store).expect("opened");
    reopened.set_resident_chunks_max(1);
    assert_eq!(reopened.digest(), digest);
    assert_eq!(reopened.order(OrderId(7)), OrderLookup::Stored);
}

#[test]
fn entries_applied_after_a_freeze_do_not_change_it() {
    let log = busy_log(100);
    let store = MemoryStore::new();
    let mut state = State::new();
    replay(&mut state, &log[..100]);
    let digest = state.digest();
    let frozen = state.freeze();
    replay(&mut state, &log);
    let written = frozen.write(&store).expect("written");
    state.release(&written);
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!((reopened.applied_index(), reopened.digest()), (100, digest));
    checkpoint(&mut state, &store);
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.digest(), state.digest());
}

#[test]
fn a_discarded_freeze_loses_nothing() {
    let log = busy_log(100);
    let store = MemoryStore::new();
    let mut state = State::new();
    replay(&mut state, &log[..100]);
    let lost = state.freeze();
    replay(&mut state, &log[..200]);
    drop(state.freeze());
    // The report of the first one arrives after its rows were frozen again: it must release
    // nothing.
    let late = lost.write(&MemoryStore::new()).expect("written elsewhere");
    state.release(&late);
    let third = state.freeze();
    let written = third.write(&store).expect("written");
    state.release(&written);
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.digest(), state.digest());
}

#[test]
fn a_checkpoint_writes_a_row_once_however_often_it_changed() {
    let mut machine = Machine::default();
    machine.product("1", 1_000);
    for _ in 0..10 {
        let id = machine.place(mock_order(&[(1, 1)]));
        machine.claim(&[id]);
        machine.settle(id, 1, Verdict::Succeeded);
    }
    let written = machine.state.freeze().write(&MemoryStore::new()).expect("written");
    // The open chunk, the product with its last ledger rows, the newest events, the meta row; 31
    // ledger rows fill no segment.
    assert_eq!(written.rows(), 4);
    let mut quiet = State::new();
    quiet.apply(1, 1, &[], &mut Unobserved).expect("raft's own entry");
    let written = quiet.freeze().write(&MemoryStore::new()).expect("written");
    assert_eq!(written.rows(), 1);
    assert_eq!(quiet.position(), Position::new(1, 0));
}

#[test]
fn damage_to_any_row_is_found() {
    let log = busy_log(150);
    let mut state = State::new();
    replay(&mut state, &log);
    let store = MemoryStore::new();
    checkpoint(&mut state, &store);
    let mut kinds = std::collections::BTreeSet::new();
    for key in store.keys() {
        kinds.insert(key[0]);
        for at in [0, 4, 5] {
            assert!(store.damage(&key, |row| row[at] ^= 0x40));
            let error = State::open(&store).expect_err("damaged");
            assert!(matches!(error, open::Error::Row { .. }), "{error}");
            store.damage(&key, |row| row[at] ^= 0x40);
        }
        // A missing row, or one from nowhere.
        let mut lost = Vec::new();
        store.damage(&key, |row| lost = row.clone());
        store.publish(vec![(key.clone(), None)]).expect("removed");
        match State::open(&store) {
            Err(_) => {}
            Ok(state) => assert_eq!((&key[..], state.applied_index()), (&b"meta"[..], 0)),
        }
        store.publish(vec![(key.clone(), Some(lost))]).expect("put back");
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), b"ABEFHJMSUWaefhmw");
    State::open(&store).expect("whole again");
    store.damage(b"meta", |row| row[4] = 9);
    State::open(&store).expect_err("a version of the future");
}

#[test]
fn a_hundred_thousand_orders_come_back_from_sled() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SledStore::open(&directory.path().join("state")).expect("opened");
    let mut machine = Machine::default();
    // Few products and users, so that their lists of orders are long and counted.
    for _ in 0..20 {
        machine.product("3.33", 1_000_000);
    }
    machine.state.set_resident_chunks_max(64);
    let batch = 2_000;
    for round in 0..50_u64 {
        machine.now += 100;
        let first = round * batch + 1;
        let place = |n: u64| {
            let key = Some(format!("order-{n}").into());
            let user = user_id(n % 10);
            Command::PlaceOrder(PlaceOrder { key, user, ..mock_order(&[(n % 20 + 1, 1)]) })
        };
        machine.run_all((first..first + batch).map(place).collect());
        let tasks: Vec<_> = (first..first + batch).map(|id| (OrderId(id), 1)).collect();
        machine.run(claim(1, tasks.clone()));
        let results = tasks
            .iter()
            .filter(|(id, _)| id.0 % 10_000 != 0)
            .map(|&(order, attempt)| {
                let verdict = if order.0 % 5 == 0 { declined() } else { Verdict::Succeeded };
                engine::command::PaymentResult { order, attempt, verdict }
            })
            .collect();
        machine.run(Command::SettlePayments(engine::command::SettlePayments { results }));
        if round % 10 == 9 {
            checkpoint(&mut machine.state, &store);
        }
        machine.recorder.outcomes.clear();
        machine.recorder.events.clear();
        machine.log.iter_mut().for_each(Vec::clear);
    }
    machine.state.check_invariants().expect("sound");
    let digest = machine.state.digest();
    // Of the 313 chunks of the last checkpoint, some are evicted only with the next orders.
    assert!(machine.state.resident_chunks() <= 128, "{}", machine.state.resident_chunks());
    drop(store);
    let store = SledStore::open(&directory.path().join("state")).expect("opened again");
    let mut reopened = State::open(&store).expect("opened");
    assert_eq!(reopened.digest(), digest);
    assert_eq!(reopened.totals(), machine.state.totals());
    assert_eq!(reopened.open_orders(), 10);
    for state in [&reopened, &machine.state] {
        let filter = OrderFilter {
            product: Some(ProductId(6)),
            status: Some(Status::Failed),
            ..OrderFilter::default()
        };
        let page = state.list_orders(&filter, Page::Number { page: 200, per_page: 20 });
        assert_eq!((page.total, page.ids[0]), (Some(5_000), OrderId(20_385)));
    }
    assert_eq!(reopened.order_by_key("order-4711"), Some(OrderId(4711)));
    let read = read_order(&store, OrderId(4711)).expect("readable").expect("stored");
    assert_eq!((read.status, read.key.as_deref()), (Status::Paid, Some("order-4711")));
}

//! The cost of an order in one node's engine as the state grows: apply and checkpoints, without
//! replication and HTTP.
//!
//! `cargo run --profile dist -p benches --bin life -- [ORDERS] [PRODUCTS]` places, claims and pays
//! orders in entries of 256. As on a node, a second thread writes a checkpoint after every 32,768
//! orders. It prints the processor time of both threads per order, and the resident memory. An
//! order is claimed after some later ones were placed, and paid after many, so its row has left the
//! nearest caches by then, as on a node.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use benches::shop::{Orders, Shop};
use engine::checkpoint::{Frozen, Written};
use engine::store::sled::SledStore;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Orders in one entry.
const BATCH: u64 = 256;
/// Orders between two checkpoints.
const CHECKPOINT: u64 = 1 << 15;
/// Orders that are placed between an order and its claim.
const CLAIMED_AFTER: u64 = 1 << 10;
/// Orders that are placed between an order and its payment, at least: a gateway takes a tenth of a
/// second.
const PAID_AFTER: u64 = 1 << 13;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let orders: u64 = numbers.next().unwrap_or(1_000_000);
    let products: u64 = numbers.next().unwrap_or(1_000);
    let rows = (orders / 10).max(CHECKPOINT);

    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = Arc::new(SledStore::open(directory.path()).expect("a new store opens"));
    let (freeze, frozen) = mpsc::sync_channel::<Frozen>(1);
    let (done, written) = mpsc::sync_channel::<(Written, Duration)>(1);
    let writer = std::thread::spawn(move || {
        for frozen in frozen {
            let start = thread_time();
            let written = frozen.write(store.as_ref()).expect("a checkpoint can be written");
            drop(frozen);
            let _ = done.send((written, thread_time() - start));
        }
    });

    let mut shop = Shop::new(products);
    let (mut applied, mut frozen, mut wrote) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut since, mut rest, mut wall) = (0, 0, Instant::now());
    let mut writing = false;
    println!("orders apply_us freeze_us checkpoint_us resident_mib wall_s");
    while shop.orders() < orders {
        let mut payloads = vec![shop.place(BATCH, Orders::SIMPLE)];
        let newest = shop.orders();
        if let Some(last @ 1..) = newest.checked_sub(CLAIMED_AFTER) {
            payloads.push(shop.claim(last - BATCH + 1, last));
        }
        if let Some(last @ 1..) = newest.checked_sub(2 * PAID_AFTER) {
            // Gateways answer in no order, so each batch has orders from a wide range.
            let (stretch, step) = ((last - 1) / PAID_AFTER * PAID_AFTER, PAID_AFTER / BATCH);
            let first = stretch + (last - 1) % PAID_AFTER / BATCH + 1;
            payloads.push(shop.settle((first..).step_by(step as usize).take(BATCH as usize)));
        }
        let start = thread_time();
        for payload in &payloads {
            shop.apply(payload);
        }
        applied += thread_time() - start;
        since += BATCH;
        rest += BATCH;
        if rest >= CHECKPOINT {
            rest = 0;
            let start = thread_time();
            if writing {
                let (written, spent) = written.recv().expect("the writer runs");
                shop.state().release(&written);
                wrote += spent;
            }
            let changed = shop.state().freeze();
            frozen += thread_time() - start;
            freeze.send(changed).expect("the writer runs");
            writing = true;
        }
        if since >= rows {
            let each = |spent: Duration| spent.as_secs_f64() * 1e6 / since as f64;
            println!(
                "{} {:.2} {:.2} {:.2} {} {:.1}",
                shop.orders(),
                each(applied),
                each(frozen),
                each(wrote),
                resident_mib(),
                wall.elapsed().as_secs_f64(),
            );
            (applied, frozen, wrote) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            (since, wall) = (0, Instant::now());
        }
    }
    drop(freeze);
    drop(written);
    writer.join().expect("the writer ends");
}

/// The processor time that this thread has used.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of this process.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

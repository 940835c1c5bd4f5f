//! The offline check: sound data is called sound, a running node's is refused, and damage in each
//! kind of file is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::command::{Command, CreateProduct, PlaceOrder};
use engine::ids::{NodeId, ProductId, Quantity};
use engine::layout::Added;
use engine::money::Money;
use engine::order::{Line, PaymentMethod};
use engine::trace::TraceId;
use raft_node::payment::{SimulatedGateway, SimulatedSettings};
use raft_node::verify::{Error, Notebook, Report, verify};
use raft_node::{Config, Node, Peer};
use tokio::time::Instant;

use crate::files::{change, copy};

async fn start(data: &Path) -> Node {
    let mut config = Config::new(NodeId(1), data);
    config.checkpoint_interval_ms = 20;
    config.peers = vec![Peer { id: NodeId(1), raft_addr: "127.0.0.1:0".into(), http_addr: None }];
    let gateway = Arc::new(SimulatedGateway::new(SimulatedSettings::default()));
    Node::start(config, gateway).await.expect("the node starts")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Places orders under the keys of these numbers.
async fn sell(node: &Node, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let order = PlaceOrder {
            user: None,
            hold: None,
            lines: vec![Line { product: ProductId(1), quantity: Quantity(1) }],
            payment_method: PaymentMethod::None,
            key: Some(format!("key-{number}").into()),
            metadata: None,
            payment_attempts_max: 1,
            payment_deadline_ms: 1_000,
            open_orders_max: 1_000_000,
            require_user: false,
            terms: Added::default(),
        };
        let order = Command::PlaceOrder(order);
        node.handle().propose(order, TraceId::NONE, soon()).await.expect("placed");
    }
}

/// A node that sold for a while and was stopped, in a directory of its own.
async fn sold() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("node");
    let node = start(&data).await;
    let product = CreateProduct {
        name: "Laptop".into(),
        price: Money(99_999),
        stock: 1_000,
        ..CreateProduct::default()
    };
    let product = Command::CreateProduct(product);
    node.handle().propose(product, TraceId::NONE, soon()).await.expect("created");
    sell(&node, 0..200).await;
    let scratch = tempfile::tempdir().expect("a directory");
    let running = verify(&data, scratch.path(), &Notebook::default());
    assert!(matches!(running, Err(Error::Locked(_))), "{running:?}");
    node.stop().await;
    (dir, data)
}

fn check(data: &Path) -> Report {
    let scratch = tempfile::tempdir().expect("a directory");
    verify(data, scratch.path(), &Notebook::default()).expect("nobody uses it")
}

fn count(report: &Report, what: &str) -> u64 {
    let found = report.checks.iter().find(|check| check.what == what);
    found.map_or(0, |check| check.count)
}

fn with_extension(dir: &Path, extension: &str) -> PathBuf {
    let found = fs::read_dir(dir).expect("listed").map(|found| found.expect("listed").path());
    let mut found = found.filter(|path| path.extension().is_some_and(|end| end == extension));
    found.next().expect("there is one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_data_is_sound_and_damage_in_each_kind_of_file_is_named() {
    let (dir, data) = sold().await;
    let before = tree(&data);
    let report = check(&data);
    assert!(report.is_sound() && report.notes.is_empty(), "{report:#?}");
    assert_eq!(count(&report, "orders"), 200, "{report:#?}");
    for what in [
        "identity files",
        "watermarks",
        "log records",
        "log entries",
        "commands",
        "hard states",
        "checkpoint rows",
        "checkpoint digests",
        "checkpoints that their log gives again",
        "states with all invariants",
    ] {
        assert!(count(&report, what) > 0, "{what}: {report:#?}");
    }
    assert_eq!(tree(&data), before, "nothing was changed");

    type Spoil = fn(&Path);
    let cases: [(&str, &str, Spoil); 14] = [
        ("identity, a bit", "identity", |dir| {
            change(&dir.join("identity"), |bytes| bytes[9] ^= 1);
        }),
        ("identity, gone", "identity", |dir| {
            fs::remove_file(dir.join("identity")).expect("removed");
        }),
        ("boot, a bit", "boot", |dir| change(&dir.join("boot"), |bytes| bytes[5] ^= 8)),
        ("boot, gone", "boot", |dir| fs::remove_file(dir.join("boot")).expect("removed")),
        ("watermark, a bit", "watermark", |dir| {
            change(&dir.join("raft/log-1/watermark"), |bytes| bytes[3] ^= 1);
        }),
        ("watermark, gone", "watermark", |dir| {
            fs::remove_file(dir.join("raft/log-1/watermark")).expect("removed");
        }),
        ("log, header", "log-1", |dir| change(&log_file(dir), |bytes| bytes[2] ^= 1)),
        ("log, a bit in the middle", "log-1", |dir| {
            change(&log_file(dir), |bytes| {
                let middle = data_end(bytes) / 2;
                bytes[middle] ^= 4;
            });
        }),
        ("log, a page in the middle", "log-1", |dir| {
            change(&log_file(dir), |bytes| {
                let middle = data_end(bytes) / 2;
                bytes[middle..middle + 4096].fill(0xa5);
            });
        }),
        ("log, the tail", "log-1", |dir| {
            change(&log_file(dir), |bytes| {
                let end = data_end(bytes);
                bytes[end - 2] ^= 1;
            });
        }),
        ("log, the hard state", "log-1", |dir| {
            change(&log_file(dir), |bytes| {
                let key = b"hard_state";
                let at = bytes.windows(key.len()).position(|window| window == key);
                bytes[at.expect("it is there") + key.len() + 2] ^= 1;
            });
        }),
        ("log, gone", "log-1", |dir| {
            fs::remove_dir_all(dir.join("raft/log-1")).expect("removed");
        }),
        ("checkpoint, a page", "state", |dir| {
            change(&dir.join("state/db"), |bytes| {
                let middle = data_end(bytes) / 2;
                bytes[middle..middle + 4096].fill(0x5a);
            });
        }),
        ("checkpoint, cut", "state", |dir| {
            change(&dir.join("state/db"), |bytes| bytes.truncate(bytes.len() / 3));
        }),
    ];
    for (name, named, spoil) in cases {
        let damaged = dir.path().join("damaged");
        copy(&data, &damaged);
        spoil(&damaged);
        let report = check(&damaged);
        println!("{name}: {:#?}", report.damage);
        let named = report.damage.iter().any(|found| found.path.contains(named));
        assert!(named, "{name}: {report:#?}");
        fs::remove_dir_all(&damaged).expect("removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bit_that_matters_of_a_checkpoint_is_noticed_or_makes_no_difference() {
    let (dir, data) = sold().await;
    let length = fs::metadata(data.join("state/db")).expect("there").len();
    let mut noticed = 0;
    for place in 0..24 {
        let damaged = dir.path().join("damaged");
        copy(&data, &damaged);
        let at = usize::try_from(length * place / 24).expect("small");
        change(&damaged.join("state/db"), |bytes| bytes[at] ^= 0x10);
        let report = check(&damaged);
        // What sled keeps no more may be anything; what is called sound is as it was written.
        if report.is_sound() {
            assert_eq!(count(&report, "orders"), 200, "at {at}: {report:#?}");
            assert_eq!(count(&report, "checkpoints that their log gives again"), 1);
        } else {
            assert!(report.damage.iter().all(|found| found.path.contains("state")), "{report:#?}");
            noticed += 1;
        }
        fs::remove_dir_all(&damaged).expect("removed");
    }
    println!("{noticed} of 24 places are read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_another_time_is_noticed_and_none_is_worth_a_note() {
    let (dir, data) = sold().await;
    let old = dir.path().join("old");
    copy(&data, &old);
    let node = start(&data).await;
    sell(&node, 200..250).await;
    node.stop().await;
    assert!(check(&data).is_sound());
    for (part, named) in [("raft", "raft"), ("state", "state")] {
        let mixed = dir.path().join("mixed");
        copy(&data, &mixed);
        fs::remove_dir_all(mixed.join(part)).expect("removed");
        copy(&old.join(part), &mixed.join(part));
        let report = check(&mixed);
        let found = report.damage.iter().any(|found| found.path.contains(named));
        assert!(found, "an older {part}: {report:#?}");
        fs::remove_dir_all(&mixed).expect("removed");
    }
    // Without a checkpoint the log alone is enough.
    fs::remove_dir_all(data.join("state")).expect("removed");
    let report = check(&data);
    assert!(report.is_sound() && report.notes.len() == 1, "{report:#?}");
    assert!(count(&report, "committed entries that apply") > 250, "{report:#?}");
}

#[test]
fn only_data_directories_are_checked() {
    let dir = tempfile::tempdir().expect("a directory");
    let checked = verify(dir.path(), dir.path(), &Notebook::default());
    assert!(matches!(checked, Err(Error::NoData(_))), "{checked:?}");
}

fn log_file(dir: &Path) -> PathBuf {
    with_extension(&dir.join("raft/log-1"), "raftlog")
}

/// Where the data of a file ends that may be followed by room for more.
fn data_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// All files below a directory with their contents.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => found.push((path.clone(), fs::read(&path).expect("read"))),
        }
    }
    found.sort();
    found
}

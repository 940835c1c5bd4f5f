//! Damages the files of stopped nodes, and checks that no order was lost.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, Options};
use crate::load::{Load, Record};
use crate::{shop, wait};

/// Starts a cluster, places orders, and returns what it acknowledged.
///
/// # Panics
/// When the cluster does not start or take orders in time.
pub async fn with_orders(options: Options) -> (Cluster, u64, Record) {
    let cluster = options.start().await;
    let mut random = cluster.random(1);
    let product = shop::create_product(cluster.caller(), &mut random, "1.00", 1_000_000).await;
    let load = Load::start(cluster.caller(), cluster.seed(), product, "mock", 8);
    load.progress(400).await;
    let record = load.stop().await;
    (cluster, product, record)
}

/// Checks that the active nodes have every acknowledged order, and equal states.
///
/// # Panics
/// When something is missing or differs.
pub async fn assert_whole(cluster: &Cluster, product: u64, record: &Record) {
    shop::all_settled(cluster.caller(), cluster.active()[0]).await;
    assert_kept(cluster, product, record).await;
}

/// As [`assert_whole`], for orders that may still be open.
///
/// # Panics
/// When something is missing or differs.
pub async fn assert_kept(cluster: &Cluster, product: u64, record: &Record) {
    let active = cluster.active();
    record.assert_kept(cluster.caller(), &active).await;
    cluster.agree().await;
    for &node in &active {
        let total = shop::order_total(cluster.caller(), node, "").await;
        assert_eq!(total, record.acknowledged.len() as u64, "node {node}");
        let data = shop::product(cluster.caller(), node, product).await;
        shop::assert_conserved(&data, 1_000_000);
        let paid = shop::order_total(cluster.caller(), node, "status=PAID").await;
        assert_eq!(data["sold"], paid, "node {node}: {data}");
    }
}

/// The largest file below a directory; in a log or a store, that file holds the data.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn largest_file(dir: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a node's data can be listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push((fs::metadata(&path).expect("a file").len(), path));
            }
        }
    }
    files.into_iter().max().expect("a node with data has files").1
}

/// Where the data of a file ends. Preallocated room may follow it.
#[must_use]
pub fn data_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Waits until the cluster is idle and a node has noted that its log is synced to the end. The node
/// must notice any loss before that note.
///
/// # Panics
/// When that takes too long.
pub async fn quiet(cluster: &Cluster, node: u64) {
    shop::all_settled(cluster.caller(), node).await;
    let note = cluster.data_dir(node).join("raft/log-1/watermark");
    wait::until("the node noted how far its log is", wait::READY, async || {
        let applied = shop::count(&cluster.view(node).await, "applied_index");
        // The note begins with the index, in little-endian order.
        let bytes = fs::read(&note).unwrap_or_default();
        let noted = bytes.first_chunk::<8>().map_or(0, |index| u64::from_le_bytes(*index));
        if noted >= applied { Ok(()) } else { Err(format!("{noted} of {applied}")) }
    })
    .await;
}

/// Changes a file of a node that is down.
///
/// # Panics
/// When it cannot be read or written.
pub fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a stopped node's file can be read");
    change(&mut bytes);
    fs::write(path, bytes).expect("a stopped node's file can be written");
}

/// Copies a directory and everything in it.
///
/// # Panics
/// When something cannot be read or written.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("a directory can be listed") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}

/// All files below a directory with their contents, by name.
///
/// # Panics
/// When something cannot be read.
#[must_use]
pub fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            let bytes = fs::read(&path).expect("a file can be read");
            found.insert(path, bytes);
        }
    }
    found
}

/// The ranges of the records in a log file, oldest first. A record is a header of 16 bytes, whose
/// first seven hold the length, then entries and a footer.
#[must_use]
pub fn records(bytes: &[u8]) -> Vec<Range<usize>> {
    const FILE_HEADER: usize = 69;
    let (mut at, end) = (FILE_HEADER, data_end(bytes));
    let mut found = Vec::new();
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>())
        && at < end
    {
        let length = u64::from_be_bytes(*head) >> 8;
        let next = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if length < 16 || next > bytes.len() {
            break;
        }
        found.push(at..next);
        at = next;
    }
    found
}

//! What tests do to the files of nodes that are down, and how they check that nothing was lost.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, Options};
use crate::load::{Load, Record};
use crate::{shop, wait};

/// A cluster that has taken orders, and what it acknowledged.
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

/// Checks that the active nodes have all that was acknowledged, and are the same.
///
/// # Panics
/// When something is missing or differs.
pub async fn assert_whole(cluster: &Cluster, product: u64, record: &Record) {
    shop::all_settled(cluster.caller(), cluster.active()[0]).await;
    assert_kept(cluster, product, record).await;
}

/// The same of orders that may still be open.
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

/// The largest file below a directory: of a log or a store, the one with the data.
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

/// Where the data of a file ends that may be followed by room for more.
#[must_use]
pub fn data_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Waits until nothing is under way and a node has noted that its log is synced to its end: what is
/// lost before that note must be noticed.
///
/// # Panics
/// When that is not so in time.
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

/// Copies a directory with all that is in it.
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

/// Where the records of a file of a node's log are, oldest first: a header of 16 bytes with the
/// record's length in the first seven, then entries and a footer.
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

//! Free loopback ports that stay free while a node is down.
//!
//! A test claims a port with a locked file, so that no other test takes it, not even one in another
//! process or of another build. The operating system unlocks the file when the process ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;
use std::{env, path::PathBuf};

use rand::Rng;

/// Below the range that Linux uses for outgoing connections, so that no connection takes the port
/// of a node while it restarts.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// The locked files of the ports that this process claimed. They stay locked until it ends.
static CLAIMED: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Where the lock files are: in one place for all builds of this user.
fn directory() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    env::temp_dir().join(format!("holdfast-test-ports-{user}"))
}

/// Claims `port` and returns its locked file; `None` if another test has it or something listens.
///
/// # Panics
/// When the lock file cannot be made.
fn claim(port: u16) -> Option<File> {
    let directory = directory();
    fs::create_dir_all(&directory).expect("the directory of lock files can be made");
    let file = File::create(directory.join(port.to_string())).expect("a lock file can be made");
    file.try_lock().ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(file)
}

/// `count` addresses that no other test claims and on which nothing listened a moment ago.
///
/// # Panics
/// When there are no free ports.
pub(crate) fn free(count: usize) -> Vec<SocketAddr> {
    let mut claimed = CLAIMED.lock().expect("no holder of this lock panics");
    let mut random = rand::rng();
    let mut found = Vec::new();
    for _ in 0..10_000 {
        if found.len() == count {
            break;
        }
        let port = random.random_range(RANGE);
        if let Some(file) = claim(port) {
            claimed.push(file);
            found.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
    assert_eq!(found.len(), count, "no free ports in {RANGE:?}");
    found
}

/// How far above its HTTP ports `holdfast dev` takes the ports between its nodes.
const DEV_OFFSET: u16 = 10_000;

/// The first of `count` addresses in a row for `holdfast dev`. No other test claims them or the
/// ports that it takes beside them, and nothing listened there a moment ago.
///
/// # Panics
/// When there are no free ports.
pub(crate) fn for_dev(count: u16) -> SocketAddr {
    let mut claimed = CLAIMED.lock().expect("no holder of this lock panics");
    let mut random = rand::rng();
    for _ in 0..1_000 {
        let first = random.random_range(RANGE.start..RANGE.end - DEV_OFFSET - count);
        let offsets = (0..count).flat_map(|number| [number, number + DEV_OFFSET]);
        let files: Option<Vec<File>> = offsets.map(|offset| claim(first + offset)).collect();
        if let Some(files) = files {
            claimed.extend(files);
            return SocketAddr::from((Ipv4Addr::LOCALHOST, first));
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}")
}

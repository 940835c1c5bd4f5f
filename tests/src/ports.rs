//! Free loopback ports that stay free while a node is down.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use rand::Rng;

/// Below the range that Linux uses for outgoing connections, so that no connection takes the port
/// of a node while it restarts.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Ports handed out by this process; none is handed out twice.
static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// `count` addresses on which nothing listened a moment ago.
///
/// # Panics
/// When there are no free ports.
pub(crate) fn free(count: usize) -> Vec<SocketAddr> {
    let mut taken = TAKEN.lock().expect("no holder of this lock panics");
    let mut random = rand::rng();
    let mut found = Vec::new();
    for _ in 0..10_000 {
        if found.len() == count {
            break;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, random.random_range(RANGE)));
        if !taken.contains(&address.port()) && TcpListener::bind(address).is_ok() {
            taken.push(address.port());
            found.push(address);
        }
    }
    assert_eq!(found.len(), count, "no free ports in {RANGE:?}");
    found
}

/// How far above its HTTP ports `holdfast dev` takes the ports between its nodes.
const DEV_OFFSET: u16 = 10_000;

/// The first of `count` addresses in a row for `holdfast dev`: nothing listened on them a moment
/// ago, nor on the ports that it takes beside them.
///
/// # Panics
/// When there are no free ports.
pub(crate) fn for_dev(count: u16) -> SocketAddr {
    let mut taken = TAKEN.lock().expect("no holder of this lock panics");
    let mut random = rand::rng();
    for _ in 0..1_000 {
        let first = random.random_range(RANGE.start..RANGE.end - DEV_OFFSET - count);
        let offsets = (0..count).flat_map(|number| [number, number + DEV_OFFSET]);
        let ports: Vec<u16> = offsets.map(|offset| first + offset).collect();
        let is_free = |port: &u16| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            !taken.contains(port) && TcpListener::bind(address).is_ok()
        };
        if ports.iter().all(is_free) {
            taken.extend(ports);
            return SocketAddr::from((Ipv4Addr::LOCALHOST, first));
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}")
}

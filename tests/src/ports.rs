//! Free loopback ports that stay free while a node is down.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use rand::Rng;

/// Below the range from which Linux takes the ports of outgoing connections, so that no
/// connection sits on a port while its node is being restarted.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Ports handed out by this process; none is handed out twice.
static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// `count` addresses on which nothing listened a moment ago.
///
/// # Panics
/// When none can be found.
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

/// The first of `count` addresses in a row on which nothing listened a moment ago.
///
/// # Panics
/// When none can be found.
pub(crate) fn consecutive(count: u16) -> SocketAddr {
    let mut taken = TAKEN.lock().expect("no holder of this lock panics");
    let mut random = rand::rng();
    for _ in 0..1_000 {
        let first = random.random_range(RANGE.start..RANGE.end - count);
        let is_free = |port: &u16| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            !taken.contains(port) && TcpListener::bind(address).is_ok()
        };
        if (first..first + count).all(|port| is_free(&port)) {
            taken.extend(first..first + count);
            return SocketAddr::from((Ipv4Addr::LOCALHOST, first));
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}")
}

//! Late packets: a queue of the kernel's packet filter, emptied after a while.
//!
//! A rule sends the packets to a node into the queue of its namespace, and a thread in that
//! namespace releases each packet after its own delay, so that packets also overtake each other. It
//! speaks netlink itself (`nfnetlink_queue`), which kernels without `netem` have. It sees no
//! packet, only numbers of packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The queue to which rules send packets.
pub(super) const QUEUE: u16 = 7;

/// The most waiting packets. More are lost, as in a network.
const WAITING_MAX: u32 = 65_536;

/// How often the thread checks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The bytes of a message before its attributes: `nlmsghdr` and `nfgenmsg`.
const HEAD_BYTES: usize = 20;

/// Numbers of the kernel's interface: kinds of messages, commands and attributes.
const SUBSYSTEM_QUEUE: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM_QUEUE;
const VERDICT: u16 = SUBSYSTEM_QUEUE | 1;
const CONFIG: u16 = SUBSYSTEM_QUEUE | 2;
const CONFIG_COMMAND: u16 = 1;
const CONFIG_PARAMETERS: u16 = 2;
const CONFIG_WAITING_MAX: u16 = 3;
const BIND: u8 = 1;
const COPY_META: u8 = 1;
const PACKET_HEAD: u16 = 1;
const VERDICT_HEAD: u16 = 2;
const ACCEPT: u32 = 1;

/// The queue of one node. Dropping it releases everything.
#[derive(Debug)]
pub struct Late {
    stop: Arc<AtomicBool>,
    delayed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Late {
    /// Delays every packet in the queue of this namespace by a random time in `delay`, from `seed`.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or the kernel has no such queue.
    pub(super) fn begin(
        namespace: &str,
        delay: Range<Duration>,
        seed: u64,
    ) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let delayed = Arc::new(AtomicU64::new(0));
        let (tell, told) = mpsc::channel();
        let path = format!("/var/run/netns/{namespace}");
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&delayed));
        let work = move || {
            let socket = match socket(&path) {
                Ok(socket) => socket,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let _ = tell.send(Ok(()));
            let random = StdRng::seed_from_u64(seed);
            let waiting = BinaryHeap::new();
            Queue { socket, delay, random, waiting }.run(&stopped, &count);
        };
        let thread = std::thread::Builder::new().name("late".to_owned()).spawn(work);
        let thread = Some(thread.map_err(|error| error.to_string())?);
        let late = Self { stop, delayed, thread };
        told.recv().map_err(|error| error.to_string())??;
        Ok(late)
    }

    /// Packets that were delayed so far.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves this thread into a namespace and opens the queue there.
fn socket(path: &str) -> Result<OwnedFd, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let namespace = File::open(path).map_err(|error| failed(&error))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| failed(&error))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kind = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = rustix::net::socket_with(kind.0, kind.1, flags, Some(netlink::NETFILTER))
        .map_err(|error| failed(&error))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0)).map_err(|error| failed(&error))?;
    let mut parameters = [0; 5];
    parameters[4] = COPY_META;
    for (kind, value) in [
        (CONFIG_COMMAND, &[BIND, 0, 0, 0][..]),
        (CONFIG_PARAMETERS, &parameters[..]),
        (CONFIG_WAITING_MAX, &WAITING_MAX.to_be_bytes()[..]),
    ] {
        send(&socket, &message(CONFIG, kind, value)).map_err(|error| failed(&error))?;
    }
    Ok(socket)
}

fn send(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(socket, message, SendFlags::empty(), &kernel).map(drop)
}

/// A request to the kernel about the queue, with one attribute.
fn message(kind: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
    const REQUEST: u16 = 1;
    let attribute_bytes = 4 + value.len();
    let padded = attribute_bytes.next_multiple_of(4);
    let mut bytes = Vec::with_capacity(HEAD_BYTES + padded);
    bytes.extend(u32::try_from(HEAD_BYTES + padded).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender, which the kernel fills in or ignores.
    bytes.extend([0; 8]);
    // Address family and version of the rest.
    bytes.extend([0, 0]);
    bytes.extend(QUEUE.to_be_bytes());
    bytes.extend(u16::try_from(attribute_bytes).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(attribute.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(HEAD_BYTES + padded, 0);
    bytes
}

/// The numbers of the packets in a datagram from the kernel.
fn packets(mut datagram: &[u8]) -> Vec<u32> {
    let mut packets = Vec::new();
    let u16_at = |bytes: &[u8], at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    while datagram.len() >= HEAD_BYTES {
        let length = u32::from_ne_bytes([datagram[0], datagram[1], datagram[2], datagram[3]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < HEAD_BYTES || length > datagram.len() {
            break;
        }
        let (one, rest) = datagram.split_at(length.next_multiple_of(4).min(datagram.len()));
        datagram = rest;
        if u16_at(one, 4) != PACKET {
            continue;
        }
        let mut attributes = &one[HEAD_BYTES..length];
        while attributes.len() >= 4 {
            let bytes = usize::from(u16_at(attributes, 0));
            if bytes < 4 || bytes > attributes.len() {
                break;
            }
            if u16_at(attributes, 2) == PACKET_HEAD && bytes >= 8 {
                let id = [attributes[4], attributes[5], attributes[6], attributes[7]];
                packets.push(u32::from_be_bytes(id));
            }
            attributes = &attributes[bytes.next_multiple_of(4).min(attributes.len())..];
        }
    }
    packets
}

/// The waiting packets of one namespace.
struct Queue {
    socket: OwnedFd,
    delay: Range<Duration>,
    random: StdRng,
    /// Packets by the time of their release.
    waiting: BinaryHeap<Reverse<(Instant, u32)>>,
}

impl Queue {
    /// Runs until it is to stop, and then releases everything.
    fn run(mut self, stop: &AtomicBool, delayed: &AtomicU64) {
        let mut buffer = vec![0; 64 << 10];
        while !stop.load(Ordering::Relaxed) {
            self.wait();
            while let Some(packets) = self.heard(&mut buffer) {
                for packet in packets {
                    let delay = self.random.random_range(self.delay.clone());
                    self.waiting.push(Reverse((Instant::now() + delay, packet)));
                    delayed.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.let_go(Instant::now());
        }
        self.let_go(Instant::now() + self.delay.end);
    }

    /// Waits until there is a datagram or a packet may be released.
    fn wait(&self) {
        let next = self.waiting.peek().map(|Reverse((due, _))| *due);
        let wait = next.map_or(LOOK_EVERY, |due| {
            due.saturating_duration_since(Instant::now()).min(LOOK_EVERY)
        });
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        // The next read reports errors of this call.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&wait));
    }

    /// One datagram, if there is any. The kernel drops what it cannot buffer.
    fn heard(&self, buffer: &mut [u8]) -> Option<Vec<u32>> {
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((bytes, _)) => Some(packets(&buffer[..bytes])),
            Err(Errno::NOBUFS) => Some(Vec::new()),
            Err(_) => None,
        }
    }

    fn let_go(&mut self, until: Instant) {
        while let Some(Reverse((due, packet))) = self.waiting.peek().copied()
            && due <= until
        {
            self.waiting.pop();
            let mut verdict = [0; 8];
            verdict[..4].copy_from_slice(&ACCEPT.to_be_bytes());
            verdict[4..].copy_from_slice(&packet.to_be_bytes());
            // A packet whose connection is gone may be lost.
            let _ = send(&self.socket, &message(VERDICT, VERDICT_HEAD, &verdict));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_among_other_messages_and_attributes() {
        let mut told = message(PACKET, PACKET_HEAD, &[0, 0, 1, 2, 8, 0, 1]);
        told.extend(message(CONFIG, PACKET_HEAD, &[9; 7]));
        told.extend(message(PACKET, PACKET_HEAD + 1, &[9; 7]));
        told.extend(message(PACKET, PACKET_HEAD, &[0, 0, 0, 3, 8, 0, 1]));
        assert_eq!(packets(&told), [258, 3]);
        assert_eq!(packets(&told[..told.len() - 1]), [258], "a truncated one is not a packet");
        assert!(packets(&[7; 40]).is_empty());
    }
}

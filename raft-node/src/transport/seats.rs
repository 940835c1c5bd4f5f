//! How many connections of other nodes may be open: few that have not said who they are, few for
//! each node.
//!
//! When there are too many, the oldest gives way. So a stranger that only occupies seats keeps
//! nobody out: a node needs a millisecond to say who it is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::ids::NodeId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Most connections that have not said who they are.
const UNKNOWN_MAX: usize = 16;
/// Most connections of nodes.
const KNOWN_MAX: usize = 80;
/// Most connections of one node: it has two, and may be opening another of each.
const PER_NODE_MAX: usize = 4;
/// Most connections of nodes that are not members, as far as this node knows.
const OTHERS_MAX: usize = 16;

/// The seats of one listener.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    unknown: VecDeque<Place>,
    known: BTreeMap<NodeId, VecDeque<Place>>,
}

/// One connection. When the sender is dropped, the connection has to end.
#[derive(Debug)]
struct Place {
    number: u64,
    is_member: bool,
    _keep: oneshot::Sender<()>,
}

/// A connection's seat, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    node: Option<NodeId>,
}

impl Seats {
    /// Takes a seat for a new connection. The receiver resolves when the connection must give way.
    pub(super) fn take(self: &Arc<Seats>) -> (Seat, oneshot::Receiver<()>) {
        let (keep, lost) = oneshot::channel();
        let mut taken = self.0.lock();
        taken.last += 1;
        let number = taken.last;
        if taken.unknown.len() >= UNKNOWN_MAX {
            taken.unknown.pop_front();
        }
        taken.unknown.push_back(Place { number, is_member: false, _keep: keep });
        (Seat { seats: Arc::clone(self), number, node: None }, lost)
    }
}

impl Seat {
    /// Moves the connection to the seats of a node. Returns false when there is none left, or when
    /// the connection has to give way already.
    pub(super) fn settle(&mut self, node: NodeId, is_member: bool) -> bool {
        let mut taken = self.seats.0.lock();
        let Some(mut place) = remove(&mut taken.unknown, self.number) else { return false };
        place.is_member = is_member;
        let own = taken.known.entry(node).or_default();
        if own.len() >= PER_NODE_MAX {
            own.pop_front();
        }
        let all = || taken.known.values().flatten();
        let others = all().filter(|place| !place.is_member).count();
        if all().count() >= KNOWN_MAX || (!is_member && others >= OTHERS_MAX) {
            return false;
        }
        taken.known.entry(node).or_default().push_back(place);
        self.node = Some(node);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock();
        match self.node {
            None => drop(remove(&mut taken.unknown, self.number)),
            Some(node) => {
                if let Some(own) = taken.known.get_mut(&node) {
                    drop(remove(own, self.number));
                }
            }
        }
        taken.known.retain(|_, own| !own.is_empty());
    }
}

fn remove(places: &mut VecDeque<Place>, number: u64) -> Option<Place> {
    let at = places.iter().position(|place| place.number == number)?;
    places.remove(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(lost: &mut oneshot::Receiver<()>) -> bool {
        matches!(lost.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn strangers_that_say_nothing_give_way_to_the_next_connection() {
        let seats = Arc::new(Seats::default());
        let mut silent: Vec<_> = (0..UNKNOWN_MAX).map(|_| seats.take()).collect();
        let (mut node, mut lost) = seats.take();
        assert!(is_lost(&mut silent[0].1), "the oldest");
        assert!(!is_lost(&mut silent[1].1));
        assert!(!silent[0].0.settle(NodeId(9), true), "too late");
        assert!(node.settle(NodeId(2), true));
        let _more: Vec<_> = (0..UNKNOWN_MAX).map(|_| seats.take()).collect();
        assert!(!is_lost(&mut lost), "it is not a stranger");
    }

    #[test]
    fn a_node_has_few_connections_and_so_have_strangers() {
        let seats = Arc::new(Seats::default());
        let settle = |node: u64, is_member: bool| {
            let (mut seat, lost) = seats.take();
            seat.settle(NodeId(node), is_member).then_some((seat, lost))
        };
        let mut own: Vec<_> = (0..=PER_NODE_MAX).map(|_| settle(2, true).unwrap()).collect();
        let lost: Vec<bool> = own.iter_mut().map(|(_, lost)| is_lost(lost)).collect();
        assert!(lost[0] && lost[1..].iter().all(|lost| !lost), "the newest ones stay: {lost:?}");
        let others: Vec<_> = (100..200).filter_map(|node| settle(node, false)).collect();
        assert_eq!(others.len(), OTHERS_MAX);
        let members: Vec<_> = (3..200).filter_map(|node| settle(node, true)).collect();
        assert_eq!(members.len(), KNOWN_MAX - OTHERS_MAX - PER_NODE_MAX);
        drop((own, others, members));
        let taken = seats.0.lock();
        assert!(taken.known.is_empty() && taken.unknown.is_empty());
    }
}

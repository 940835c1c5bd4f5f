//! Which requests were applied: every command takes effect at most once per [`RequestId`].
//!
//! It remembers each node's newest boot and the sequence numbers of that boot that were applied, as
//! closed ranges. It never forgets an applied number of the newest boot. With more than
//! [`RANGES_MAX`] ranges it refuses very late numbers instead.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use crate::ids::{NodeId, RequestId};

/// The most ranges per node. Beyond it the lowest gap is closed: its numbers count as applied.
pub(crate) const RANGES_MAX: usize = 4096;

/// The sessions of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Sessions {
    nodes: BTreeMap<NodeId, Session>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Session {
    boot: u64,
    /// Closed, ascending, with at least one missing number between two ranges.
    ranges: Vec<(u64, u64)>,
}

impl Sessions {
    /// Records the request. False when it was applied before or belongs to an earlier boot of its
    /// node.
    pub(crate) fn admit(&mut self, request: RequestId) -> bool {
        let RequestId { node, boot, seq } = request;
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::SessionsForgotten) {
            return true;
        }
        match self.nodes.get_mut(&node) {
            Some(session) if session.boot == boot => session.admit(seq),
            Some(session) if session.boot > boot => false,
            Some(session) => {
                *session = Session { boot, ranges: vec![(seq, seq)] };
                true
            }
            None => {
                self.nodes.insert(node, Session { boot, ranges: vec![(seq, seq)] });
                true
            }
        }
    }
}

impl Session {
    fn admit(&mut self, seq: u64) -> bool {
        // Nearly always the next number of the newest range.
        if let Some((_, last)) = self.ranges.last_mut()
            && last.checked_add(1) == Some(seq)
        {
            *last = seq;
            return true;
        }
        let after = self.ranges.partition_point(|&(first, _)| first <= seq);
        if after > 0 && seq <= self.ranges[after - 1].1 {
            return false;
        }
        let joins_before = after > 0 && self.ranges[after - 1].1.checked_add(1) == Some(seq);
        let joins_after =
            self.ranges.get(after).is_some_and(|&(first, _)| seq.checked_add(1) == Some(first));
        match (joins_before, joins_after) {
            (true, true) => {
                self.ranges[after - 1].1 = self.ranges[after].1;
                self.ranges.remove(after);
            }
            (true, false) => self.ranges[after - 1].1 = seq,
            (false, true) => self.ranges[after].0 = seq,
            (false, false) => {
                self.ranges.insert(after, (seq, seq));
                if self.ranges.len() > RANGES_MAX {
                    self.ranges[1].0 = self.ranges[0].0;
                    self.ranges.remove(0);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn request(boot: u64, seq: u64) -> RequestId {
        RequestId { node: NodeId(1), boot, seq }
    }

    #[test]
    fn a_number_is_admitted_once_and_none_of_an_older_boot() {
        let mut sessions = Sessions::default();
        assert!(sessions.admit(request(2, 1)));
        assert!(!sessions.admit(request(2, 1)));
        assert!(!sessions.admit(request(1, 9)));
        assert!(sessions.admit(request(2, 3)));
        assert!(sessions.admit(request(2, 2)));
        assert!(sessions.admit(RequestId { node: NodeId(2), boot: 1, seq: 1 }));
        assert!(sessions.admit(request(3, 1)), "a newer boot starts afresh");
        assert!(!sessions.admit(request(2, 4)));
        assert!(sessions.admit(request(3, u64::MAX)));
        assert!(!sessions.admit(request(3, u64::MAX)));
    }

    #[test]
    fn too_many_gaps_close_the_lowest() {
        let mut sessions = Sessions::default();
        for i in 0..RANGES_MAX as u64 + 1 {
            assert!(sessions.admit(request(1, 10 + 2 * i)));
        }
        assert_eq!(sessions.nodes[&NodeId(1)].ranges.len(), RANGES_MAX);
        assert!(!sessions.admit(request(1, 11)), "the lowest gap is closed");
        assert!(sessions.admit(request(1, 13)), "the next one is not");
    }

    proptest! {
        #[test]
        fn ranges_tell_the_same_as_a_set(numbers in prop::collection::vec(0_u64..60, 0..200)) {
            let mut sessions = Sessions::default();
            let mut seen = BTreeSet::new();
            for seq in numbers {
                prop_assert_eq!(sessions.admit(request(1, seq)), seen.insert(seq));
                let ranges = &sessions.nodes[&NodeId(1)].ranges;
                prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
        }
    }
}

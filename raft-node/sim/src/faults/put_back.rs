//! Which node's directory may be put back from its copy.

use crate::host::Host;

/// The nodes whose copies may be put back: only where all others remember more than the copy has.
/// Nobody could recognise a copy of a moment ago. One at a time: a node that was put back itself
/// remembers no more.
pub(super) fn may_be_put_back(hosts: &[Host], lost_max: usize) -> Vec<usize> {
    let is_unnoticed = hosts.iter().any(Host::is_put_back);
    if is_unnoticed || hosts.iter().filter(|host| host.is_lost()).count() >= lost_max {
        return Vec::new();
    }
    let is_recognised = |at: &usize| {
        let host = &hosts[*at];
        let mut others = hosts.iter().filter(|other| other.id != host.id && !other.is_lost());
        !host.is_lost() && others.all(|other| host.copy_is_recognised_by(&other.log))
    };
    (0..hosts.len()).filter(is_recognised).collect()
}

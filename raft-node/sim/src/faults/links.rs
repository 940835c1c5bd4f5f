//! The links that a fault cuts. Other files decide when.

use engine::ids::NodeId;

use crate::event::{Event, Mend};
use crate::plan::FaultKind;
use crate::sim::Sim;

pub(super) fn cut(sim: &mut Sim, links: &[(NodeId, NodeId)]) {
    for (from, to) in links {
        sim.net.cut(*from, *to);
    }
}

/// The links that a fault of this kind cuts, in both directions unless it says otherwise. Half of
/// the faults concern the leader.
pub(super) fn links(
    sim: &mut Sim,
    nodes: usize,
    kind: FaultKind,
    leader: usize,
) -> Vec<(NodeId, NodeId)> {
    let node = |at: usize| NodeId(at as u64 + 1);
    let pair = |a: usize, b: usize| [(node(a), node(b)), (node(b), node(a))];
    let all: Vec<(usize, usize)> =
        (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect();
    let victim = match sim.random.percent(50) {
        true => leader,
        false => sim.random.index(nodes),
    };
    let mut order: Vec<usize> = (0..nodes).collect();
    sim.random.shuffle(&mut order);
    let place = |at: usize| order.iter().position(|other| *other == at).unwrap_or(0);
    match kind {
        FaultKind::OneWay => {
            sim.cover.one_way_cuts += 1;
            let inwards = sim.random.percent(50);
            let others = (0..nodes).filter(|other| *other != victim);
            let link = |other| match inwards {
                true => (node(other), node(victim)),
                false => (node(victim), node(other)),
            };
            others.map(link).collect()
        }
        FaultKind::SingleLink => {
            sim.cover.single_links_cut += 1;
            let (a, b) = *sim.random.pick(&all);
            let both = pair(a, b);
            let count = sim.random.between(1, 2) as usize;
            both[..count].to_vec()
        }
        FaultKind::Ring => {
            sim.cover.rings += 1;
            let far = |a: usize, b: usize| {
                let apart = place(a).abs_diff(place(b));
                apart > 1 && apart < nodes - 1
            };
            all.into_iter().filter(|(a, b)| far(*a, *b)).flat_map(|(a, b)| pair(a, b)).collect()
        }
        FaultKind::Split | FaultKind::Bridge => {
            let bridge = kind == FaultKind::Bridge;
            sim.cover.bridges += u64::from(bridge);
            sim.cover.splits += u64::from(!bridge);
            let left = sim.random.between(1, nodes as u64 - 1) as usize;
            // The first of the second half is the bridge.
            let apart = |a: usize, b: usize| {
                let (a, b) = (place(a).min(place(b)), place(a).max(place(b)));
                a < left && b >= left + usize::from(bridge)
            };
            all.into_iter().filter(|(a, b)| apart(*a, *b)).flat_map(|(a, b)| pair(a, b)).collect()
        }
        _ => {
            sim.cover.isolations += 1;
            (0..nodes).filter(|other| *other != victim).flat_map(|b| pair(victim, b)).collect()
        }
    }
}

/// Cuts the links of a random set of nodes one by one, and restores them in another order.
pub(super) fn swizzle(sim: &mut Sim, nodes: usize) {
    sim.cover.swizzles += 1;
    let lasts = sim.fault_lasts();
    for victim in (1..=nodes as u64).map(NodeId) {
        if sim.random.percent(50) {
            let others = (1..=nodes as u64).map(NodeId).filter(|other| *other != victim);
            let links: Vec<_> =
                others.flat_map(|other| [(victim, other), (other, victim)]).collect();
            let cut_at = sim.random.below(lasts);
            let mend_at = lasts + sim.random.below(lasts);
            sim.after(cut_at, Event::Mend(Mend::Cut(links.clone())));
            sim.after(mend_at, Event::Mend(Mend::Links(links)));
        }
    }
}

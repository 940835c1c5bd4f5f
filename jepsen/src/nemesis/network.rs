//! Partitions of all kinds, by packet filters in the namespaces of the nodes.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::choose::some;
use crate::cluster::Cluster;

/// Links that are cut, each in one direction.
#[derive(Debug)]
pub(super) struct Cuts {
    /// From which node to which nothing passes.
    links: Vec<(usize, usize)>,
    flapping: bool,
    is_cut: bool,
    /// Packets that were dropped before the filters were last removed.
    swallowed: u64,
}

pub(super) fn begin(
    name: &str,
    cluster: &Cluster,
    leader: usize,
    random: &mut StdRng,
) -> Result<Cuts, String> {
    let ids = cluster.ids();
    let followers: Vec<usize> = ids.iter().copied().filter(|id| *id != leader).collect();
    let links = match name {
        "halves" => {
            let half = some(&ids, ids.len() / 2, random);
            between(&ids, |one, other| half.contains(&one) != half.contains(&other))
        }
        "minority" => {
            let count = random.random_range(1..=(ids.len() - 1) / 2);
            let few = some(&ids, count, random);
            between(&ids, |one, other| few.contains(&one) != few.contains(&other))
        }
        "bridge" => {
            let middle = ids[random.random_range(0..ids.len())];
            let rest: Vec<usize> = ids.iter().copied().filter(|id| *id != middle).collect();
            let left = some(&rest, rest.len() / 2, random);
            between(&rest, |one, other| left.contains(&one) != left.contains(&other))
        }
        "ring" => {
            let count = ids.len();
            between(&ids, |one, other| {
                let apart = one.abs_diff(other);
                // In a ring of three all are neighbours, so cut one link instead.
                if count <= 3 { apart == count - 1 } else { apart != 1 && apart != count - 1 }
            })
        }
        "isolate-leader" => between(&ids, |one, other| (one == leader) != (other == leader)),
        "one-way" if random.random_bool(0.5) => {
            followers.iter().map(|other| (*other, leader)).collect()
        }
        "one-way" => followers.iter().map(|other| (leader, *other)).collect(),
        "flapping" => {
            let other = followers[random.random_range(0..followers.len())];
            vec![(leader, other), (other, leader)]
        }
        _ => return Err(super::choose::unknown(name)),
    };
    let mut cuts = Cuts { links, flapping: name == "flapping", is_cut: false, swallowed: 0 };
    cuts.cut(cluster)?;
    Ok(cuts)
}

/// All links, in both directions, for which `is_cut` is true.
fn between(ids: &[usize], is_cut: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let pairs = ids.iter().flat_map(|one| ids.iter().map(move |other| (*one, *other)));
    pairs.filter(|(one, other)| one != other && is_cut(*one, *other)).collect()
}

impl Cuts {
    /// The links in the format of the history.
    pub(super) fn shown(&self) -> Value {
        let link = |(from, to): &(usize, usize)| json!([format!("n{from}"), format!("n{to}")]);
        self.links.iter().map(link).collect()
    }

    fn cut(&mut self, cluster: &Cluster) -> Result<(), String> {
        self.is_cut = true;
        self.links.iter().try_for_each(|(from, to)| cluster.net.cut(*from, *to))
    }

    fn heal(&mut self, cluster: &Cluster) -> Result<(), String> {
        self.swallowed += cluster.net.touched();
        self.is_cut = false;
        cluster.net.heal()
    }

    pub(super) fn tick(&mut self, cluster: &Cluster) -> Result<(), String> {
        match (self.flapping, self.is_cut) {
            (false, _) => Ok(()),
            (true, true) => self.heal(cluster),
            (true, false) => self.cut(cluster),
        }
    }

    pub(super) fn end(mut self, cluster: &Cluster) -> Result<Value, String> {
        self.heal(cluster)?;
        Ok(if self.swallowed > 0 { json!({"packets": self.swallowed}) } else { Value::Null })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_go_both_ways() {
        let links = between(&[1, 2, 3], |one, other| (one == 1) != (other == 1));
        assert_eq!(links, [(1, 2), (1, 3), (2, 1), (3, 1)]);
    }
}

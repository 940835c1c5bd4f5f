//! The network: links lose, delay, duplicate, reorder and damage frames. They can be cut in one
//! direction or both.
//!
//! Frames are production's bytes, and production's decoder reads them.

use engine::ids::NodeId;

use super::random::Random;
use crate::time::Time;

/// The quality of the links, in parts per million and microseconds.
#[derive(Clone, Debug)]
pub(super) struct Quality {
    pub(super) loss_ppm: u64,
    pub(super) duplicate_ppm: u64,
    pub(super) damage_ppm: u64,
    pub(super) delay_min_us: u64,
    pub(super) delay_mean_us: u64,
    /// Whether frames may overtake each other, as they do when connections break.
    pub(super) reorders: bool,
}

/// What happens to a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Cut,
    Lost,
    /// Arrives at these times. `damaged` means that a bit is flipped on the way.
    Arrives {
        at: Time,
        again_at: Option<Time>,
        overtakes: bool,
        damaged: bool,
    },
}

#[derive(Debug)]
pub(super) struct Net {
    nodes: usize,
    /// Number of faults that cut the link from one node to another; open at 0.
    cuts: Vec<u32>,
    /// When the last frame of each link arrives.
    last_arrival: Vec<Time>,
    /// The same for parts of snapshots, which have connections of their own; and until when each is
    /// busy sending.
    last_part: Vec<Time>,
    sending_until: Vec<Time>,
    pub(super) quality: Quality,
}

impl Net {
    pub(super) fn new(nodes: usize, quality: Quality) -> Net {
        let links = nodes * nodes;
        let idle = || vec![0; links];
        Net {
            nodes,
            cuts: vec![0; links],
            last_arrival: idle(),
            last_part: idle(),
            sending_until: idle(),
            quality,
        }
    }

    fn link(&self, from: NodeId, to: NodeId) -> usize {
        (from.0 as usize - 1) * self.nodes + (to.0 as usize - 1)
    }

    pub(super) fn cut(&mut self, from: NodeId, to: NodeId) {
        let link = self.link(from, to);
        self.cuts[link] += 1;
    }

    pub(super) fn mend(&mut self, from: NodeId, to: NodeId) {
        let link = self.link(from, to);
        self.cuts[link] = self.cuts[link].saturating_sub(1);
    }

    /// Mends everything. Links are new, so frames delayed in bad times do not delay later ones.
    pub(super) fn mend_all(&mut self) {
        self.cuts.fill(0);
        for times in [&mut self.last_arrival, &mut self.last_part, &mut self.sending_until] {
            times.fill(0);
        }
    }

    /// Decides what happens to a part of a snapshot that is sent now and takes so long to send.
    pub(super) fn send_part(
        &mut self,
        now: Time,
        (from, to): (NodeId, NodeId),
        takes: Time,
        random: &mut Random,
    ) -> Fate {
        let link = self.link(from, to);
        let sent = self.sending_until[link].max(now) + takes;
        std::mem::swap(&mut self.last_arrival[link], &mut self.last_part[link]);
        let fate = self.send(sent, from, to, random);
        std::mem::swap(&mut self.last_arrival[link], &mut self.last_part[link]);
        if !matches!(fate, Fate::Cut) {
            self.sending_until[link] = sent;
        }
        fate
    }

    pub(super) fn delay(&self, random: &mut Random) -> u64 {
        let quality = &self.quality;
        quality.delay_min_us + random.waiting(quality.delay_mean_us)
    }

    /// Decides what happens to a frame that is sent now.
    pub(super) fn send(
        &mut self,
        now: Time,
        from: NodeId,
        to: NodeId,
        random: &mut Random,
    ) -> Fate {
        let link = self.link(from, to);
        if self.cuts[link] > 0 {
            return Fate::Cut;
        }
        if random.ppm(self.quality.loss_ppm) {
            return Fate::Lost;
        }
        let mut at = now + self.delay(random);
        let last = self.last_arrival[link];
        let overtakes = at < last && self.quality.reorders;
        if at < last && !overtakes {
            at = last;
        }
        self.last_arrival[link] = last.max(at);
        let again = random.ppm(self.quality.duplicate_ppm);
        let again_at = again.then(|| at + self.delay(random));
        let damaged = random.ppm(self.quality.damage_ppm);
        Fate::Arrives { at, again_at, overtakes, damaged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_add_up_and_order_is_kept_unless_it_may_break() {
        let quality = Quality {
            loss_ppm: 0,
            duplicate_ppm: 0,
            damage_ppm: 0,
            delay_min_us: 100,
            delay_mean_us: 10_000,
            reorders: false,
        };
        let mut net = Net::new(3, quality);
        let (a, b) = (NodeId(1), NodeId(2));
        net.cut(a, b);
        net.cut(a, b);
        net.mend(a, b);
        let mut random = Random::new(1);
        assert_eq!(net.send(0, a, b, &mut random), Fate::Cut);
        assert!(matches!(net.send(0, b, a, &mut random), Fate::Arrives { .. }));
        net.mend(a, b);
        let arrivals = |net: &mut Net, random: &mut Random| -> Vec<Time> {
            (0..50)
                .map(|now| match net.send(now, a, b, random) {
                    Fate::Arrives { at, .. } => at,
                    fate => panic!("{fate:?}"),
                })
                .collect()
        };
        assert!(arrivals(&mut net, &mut random).is_sorted());
        net.quality.reorders = true;
        assert!(!arrivals(&mut net, &mut random).is_sorted());
    }
}

//! The memory that this process uses, read several times a second and judged against a bound.
//!
//! Linux ends a process that needs more memory than there is, without a word. So the node refuses
//! what needs more while there still is some. This file measures and judges; [`crate::core`]
//! decides what follows. Where nothing is known of the memory, nothing is refused.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Input;
use crate::process_memory::used_bytes;
use crate::shared::Shared;

/// Interval between two readings. Even at full speed a node takes far less than the fifth that is
/// left in that time.
const INTERVAL: Duration = Duration::from_millis(200);

/// Judges what is used against a bound. The way back needs a twentieth less, so the judgement does
/// not flap.
#[derive(Clone, Copy, Debug)]
struct Gauge {
    bytes_max: u64,
    is_full: bool,
}

impl Gauge {
    fn judge(&mut self, used: u64) -> bool {
        let margin = if self.is_full { self.bytes_max / 20 } else { 0 };
        self.is_full = used >= self.bytes_max - margin;
        self.is_full
    }
}

/// Tells the core of each change of the judgement. Ends with the task; with a bound of 0 at once.
pub(crate) async fn watch(shared: Arc<Shared>, bytes_max: u64) {
    shared.counters.memory_max_bytes.set(bytes_max);
    if bytes_max == 0 {
        return;
    }
    let node = shared.node().0;
    let mut gauge = Gauge { bytes_max, is_full: false };
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(used) = used_bytes() else { return };
        let was_full = gauge.is_full;
        match (was_full, gauge.judge(used)) {
            (false, true) => tracing::error!(
                node,
                memory_bytes = used,
                memory_bytes_max = bytes_max,
                "memory is nearly used up: the node refuses writes that add rows"
            ),
            (true, false) => tracing::warn!(
                node,
                memory_bytes = used,
                "there is memory again: the node takes writes that add rows"
            ),
            _ => continue,
        }
        shared.send(Input::MemoryFull(gauge.is_full));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_needs_a_twentieth_less() {
        let mut gauge = Gauge { bytes_max: 1_000, is_full: false };
        for (used, is_full) in
            [(999, false), (1_000, true), (951, true), (950, true), (949, false), (999, false)]
        {
            assert_eq!(gauge.judge(used), is_full, "{used}");
        }
    }
}

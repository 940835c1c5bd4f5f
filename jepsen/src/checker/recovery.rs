//! Recovery: after every fault all nodes return, and none refuses its own data.

use super::verdict::{Checker, Judgement};
use crate::history::History;

/// The phase of a fault's event that names the nodes that did not return.
pub const LOST: &str = "lost";

/// In the effect of a fault: why the cluster did not cope with it while it was on.
pub const STUCK: &str = "stuck";

/// Checks what the nemesis recorded about nodes that did not return.
///
/// A node that finds its own log truncated must refuse to start, and does. That only kills and
/// power cuts truncated it breaks the promise that acknowledged writes are durable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery;

impl Checker for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn promise(&self) -> &'static str {
        "all nodes return when a fault is healed"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let (mut healed, mut lost) = (0, 0);
        for fault in &history.faults {
            match fault.value["phase"].as_str() {
                Some(LOST) => {
                    lost += 1;
                    judgement.invalid(format!("after {}: {}", fault.f, fault.value["said"]));
                }
                Some("end") => {
                    healed += 1;
                    let effects = &fault.value["effect"];
                    let each =
                        effects.as_array().map_or(std::slice::from_ref(effects), Vec::as_slice);
                    for effect in each.iter().filter(|effect| effect.get(STUCK).is_some()) {
                        judgement.invalid(format!("{}: {}", fault.f, effect[STUCK]));
                    }
                }
                _ => {}
            }
        }
        judgement.note(format!("{} of {healed} faults healed", healed - lost.min(healed)));
        judgement
    }
}

//! Recovery: after every fault all nodes come back, none refuses the data that it was left with.

use super::verdict::{Checker, Judgement};
use crate::history::History;

/// The phase of a fault's event that says which nodes did not come back, by the names of the nodes.
pub const LOST: &str = "lost";

/// What the effect of a fault says when the cluster did not cope with it while it was on: why.
pub const STUCK: &str = "stuck";

/// Checks what the nemesis said about nodes that did not come back.
///
/// A node that finds its own log cut short must refuse to start, and does. That it was cut short,
/// by nothing but kills and power cuts, breaks the promise that what was acknowledged is durable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery;

impl Checker for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn promise(&self) -> &'static str {
        "all nodes come back when a fault is healed"
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

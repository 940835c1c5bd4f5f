//! Checkers: each judges a recorded history against one promise.
//!
//! A checker sees only the history: no cluster, no log. What it cannot decide it reports as
//! unknown, and a history with too little in it as empty. Neither is a pass.

mod availability;
mod conservation;
mod durability;
mod enough;
mod keys;
mod linearizability;
mod recovery;
mod transitions;
mod verdict;

pub use availability::Availability;
pub use conservation::Conservation;
pub use durability::Durability;
pub use enough::Enough;
pub use keys::Keys;
pub use linearizability::Linearizability;
pub use recovery::{LOST, Recovery, STUCK};
pub use transitions::Transitions;
pub use verdict::{Checker, Judgement, Verdict};

/// All checkers, the fast ones first.
#[must_use]
pub fn all(enough: Enough, search: Linearizability) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(enough),
        Box::new(Keys),
        Box::new(Conservation),
        Box::new(Durability),
        Box::new(Transitions),
        Box::new(Availability::default()),
        Box::new(Recovery),
        Box::new(search),
    ]
}

//! Commands under an idempotency key that is in no row of theirs.

use crate::apply::context::Context;
use crate::command::Keyed;
use crate::keyed::Did;
use crate::outcome::{Outcome, Rejection};
use crate::state::State;

impl State {
    /// Executes a command, unless its key has done so before. A refusal does not use the key up.
    pub(crate) fn keyed(
        &mut self,
        cx: &mut Context<'_>,
        keyed: Keyed,
    ) -> Result<Outcome, Rejection> {
        let Keyed { name, meaning, command } = keyed;
        if let Some(kept) = self.keyed.get(name) {
            return match kept.meaning == meaning {
                true => Ok(Outcome::Repeated(Box::new(kept.did.outcome()))),
                false => Err(Rejection::KeyReused),
            };
        }
        let outcome = self.run(cx, command.into(), None)?;
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::KeyedForgotten) {
            return Ok(outcome);
        }
        let did = Did::of(&outcome).expect("a command that may have a key has such an outcome");
        self.keyed.push(name, meaning, did, &mut self.hasher);
        Ok(outcome)
    }

    /// How many keys are remembered of commands whose rows have none.
    pub fn keyed_results(&self) -> usize {
        self.keyed.len()
    }

    /// Whether a command was executed under this key, and is remembered.
    pub fn is_keyed(&self, name: u128) -> bool {
        self.keyed.get(name).is_some()
    }
}

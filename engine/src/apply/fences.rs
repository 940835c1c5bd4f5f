//! Fencing keys, so that a caller can resolve an unknown outcome.

use crate::apply::context::Context;
use crate::apply::plan::check_key;
use crate::command::FenceKey;
use crate::fence::{Fence, KeyState};
use crate::keys::{KeyHash, Scope, Used};
use crate::outcome::{Outcome, Rejection};
use crate::state::State;

impl State {
    /// Fences an unused key for ever; answers a used one with its order.
    pub(crate) fn fence_key(
        &mut self,
        cx: &mut Context<'_>,
        command: FenceKey,
    ) -> Result<Outcome, Rejection> {
        check_key(Some(&command.key))?;
        match self.key_state(&command.key) {
            KeyState::Applied(order) => return Ok(Outcome::KeyApplied(order)),
            KeyState::Fenced => return Ok(Outcome::KeyFenced { already: true }),
            KeyState::Unused => {}
        }
        self.keys.insert(KeyHash::of(Scope::Order, &command.key), Used::FENCED);
        self.fences.push(Fence {
            id: self.fences.len() + 1,
            key: command.key,
            trace: cx.trace.clone(),
            position: cx.position,
            at: cx.at,
        });
        self.totals.keys_fenced += 1;
        Ok(Outcome::KeyFenced { already: false })
    }

    /// The state of an idempotency key of orders.
    pub fn key_state(&self, key: &str) -> KeyState {
        match self.keys.get(KeyHash::of(Scope::Order, key)) {
            None => KeyState::Unused,
            Some(used) => used.order().map_or(KeyState::Fenced, KeyState::Applied),
        }
    }
}

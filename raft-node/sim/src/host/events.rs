//! The duty that serves subscribers: pages of events, from memory or from the checkpoint.

use engine::checkpoint;
use engine::event::{Event as Told, EventPage};

use super::*;
use crate::event::{Heard, Wanted};

impl Host {
    /// Takes a subscriber's request.
    pub(crate) fn followed(&mut self, sim: &mut Sim, wanted: Wanted) {
        let Some(process) = &self.up else {
            return sim.tell(wanted, Heard::HungUp);
        };
        let index = process.state.applied_index();
        match process.state.events_after(wanted.after, wanted.limit) {
            EventPage::Events(events) => self.tell_page(sim, wanted, events, index),
            EventPage::Gone { floor } => {
                let plan = (sim.plan.events_kept_max, sim.plan.events_kept_ms);
                let (gone, known) = sim.oracle.gone_at(index, plan.0, plan.1);
                if floor != known || wanted.after >= floor {
                    sim.fail(format!(
                        "node {}: {floor} is gone after {} at index {index}, by the model {known}",
                        self.id, wanted.after
                    ));
                }
                sim.tell(wanted, Heard::Gone { floor, gone });
            }
            EventPage::Stored { chunk } => {
                // Meanwhile the applier and the checkpointer go on, sometimes for long.
                let mut delay = self.disk_us(sim, sim.plan.disk.write_us);
                if sim.random.percent(20) {
                    delay += sim.random.below(5 * SECOND);
                }
                self.after(sim, delay, Duty::ReadEvents { wanted, chunk });
            }
        }
    }

    /// Completes a read of a chunk from the checkpoint.
    pub(super) fn read_events(&mut self, sim: &mut Sim, wanted: Wanted, chunk: u64) {
        let Some(process) = &self.up else { return };
        let index = process.state.applied_index();
        match checkpoint::read_events(&*self.store, chunk) {
            Ok(Some(events)) => {
                sim.cover.events_read_from_store += 1;
                let after = events.into_iter().filter(|event| event.id() > wanted.after);
                let events: Vec<Told> = after.take(wanted.limit).collect();
                self.tell_page(sim, wanted, events, index);
            }
            Ok(None) => {
                sim.cover.events_gone_while_read += 1;
                let page = process.state.events_after(wanted.after, wanted.limit);
                if !matches!(page, EventPage::Gone { .. }) {
                    sim.fail(format!("node {}: chunk {chunk} is not there: {page:?}", self.id));
                }
                self.followed(sim, wanted);
            }
            Err(error) => sim.fail(format!("node {}: chunk {chunk}: {error}", self.id)),
        }
    }

    /// Checks an empty page: it says that there are no newer events, so it must not come from a
    /// node that has some.
    fn tell_page(&self, sim: &mut Sim, wanted: Wanted, events: Vec<Told>, index: u64) {
        let (told, _) = sim.oracle.told_at(index);
        let newest = told.checked_sub(1).map(|last| sim.oracle.events[last].id());
        if events.is_empty() && newest.is_some_and(|newest| newest > wanted.after) {
            sim.fail(format!(
                "node {} has nothing to tell after {} at index {index}, but {newest:?} was told",
                self.id, wanted.after
            ));
        }
        sim.tell(wanted, Heard::Events(events));
    }
}

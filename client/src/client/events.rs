//! Subscribing to events.

use super::Client;
use crate::events::EventStream;
use crate::query::EventQuery;

impl Client {
    /// `GET /events`: subscribes to events, from whichever node answers. Sends nothing before the
    /// first call of a method of the stream.
    #[must_use]
    pub fn events(&self, query: &EventQuery) -> EventStream {
        EventStream::new(self.inner.clone(), self.scope.clone(), query)
    }
}

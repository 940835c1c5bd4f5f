//! The payment tasks by the moment from which they may be claimed: one schedule for each kind of
//! gateway, so that tasks of one never hide those of another.

use crate::ids::{OrderId, Timestamp};
use crate::order::PaymentMethod;
use crate::schedule::Schedule;

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    mock: Schedule<OrderId>,
    gateway: Schedule<OrderId>,
}

impl Tasks {
    /// The tasks of orders with this payment method, which must be one of the worker's.
    pub(crate) fn of(&self, method: PaymentMethod) -> &Schedule<OrderId> {
        match method {
            PaymentMethod::Gateway => &self.gateway,
            _ => &self.mock,
        }
    }

    fn of_mut(&mut self, method: PaymentMethod) -> &mut Schedule<OrderId> {
        debug_assert!(method.has_worker(), "{method:?} has no tasks");
        match method {
            PaymentMethod::Gateway => &mut self.gateway,
            _ => &mut self.mock,
        }
    }

    /// Adds a task, which must be new.
    pub(crate) fn insert(&mut self, method: PaymentMethod, due: Timestamp, id: OrderId) {
        self.of_mut(method).insert(due, id);
    }

    /// Removes a task, which must exist.
    pub(crate) fn remove(&mut self, method: PaymentMethod, due: Timestamp, id: OrderId) {
        self.of_mut(method).remove(due, id);
    }

    /// The earliest moment.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.mock.next().into_iter().chain(self.gateway.next()).min()
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.mock.len() + self.gateway.len()
    }
}

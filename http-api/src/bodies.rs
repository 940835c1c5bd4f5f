//! How many bytes of request bodies a server keeps in memory at a time.
//!
//! Bytes count as they arrive, until the request is answered. What a client announces and does not
//! send costs nobody anything. There are three shares, so that slow or large bodies of one kind
//! never keep out those of another: batches, single requests, and what operators and payment
//! providers send.

use std::sync::Arc;

use client::wire::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// Whose share of the memory a body uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Batches: half of it.
    Batches,
    /// Single requests of clients: two fifths.
    Clients,
    /// Operators and payment providers: one tenth.
    Operators,
}

impl Share {
    /// The bytes of this share.
    pub(crate) fn of(self, bytes: usize) -> usize {
        match self {
            Share::Batches => bytes / 2,
            Share::Clients => bytes / 5 * 2,
            Share::Operators => bytes / 10,
        }
    }
}

/// The bytes that are left in each share.
#[derive(Debug)]
pub(crate) struct Bodies {
    batches: Arc<Semaphore>,
    clients: Arc<Semaphore>,
    operators: Arc<Semaphore>,
}

impl Bodies {
    /// Shares of this many bytes.
    pub(crate) fn new(bytes: usize) -> Bodies {
        let left = |share: Share| Arc::new(Semaphore::new(share.of(bytes)));
        Bodies {
            batches: left(Share::Batches),
            clients: left(Share::Clients),
            operators: left(Share::Operators),
        }
    }

    /// Begins a body, which has no byte yet.
    pub(crate) fn begin(&self, share: Share) -> Taken {
        let left = match share {
            Share::Batches => &self.batches,
            Share::Clients => &self.clients,
            Share::Operators => &self.operators,
        };
        Taken { left: Arc::clone(left), permit: None }
    }
}

/// The bytes of one body. They are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    left: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Taken {
    /// Counts bytes that have arrived.
    ///
    /// # Errors
    /// When the share is used up. The rest of the body is not to be read.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Failure> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.left).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| too_many().closing())?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

/// Why a body is not taken now.
pub(crate) fn too_many() -> Failure {
    let detail = "Too many large requests are being handled; retry later.";
    Failure::new(ErrorCode::Overloaded, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_body_never_keeps_out_another() {
        let bodies = Bodies::new(100);
        let mut batch = bodies.begin(Share::Batches);
        let mut other = bodies.begin(Share::Batches);
        assert!(batch.add(30).is_ok() && batch.add(19).is_ok());
        assert!(other.add(2).is_err() && other.add(1).is_ok(), "half of it is for batches");
        let mut order = bodies.begin(Share::Clients);
        assert!(order.add(40).is_ok() && order.add(1).is_err());
        let mut settlement = bodies.begin(Share::Operators);
        assert!(settlement.add(10).is_ok() && settlement.add(1).is_err());
        drop(batch);
        assert!(other.add(49).is_ok(), "what was dropped is given back");
        assert!(other.add(usize::MAX).is_err());
    }
}

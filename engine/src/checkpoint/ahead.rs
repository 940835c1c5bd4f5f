//! Reading ahead: one thread decodes and checks rows while another restores them.
//!
//! The engine starts no threads. The caller that opens a checkpoint may provide one. What is read,
//! and in which order it is taken, is the same with and without.

use crate::checkpoint::read::Error;

/// Passes an item on; fails when no more are wanted.
pub type Give<'a, T> = &'a mut dyn FnMut(T) -> Result<(), Error>;

/// How items get from the code that makes them to the code that takes them.
pub trait ReadAhead {
    /// Runs `make`, and `take` with each item that it gives, in order. An error of `take` ends
    /// both.
    ///
    /// # Errors
    /// That of `take`, else that of `make`.
    fn run<T: Send>(
        &self,
        make: impl FnOnce(Give<'_, T>) -> Result<(), Error> + Send,
        take: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// Takes each item as soon as it is made, on the same thread.
#[derive(Clone, Copy, Debug)]
pub struct Inline;

impl ReadAhead for Inline {
    fn run<T: Send>(
        &self,
        make: impl FnOnce(Give<'_, T>) -> Result<(), Error> + Send,
        mut take: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        make(&mut take)
    }
}

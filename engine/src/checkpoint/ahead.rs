//! Reading ahead: who decodes and checks rows while others are put in their places.
//!
//! The engine starts no threads. Whoever opens a checkpoint may bring one: what is read, and in
//! which order it is taken, is the same with and without.

use crate::checkpoint::read::Error;

/// Hands over what was made; fails when nothing more is wanted.
pub type Give<'a, T> = &'a mut dyn FnMut(T) -> Result<(), Error>;

/// How things that are made one after the other come to whoever takes them.
pub trait ReadAhead {
    /// Runs `make`, and `take` with each thing that it gives, in that order. What `take` fails with
    /// ends both and is what is told.
    ///
    /// # Errors
    /// What `take` fails with, else what `make` fails with.
    fn run<T: Send>(
        &self,
        make: impl FnOnce(Give<'_, T>) -> Result<(), Error> + Send,
        take: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

/// Takes each thing as soon as it is made.
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

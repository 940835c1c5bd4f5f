//! The data directory of a node: whose it is, and how one takes the place of another.
//!
//! [`identity`] says which node of which cluster owns a directory, [`rebuild`] makes a damaged one
//! that of a new member, `stage` exchanges a whole directory so that a crash leaves the old one or
//! the new one. What they write goes through `durable`.

pub(crate) mod durable;
pub(crate) mod history;
pub mod identity;
pub mod rebuild;
pub(crate) mod stage;

pub use self::durable::Error;
pub use self::history::{Plan, Rebuilt};

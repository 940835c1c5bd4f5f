//! The data directory of a node: who owns it, and how one replaces another.
//!
//! [`identity`] records which node of which cluster owns a directory. [`rebuild`] makes a damaged
//! directory that of a new member. `stage` replaces a whole directory, so that a crash leaves the
//! old one or the new one. All of them write through `durable`.

pub(crate) mod durable;
pub(crate) mod history;
pub mod identity;
pub(crate) mod put_back;
pub mod rebuild;
pub(crate) mod stage;

pub use self::durable::Error;
pub use self::history::{Plan, Rebuilt};

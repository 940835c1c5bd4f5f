//! The sequential model: what API.md says that commands do, one after the other.
//!
//! It is written apart from the engine and shares only its vocabulary (commands, outcomes, events,
//! ids): plain lists and maps, searched from end to end, no indexes, no checkpoints. It keeps every
//! version of every row, so that a test can compare what a node showed at any position. It also
//! keeps the books of API.md section 4 by itself.
//!
//! The engine's property tests and the simulator compare the engine with it. To add a command, add
//! an arm to [`Model::execute`] and a method beside those of its family.

mod apply;
mod audit;
mod batches;
mod books;
mod holds;
mod model;
mod orders;
mod payments;
mod products;
mod refunds;
mod rows;
mod tokens;

pub use self::model::{Model, Predicted};
pub use self::rows::{
    Adjustment, Hold, Key, Movement, Order, Product, Progress, Refund, Report, Request, Term,
    Versions, counters,
};

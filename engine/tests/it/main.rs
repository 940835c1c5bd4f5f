//! The engine from outside: commands in, outcomes, events and rows out.

mod common;

mod checkpoint;
mod model;
mod orders;
mod payments;
mod products;
mod properties;
mod scripts;
mod store;

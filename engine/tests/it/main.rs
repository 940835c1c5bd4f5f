//! The engine from outside: commands in, outcomes, events and rows out.

mod common;

mod orders;
mod payments;
mod products;

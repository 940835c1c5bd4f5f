//! The server over real sockets, with a real node of one behind it.

mod harness;

mod bad_input;
mod fuzz;
mod limits;
mod monitors;
mod orders;
mod products;
mod protocol;
mod races;
mod users;

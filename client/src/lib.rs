//! Typed client of the Holdfast REST API, and the JSON types that go over its wire.
//!
//! [`wire`] owns every JSON body, header name and error code; it does no I/O and is shared with
//! the server, so that both ends change together. Without the default feature `http` it is all
//! that remains of this crate.
//!
//! The crate knows no domain types: the wire format is a promise to the outside, the engine's
//! types are not.

pub mod wire;

//! Tests of the checkers, linked into one program: against recordings and generated histories.

mod linearizability;
mod recordings;

//! The end-to-end tests, linked into one program: a module for each part of the promises.
//!
//! The library of this crate describes the harness and says which module tests what.

mod bad_http;
mod bad_input;
mod batches;
mod bulk;
mod catch_up;
mod damage;
mod events;
mod failed_sync;
mod failover;
mod few_files;
mod formats;
mod full_disk;
mod gateway;
mod holds;
mod identity;
mod large_bodies;
mod lists;
mod members;
mod moved;
mod operations;
mod overload;
mod payment_holes;
mod payments;
mod peer_tls;
mod power_cut;
mod products;
mod put_back;
mod races;
mod races_failover;
mod ramp;
mod rebuild;
mod recovery;
mod scenarios;
mod smoke;
mod stalled_disk;
mod stock;
mod tokens;
mod transitions;
mod webhooks;

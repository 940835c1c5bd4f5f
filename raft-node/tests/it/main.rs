//! Tests of real nodes, linked into one program: real sockets and real disks in one process.

mod cluster;
mod damage;
mod files;
mod links;
mod recovery;
mod snapshots;
mod support;
mod verify;

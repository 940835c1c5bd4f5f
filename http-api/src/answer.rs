//! Making an answer: replies and their headers, rows as they go out, problems, files.

pub(crate) mod compress;
pub(crate) mod download;
pub(crate) mod problem;
pub(crate) mod reply;
pub(crate) mod rows;
pub(crate) mod views;

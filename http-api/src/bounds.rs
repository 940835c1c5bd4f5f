//! Bounds that both a handler and the OpenAPI document name, so that they cannot differ.
//!
//! Bounds of stored fields belong to the engine, and settings to [`crate::Settings`].

/// The largest id, and the largest integer that every JSON reader keeps exactly: 2^53 − 1.
pub(crate) const ID_MAX: u64 = (1 << 53) - 1;

/// The longest idempotency key, in characters.
pub(crate) const KEY_CHARS_MAX: usize = 255;

/// The most members of an order's metadata.
pub(crate) const METADATA_KEYS_MAX: usize = 20;

/// Orders on a numbered page, unless the caller asks for another number.
pub(crate) const PER_PAGE: u64 = 15;
/// The most orders on a numbered page.
pub(crate) const PER_PAGE_MAX: u64 = 50;
/// The most orders, or holds, of a list by cursor.
pub(crate) const LIMIT_MAX: u64 = 1000;
/// Holds in one answer, unless the caller asks for another number.
pub(crate) const HOLDS_DEFAULT: u64 = 100;

/// The most products in one answer.
pub(crate) const LIST_MAX: u64 = 10_000;

/// The most rows of the audit in one answer.
pub(crate) const AUDIT_MAX: u64 = 1000;
/// Rows of the audit in one answer, unless the caller asks for another number.
pub(crate) const AUDIT_DEFAULT: u64 = 100;

/// The most ledger rows in one answer.
pub(crate) const LEDGER_MAX: u64 = 1000;
/// Ledger rows in one answer, unless the caller asks for another number.
pub(crate) const LEDGER_DEFAULT: u64 = 100;

//! A note in a data directory that it was put back from an older copy, as a peer has told.
//!
//! The directory counts as damaged from then on: the node has forgotten votes and acknowledged
//! entries. The note leaves together with the data, when the node is rebuilt.

use std::path::Path;

use super::durable::{Error, read_optional, write_value};

/// The name of the note.
const NOTE: &str = "put-back";

/// Records durably why the data is not what this node wrote last. The first reason stays.
pub(crate) fn record(dir: &Path, reason: &str) -> Result<(), Error> {
    let path = dir.join(NOTE);
    match path.exists() {
        true => Ok(()),
        false => write_value(&path, &reason.to_owned()),
    }
}

/// Checks that nothing of the kind was recorded.
///
/// # Errors
/// [`Error::PutBack`] with the reason.
pub(crate) fn check(dir: &Path) -> Result<(), Error> {
    let path = dir.join(NOTE);
    match read_optional(&path)? {
        Some(reason) => Err(Error::PutBack { path, reason }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_put_back_is_damaged_from_then_on() {
        let dir = tempfile::tempdir().expect("a directory");
        check(dir.path()).expect("nothing is recorded");
        record(dir.path(), "boot 3 is known").expect("recorded");
        record(dir.path(), "another reason").expect("the first one stays");
        let error = check(dir.path()).expect_err("recorded");
        assert!(error.is_damage(), "{error}");
        assert!(error.to_string().contains("boot 3 is known"), "{error}");
    }
}

//! Who lived in a data directory before, and which member a damaged one is to become.

use std::fs;
use std::path::Path;

use bincode::{Decode, Encode};
use engine::ids::NodeId;

use super::durable::{Error, at, read_optional};

/// Holds the [`Plan`] while there is one.
pub(super) const PLAN: &str = "rebuilding";
/// Holds who lived in the directory before.
pub(super) const HISTORY: &str = "rebuilt";

/// A member whose data was damaged, and the one that took its place in the same directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rebuilt {
    /// The member that was.
    pub from: NodeId,
    /// The member in its place.
    pub to: NodeId,
    /// What was wrong.
    pub damage: String,
    /// Where the old data was put, within the data directory. Only the newest are kept.
    pub aside: String,
}

/// What a damaged node asks its cluster for, durable before it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    /// The id of the new member.
    pub to: NodeId,
    /// The random number of its directory.
    pub incarnation: u64,
    /// The member whose place it takes: the old one, or the one whose place the old one had not
    /// taken yet; nobody when the old one had no vote and nobody's place.
    pub replaces: Option<NodeId>,
}

/// Who lived in a directory before, oldest first.
pub(crate) fn read(dir: &Path) -> Result<Vec<Rebuilt>, Error> {
    Ok(read_optional(&dir.join(HISTORY))?.unwrap_or_default())
}

/// The data turned out to be sound after all, since somebody repaired it: nothing is rebuilt.
pub(crate) fn give_up(dir: &Path) -> Result<(), Error> {
    let path = dir.join(PLAN);
    let Some(plan) = read_optional::<Plan>(&path)? else { return Ok(()) };
    tracing::warn!(
        member = plan.to.0,
        "the data was damaged before and is not any more: it is used as it is, and nobody comes as \
         the member that was to take its place; remove that one if it is listed"
    );
    fs::remove_file(&path).map_err(at(&path))
}

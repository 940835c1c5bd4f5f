//! The former owners of a data directory, and the plan for a damaged one.

use std::fs;
use std::path::Path;

use bincode::{Decode, Encode};
use engine::ids::NodeId;

use super::durable::{Error, at, read_optional};

/// File name of the [`Plan`].
pub(super) const PLAN: &str = "rebuilding";
/// File name of the former owners.
pub(super) const HISTORY: &str = "rebuilt";

/// A member whose data was damaged, and the member that replaced it in the same directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rebuilt {
    /// The former member.
    pub from: NodeId,
    /// The new member.
    pub to: NodeId,
    /// The damage.
    pub damage: String,
    /// Where the old data is, within the data directory. Only the newest are kept.
    pub aside: String,
}

/// What a damaged node asks of its cluster. It is durable before the node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    /// The id of the new member.
    pub to: NodeId,
    /// The incarnation of its directory.
    pub incarnation: u64,
    /// The member to replace: the old one, or the one that the old one was about to replace. `None`
    /// when the old one had no vote and replaced nobody.
    pub replaces: Option<NodeId>,
}

/// The former owners of a directory, oldest first.
pub(crate) fn read(dir: &Path) -> Result<Vec<Rebuilt>, Error> {
    Ok(read_optional(&dir.join(HISTORY))?.unwrap_or_default())
}

/// Drops the plan, because somebody repaired the data: nothing is rebuilt.
pub(crate) fn give_up(dir: &Path) -> Result<(), Error> {
    let path = dir.join(PLAN);
    let Some(plan) = read_optional::<Plan>(&path)? else { return Ok(()) };
    tracing::warn!(
        member = plan.to.0,
        "the damaged data was repaired and is used again; if the member that was to replace this \
         node is listed, remove it"
    );
    fs::remove_file(&path).map_err(at(&path))
}

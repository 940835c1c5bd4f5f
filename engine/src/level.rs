//! The level: which rules all members of a cluster have agreed to use.
//!
//! Nodes of two builds run side by side during an upgrade. What a state is made of must be equal on
//! both, so a build that knows new rules uses the old ones until [`RaiseLevel`] is applied. An
//! operator raises the level when every member speaks it; there is no way back. Level 0 has no
//! row: it is the rules of the builds before there were levels.
//!
//! All builds that know a level read the same commands at it. A later build must therefore refuse
//! at this level whatever a later level brings, and must encode [`RaiseLevel`] as today, so that a
//! build that does not know the new level stops there by name.
//!
//! [`RaiseLevel`]: crate::command::RaiseLevel

use bincode::{Decode, Encode};

use crate::command::Rules;
use crate::secret::Secret;

/// The newest level that this build knows.
pub const NEWEST: u32 = 1;

/// The row. The default is level 0; only other values are stored and hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Level {
    pub(crate) number: u32,
    pub(crate) secret: Secret,
}

impl Level {
    /// Raises the level. A cluster keeps the secret that it got first.
    pub(crate) fn raise(&mut self, to: u32, secret: Secret) {
        if self.number == 0 {
            self.secret = secret;
        }
        self.number = self.number.max(to);
    }

    /// The rules for a command whose envelope says `written`.
    pub(crate) fn rules(&self, written: Rules) -> Rules {
        if self.number == 0 { written } else { Rules::NoParking }
    }

    /// Whether this is level 0.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Level::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_never_falls_and_keeps_its_secret() {
        let mut level = Level::default();
        assert!(level.is_plain());
        assert_eq!(level.rules(Rules::Parking), Rules::Parking);
        level.raise(1, Secret([7; 32]));
        level.raise(1, Secret([8; 32]));
        level.raise(0, Secret([9; 32]));
        assert_eq!(level, Level { number: 1, secret: Secret([7; 32]) });
        assert_eq!(level.rules(Rules::Parking), Rules::NoParking);
        assert!(!format!("{level:?}").contains('7'), "a log must not hold it");
    }
}

//! The audit: who administered what, as part of the replicated state.
//!
//! A row for each command that administers, done or refused. The rows of a kind are a ring: the
//! newest replace the oldest, so a flood costs no memory. What customers do is not in it; that is
//! in orders and events. At level 0 nothing is recorded.

use std::collections::{BTreeSet, VecDeque};

use bincode::{Decode, Encode};

use crate::actor::Actor;
use crate::digest::{RowHasher, Table};
use crate::ids::{Position, Timestamp};
use crate::trace::TraceId;

/// The most rows of a kind.
pub const ROWS_MAX: u64 = 16_384;

/// What a row is about. Each kind has a ring of its own, so that a busy catalogue does not push out
/// what administrators did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Access, payments, members, and the cluster as a whole.
    Administration,
    /// Products and their stock.
    Catalogue,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Kind::Administration, Kind::Catalogue];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Administration => "administration",
            Kind::Catalogue => "catalogue",
        }
    }
}

/// Defines the actions with their kinds and names.
macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident: $kind:ident $name:literal,)+) => {
        /// What was asked for. Variants are stored by number: new ones go to the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
        pub enum Action {
            $($(#[$doc])* $variant,)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Action] = &[$(Action::$variant),+];

            /// The ring of its rows.
            pub fn kind(self) -> Kind {
                match self { $(Action::$variant => Kind::$kind),+ }
            }

            /// Its name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Action::$variant => $name),+ }
            }
        }
    };
}

actions! {
    /// Let requests do everything without credentials.
    AuthOff: Administration "auth.off",
    /// Take credentials, and requests without.
    AuthOptional: Administration "auth.optional",
    /// Refuse requests without credentials.
    AuthRequired: Administration "auth.required",
    /// Create a token.
    CreateToken: Administration "token.create",
    /// Revoke a token.
    RevokeToken: Administration "token.revoke",
    /// Pause payments.
    PausePayments: Administration "payments.pause",
    /// Resume payments.
    ResumePayments: Administration "payments.resume",
    /// End an order by hand.
    SettleOrder: Administration "order.settle",
    /// Make the payment of an order due at once.
    RecheckPayment: Administration "order.recheck",
    /// Refund an order.
    RequestRefund: Administration "order.refund",
    /// Raise the level.
    RaiseLevel: Administration "level.raise",
    /// Begin a cluster with the rows of another one.
    BeginCluster: Administration "cluster.begin",
    /// Add a member.
    AddMember: Administration "member.add",
    /// Remove a member.
    RemoveMember: Administration "member.remove",
    /// Transfer leadership.
    TransferLeader: Administration "leader.transfer",
    /// Read a backup.
    ReadBackup: Administration "backup.read",
    /// Create a product.
    CreateProduct: Catalogue "product.create",
    /// Change a product.
    UpdateProduct: Catalogue "product.update",
    /// Archive a product.
    ArchiveProduct: Catalogue "product.archive",
    /// Adjust the stock of a product.
    AdjustStock: Catalogue "stock.adjust",
}

impl Action {
    /// Whether nodes tell it with a command of its own, because it is no command itself.
    pub fn is_told(self) -> bool {
        matches!(
            self,
            Action::AddMember | Action::RemoveMember | Action::TransferLeader | Action::ReadBackup
        )
    }
}

/// One row. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Row {
    /// Dense within its kind, from 1.
    pub id: u64,
    /// The command.
    pub position: Position,
    /// The replicated clock then.
    pub at: Timestamp,
    /// Who asked.
    pub actor: Actor,
    /// For what.
    pub action: Action,
    /// The id of the row, level or node that it is about.
    pub target: Option<u64>,
    /// Whether it was refused, and so changed nothing.
    pub is_refused: bool,
    /// The trace id of the request.
    pub trace: TraceId,
}

impl Row {
    /// The place of a row in the store and in the digest: the newest row of a place replaces it.
    pub(crate) fn place(&self) -> u64 {
        place(self.action.kind(), self.id)
    }

    pub(crate) fn hash(&self, hasher: &mut RowHasher) -> u64 {
        hasher.hash(Table::Audit, self.place(), self)
    }
}

fn place(kind: Kind, id: u64) -> u64 {
    ((kind as u64) << 32) | (id % ROWS_MAX)
}

/// The rings. Without rows they hash as nothing.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    rings: [VecDeque<Row>; Kind::ALL.len()],
    /// Places that changed since the last freeze, and those that it took.
    changed: BTreeSet<u64>,
    frozen: BTreeSet<u64>,
    sum: u64,
}

impl Audit {
    /// The newest id of a kind, 0 before the first.
    pub(crate) fn newest(&self, kind: Kind) -> u64 {
        self.rings[kind as usize].back().map_or(0, |row| row.id)
    }

    /// The rows of a kind above an id, oldest first.
    pub(crate) fn after(&self, kind: Kind, id: u64) -> impl DoubleEndedIterator<Item = &Row> {
        let ring = &self.rings[kind as usize];
        let oldest = ring.front().map_or(0, |row| row.id);
        let skipped = (id + 1).saturating_sub(oldest);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(ring.len());
        ring.range(skipped..)
    }

    /// Adds a row, and removes the oldest of a full ring.
    pub(crate) fn push(&mut self, row: Row, hasher: &mut RowHasher) {
        let kind = row.action.kind();
        assert_eq!(row.id, self.newest(kind) + 1, "audit ids are dense");
        self.changed.insert(row.place());
        self.restore(row, hasher);
    }

    /// Restores a stored row. Ids of a kind ascend.
    fn restore(&mut self, row: Row, hasher: &mut RowHasher) {
        let ring = &mut self.rings[row.action.kind() as usize];
        self.sum = self.sum.wrapping_add(row.hash(hasher));
        ring.push_back(row);
        if ring.len() as u64 > ROWS_MAX
            && let Some(oldest) = ring.pop_front()
        {
            self.sum = self.sum.wrapping_sub(oldest.hash(hasher));
        }
    }

    /// Makes the rings of stored rows, in any order. `None` when rows are missing or doubled.
    pub(crate) fn of(mut rows: Vec<Row>, hasher: &mut RowHasher) -> Option<Audit> {
        rows.sort_unstable_by_key(|row| row.id);
        let mut audit = Audit::default();
        for row in rows {
            audit.restore(row, hasher);
        }
        audit.are_rings_sound().then_some(audit)
    }

    /// The share of the digest.
    pub(crate) fn digest(&self) -> u64 {
        self.sum
    }

    /// Takes the rows that no synced checkpoint has.
    pub(crate) fn take_dirty(&mut self) -> Vec<Row> {
        self.frozen.append(&mut self.changed);
        let of = |(kind, ring): (Kind, &VecDeque<Row>)| {
            // What changed is at the end of its ring.
            let rows = ring.iter().rev().take(self.frozen.len());
            let changed = rows.filter(|row| self.frozen.contains(&place(kind, row.id)));
            changed.cloned().collect::<Vec<Row>>()
        };
        Kind::ALL.into_iter().zip(&self.rings).flat_map(of).collect()
    }

    /// Records that what the last freeze took is stored.
    pub(crate) fn release(&mut self) {
        self.frozen.clear();
    }

    /// Whether the rings and the sum are right.
    pub(crate) fn is_sound(&self) -> bool {
        let mut hasher = RowHasher::default();
        let rows = self.rings.iter().flatten();
        let sum = rows.fold(0_u64, |sum, row| sum.wrapping_add(row.hash(&mut hasher)));
        sum == self.sum && self.are_rings_sound()
    }

    fn are_rings_sound(&self) -> bool {
        Kind::ALL.into_iter().zip(&self.rings).all(|(kind, ring)| {
            let first = ring.front().map_or(1, |row| row.id);
            let is_full = ring.len() as u64 == ROWS_MAX;
            ring.len() as u64 <= ROWS_MAX
                && (first == 1 || is_full)
                && ring.iter().all(|row| row.action.kind() == kind)
                && ring.iter().zip(first..).all(|(row, id)| row.id == id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, action: Action) -> Row {
        Row {
            id,
            position: Position(id),
            at: Timestamp(1),
            actor: Actor::Nobody,
            action,
            target: None,
            is_refused: false,
            trace: TraceId::NONE,
        }
    }

    #[test]
    fn the_newest_rows_replace_the_oldest_of_their_kind() {
        let (mut audit, mut hasher) = (Audit::default(), RowHasher::default());
        audit.push(row(1, Action::CreateToken), &mut hasher);
        assert_eq!(audit.take_dirty().len(), 1);
        audit.release();
        for id in 1..=ROWS_MAX + 3 {
            audit.push(row(id, Action::AdjustStock), &mut hasher);
        }
        assert!(audit.is_sound());
        assert_eq!(audit.after(Kind::Administration, 0).count(), 1);
        let ids: Vec<_> = audit.after(Kind::Catalogue, 0).map(|row| row.id).collect();
        assert_eq!((ids[0], ids.len() as u64), (4, ROWS_MAX));
        let last: Vec<_> = audit.after(Kind::Catalogue, ROWS_MAX + 1).map(|row| row.id).collect();
        assert_eq!(last, [ROWS_MAX + 2, ROWS_MAX + 3]);
        assert_eq!(audit.after(Kind::Catalogue, u64::MAX - 1).count(), 0);
        // Each place is written once, and what is read back is the same.
        let stored = audit.take_dirty();
        assert_eq!(stored.len() as u64, ROWS_MAX);
        let mut all = stored.clone();
        all.push(row(1, Action::CreateToken));
        let opened = Audit::of(all.clone(), &mut hasher).expect("sound");
        assert_eq!(opened.digest(), audit.digest());
        all.remove(7);
        assert!(Audit::of(all, &mut hasher).is_none(), "a row is missing");
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }
}

//! A possible state at a moment of the history, and what is open at that moment.
//!
//! A *write* can be taken: an order takes its units, or returns them. A write that must have
//! happened before some answer has a bit of its own. One that may happen at any later time is a
//! *coin*; coins of one class are interchangeable, so they are only counted.

use smallvec::SmallVec;

use super::facts::NEVER;
use super::problem::{Lines, Look, Part, Saw};

/// A write: twice the index of its order, plus one for the return.
pub(super) type Write = usize;

/// The order of a write.
pub(super) const fn order_of(write: Write) -> usize {
    write / 2
}

/// Whether a write returns units.
pub(super) const fn gives(write: Write) -> bool {
    write % 2 == 1
}

/// Writes with the same effect on stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    /// The effect of a write on the stock of products.
    pub(super) units: Lines,
    /// The class of its return, for coins that can be returned once they were taken.
    pub(super) back: Option<usize>,
}

/// A possible state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// Which of the open writes were taken, and which of the open reads have got their result.
    pub(super) bits: SmallVec<[u64; 2]>,
    /// Coins that were not taken, by class.
    pub(super) coins: SmallVec<[u16; 8]>,
    /// Remaining units, by product.
    pub(super) stock: SmallVec<[i64; 2]>,
}

impl State {
    pub(super) fn has(&self, slot: usize) -> bool {
        self.bits[slot / 64] >> (slot % 64) & 1 == 1
    }

    pub(super) fn set(&mut self, slot: usize) {
        self.bits[slot / 64] |= 1 << (slot % 64);
    }

    pub(super) fn clear(&mut self, slot: usize) {
        self.bits[slot / 64] &= !(1 << (slot % 64));
    }
}

/// How a write is represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It does not happen in this part.
    Absent,
    /// It has a bit. Plain ones of a class are interchangeable except for when they are due.
    Own {
        /// Whether only its class and when it is due distinguish it.
        plain: bool,
    },
    /// A coin from its beginning.
    Coin,
    /// It has a bit until its order is certainly placed; then it is a coin.
    OwnThenCoin,
    /// A coin that exists once the order's other coin was taken.
    CoinOfCoin,
}

/// The fixed data about the writes of a part.
#[derive(Debug)]
pub(super) struct Writes {
    pub(super) kinds: Vec<Kind>,
    pub(super) class: Vec<usize>,
    pub(super) classes: Vec<Class>,
}

impl Writes {
    pub(super) fn of(part: &Part) -> Self {
        let mut keyed = vec![false; part.orders.len()];
        for look in &part.looks {
            if let Saw::TooFew(_, Some(order)) = &look.saw {
                keyed[*order] = true;
            }
        }
        let mut writes = Self { kinds: Vec::new(), class: Vec::new(), classes: Vec::new() };
        for (order, keyed) in part.orders.iter().zip(keyed) {
            let special = keyed || order.group.is_some();
            let certain = order.place.until != NEVER;
            let apart = order.back.is_none_or(|back| back.since >= order.place.until);
            let along = order
                .back
                .is_none_or(|back| back.until == NEVER && back.since <= order.place.since);
            let place = match (certain, special) {
                (true, _) => Kind::Own { plain: !special && apart },
                (false, false) if along => Kind::Coin,
                (false, _) => Kind::Own { plain: false },
            };
            let back = match order.back {
                None => Kind::Absent,
                Some(_) if place == Kind::Coin => Kind::CoinOfCoin,
                Some(back) if back.until == NEVER && certain && apart => Kind::Coin,
                Some(back) if back.until == NEVER && certain => Kind::OwnThenCoin,
                Some(_) => Kind::Own { plain: certain && apart },
            };
            writes.kinds.extend([place, back]);
            let more: Lines = order.lines.clone();
            let less: Lines = more.iter().map(|(product, qty)| (*product, -qty)).collect();
            let back_class = writes.class_of(Class { units: more, back: None });
            let back_of = (back == Kind::CoinOfCoin).then_some(back_class);
            let place_class = writes.class_of(Class { units: less, back: back_of });
            writes.class.extend([place_class, back_class]);
        }
        writes
    }

    fn class_of(&mut self, class: Class) -> usize {
        let known = self.classes.iter().position(|other| *other == class);
        known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        })
    }
}

/// A write that has begun and has a bit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    pub(super) write: Write,
    pub(super) slot: usize,
    pub(super) until: u64,
}

/// What is open at a moment, the same for every state.
#[derive(Debug)]
pub(super) struct Board<'p> {
    pub(super) part: &'p Part,
    pub(super) writes: &'p Writes,
    /// Sorted by when they are due.
    pub(super) live: Vec<Live>,
    /// Reads with their slots.
    pub(super) looks: Vec<(usize, usize)>,
    slot_of: Vec<Option<usize>>,
    placed: Vec<bool>,
    free: Vec<usize>,
    slots: usize,
}

/// What can be taken next, one item of a stack after the other.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    pub(super) class: usize,
    /// Those with bits, the earliest due first.
    pub(super) own: SmallVec<[Live; 8]>,
    pub(super) coins: usize,
}

impl<'p> Board<'p> {
    pub(super) fn new(part: &'p Part, writes: &'p Writes) -> Self {
        Self {
            part,
            writes,
            live: Vec::new(),
            looks: Vec::new(),
            slot_of: vec![None; writes.kinds.len()],
            placed: vec![false; part.orders.len()],
            free: Vec::new(),
            slots: 0,
        }
    }

    /// The state before anything happened.
    pub(super) fn first(&self) -> State {
        State {
            bits: SmallVec::from_elem(0, 1),
            coins: SmallVec::from_elem(0, self.writes.classes.len()),
            stock: self.part.products.iter().map(|(_, initial)| *initial).collect(),
        }
    }

    /// A free bit, in all states.
    fn slot(&mut self, states: &mut [State]) -> usize {
        self.free.pop().unwrap_or_else(|| {
            let slot = self.slots;
            self.slots += 1;
            for state in states {
                state.bits.resize(slot / 64 + 1, 0);
            }
            slot
        })
    }

    pub(super) fn begin(&mut self, write: Write, until: u64, states: &mut [State]) {
        let slot = self.slot(states);
        self.slot_of[write] = Some(slot);
        let at = self.live.partition_point(|live| live.until <= until);
        self.live.insert(at, Live { write, slot, until });
    }

    pub(super) fn begin_look(&mut self, look: usize, states: &mut [State]) {
        let slot = self.slot(states);
        self.looks.push((look, slot));
        for state in states {
            if self.sees(state, &self.part.looks[look]) {
                state.set(slot);
            }
        }
    }

    /// Frees the slot of a write that is over; no state needs it any more.
    pub(super) fn close(&mut self, write: Write, states: &mut [State]) {
        let Some(slot) = self.slot_of[write].take() else { return };
        if !gives(write) {
            self.placed[order_of(write)] = true;
        }
        self.live.retain(|live| live.write != write);
        self.release(slot, states);
    }

    pub(super) fn close_look(&mut self, look: usize, states: &mut [State]) {
        let Some(at) = self.looks.iter().position(|(other, _)| *other == look) else { return };
        let (_, slot) = self.looks.swap_remove(at);
        self.release(slot, states);
    }

    fn release(&mut self, slot: usize, states: &mut [State]) {
        states.iter_mut().for_each(|state| state.clear(slot));
        self.free.push(slot);
    }

    pub(super) fn slot_of(&self, write: Write) -> Option<usize> {
        self.slot_of[write]
    }

    /// Whether a write with a bit was taken.
    pub(super) fn is_taken(&self, state: &State, write: Write) -> bool {
        match self.slot_of[write] {
            Some(slot) => state.has(slot),
            None => !gives(write) && self.placed[order_of(write)],
        }
    }

    /// Whether only a lack of stock can prevent taking a write that was not taken.
    pub(super) fn is_due_ready(&self, state: &State, write: Write) -> bool {
        let order = order_of(write);
        if gives(write) {
            return self.is_taken(state, 2 * order);
        }
        let Some(group) = self.part.orders[order].group else { return true };
        let rival = |live: &Live| {
            !gives(live.write)
                && live.write != write
                && self.part.orders[order_of(live.write)].group == Some(group)
                && state.has(live.slot)
        };
        !self.live.iter().any(rival)
    }

    /// The first product with too little stock for a write of this class.
    pub(super) fn lacks(&self, state: &State, class: usize) -> Option<(usize, i64)> {
        let units = self.writes.classes[class].units.iter();
        let mut short = units.map(|(product, units)| (*product, -units - state.stock[*product]));
        short.find(|(product, short)| {
            // A return never lacks anything.
            *short > 0 && *short > -state.stock[*product]
        })
    }

    pub(super) fn sees(&self, state: &State, look: &Look) -> bool {
        match &look.saw {
            Saw::Stock(product, stock) => state.stock[*product] == *stock,
            Saw::TooFew(lines, order) => {
                let unplaced = order.is_none_or(|order| !self.is_taken(state, 2 * order));
                unplaced && lines.iter().any(|(product, qty)| state.stock[*product] < *qty)
            }
        }
    }

    fn change(&self, state: &mut State, class: usize) {
        for (product, units) in &self.writes.classes[class].units {
            state.stock[*product] += units;
        }
        for (look, slot) in &self.looks {
            if !state.has(*slot) && self.sees(state, &self.part.looks[*look]) {
                state.set(*slot);
            }
        }
    }

    /// Takes a write with a bit; there must be enough stock.
    pub(super) fn take(&self, state: &mut State, live: Live) {
        state.set(live.slot);
        self.change(state, self.writes.class[live.write]);
    }

    /// Takes a coin; there must be enough stock.
    pub(super) fn take_coin(&self, state: &mut State, class: usize) {
        state.coins[class] -= 1;
        if let Some(back) = self.writes.classes[class].back {
            state.coins[back] += 1;
        }
        self.change(state, class);
    }

    /// Everything that can be taken, ignoring a lack of stock.
    pub(super) fn stacks(&self, state: &State) -> Vec<Stack> {
        let mut stacks: Vec<Stack> = Vec::new();
        let mut plain: SmallVec<[Option<usize>; 16]> =
            SmallVec::from_elem(None, self.writes.classes.len());
        for live in &self.live {
            if state.has(live.slot) || !self.is_due_ready(state, live.write) {
                continue;
            }
            let class = self.writes.class[live.write];
            let is_plain = self.writes.kinds[live.write] == Kind::Own { plain: true };
            match plain[class].filter(|_| is_plain) {
                Some(at) => stacks[at].own.push(*live),
                None => {
                    if is_plain {
                        plain[class] = Some(stacks.len());
                    }
                    stacks.push(Stack { class, own: SmallVec::from_elem(*live, 1), coins: 0 });
                }
            }
        }
        for (class, coins) in state.coins.iter().enumerate().filter(|(_, coins)| **coins > 0) {
            let coins = usize::from(*coins);
            match plain[class] {
                Some(at) => stacks[at].coins = coins,
                None => stacks.push(Stack { class, own: SmallVec::new(), coins }),
            }
        }
        stacks
    }
}

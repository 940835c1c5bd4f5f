//! The search: all possible states side by side, through the history by time.
//!
//! A write is taken as late as possible: when an answer is due that needs it (after Lowe, "Testing
//! for linearizability", and Wing and Gong before him). All states advance together, so a wrong
//! choice long ago costs nothing: another state has chosen otherwise. Equal states are kept once,
//! and a state is dropped when another one can do everything that it can. When there are too many,
//! only a part continues, half of it the states with the most choices and half at random. If none
//! of those is left at the end, the search proves nothing and is repeated with a larger budget.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::facts::NEVER;
use super::picks::{self, Need, Pile};
use super::problem::{Part, Saw};
use super::state::{Board, Kind, Stack, State, Write, Writes, gives, order_of};
use super::thin;

/// The budget of a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The most states side by side.
    pub(super) states: usize,
    /// The most states to examine to explain one answer from one state.
    pub(super) detours: usize,
    /// Bounds of the search for sets.
    pub(super) picks: picks::Bounds,
}

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An order exists.
    Order,
    /// No order exists.
    Nothing(End),
    /// No order was found, but not all were tried.
    Cut,
    /// Time ran out.
    Late,
}

/// The answer that nothing explains, and the states it was compared with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) due: Due,
    /// Some possible stocks, by product.
    pub(super) met: Vec<Vec<i64>>,
}

/// What an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Write(Write),
    Look(usize),
}

/// One step through a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tick {
    /// A write with a bit begins; it is due at this time.
    Begin(Write, u64),
    /// A coin begins.
    Coin(Write),
    /// A read begins.
    Look(usize),
    /// An answer is due.
    Due(Due),
    /// A return becomes a coin, because its order is certainly placed.
    Convert(Write),
}

/// The steps of a part, by time. Beginnings come first at the same moment: what the clock cannot
/// separate may have overlapped.
fn ticks(part: &Part, writes: &Writes) -> Vec<Tick> {
    let mut ticks: Vec<(u64, u8, Tick)> = Vec::new();
    for (number, order) in part.orders.iter().enumerate() {
        for write in [2 * number, 2 * number + 1] {
            let window = if gives(write) { order.back } else { Some(order.place) };
            let Some(window) = window else { continue };
            let since = window.since.max(order.place.since);
            match writes.kinds[write] {
                Kind::Absent | Kind::CoinOfCoin => {}
                Kind::Coin => ticks.push((since, 0, Tick::Coin(write))),
                Kind::OwnThenCoin => {
                    ticks.push((since, 0, Tick::Begin(write, NEVER)));
                    ticks.push((order.place.until.max(since), 2, Tick::Convert(write)));
                }
                Kind::Own { .. } => {
                    ticks.push((since, 0, Tick::Begin(write, window.until)));
                    if window.until != NEVER {
                        let turn = if gives(write) { 2 } else { 1 };
                        ticks.push((window.until, turn, Tick::Due(Due::Write(write))));
                    }
                }
            }
        }
    }
    for (number, look) in part.looks.iter().enumerate() {
        ticks.push((look.window.since, 0, Tick::Look(number)));
        ticks.push((look.window.until, 1, Tick::Due(Due::Look(number))));
    }
    ticks.sort_by_key(|(time, turn, _)| (*time, *turn));
    ticks.into_iter().map(|(_, _, tick)| tick).collect()
}

/// Searches one part.
pub(super) fn run(part: &Part, room: Room, seed: u64, deadline: Instant) -> Found {
    let writes = Writes::of(part);
    let board = Board::new(part, &writes);
    let states = vec![board.first()];
    let random = StdRng::seed_from_u64(seed);
    Search { board, room, states, random, cut: false, deadline }.run()
}

struct Search<'p> {
    board: Board<'p>,
    room: Room,
    states: Vec<State>,
    random: StdRng,
    cut: bool,
    deadline: Instant,
}

impl Search<'_> {
    fn run(mut self) -> Found {
        for tick in ticks(self.board.part, self.board.writes) {
            match tick {
                Tick::Begin(write, until) => self.board.begin(write, until, &mut self.states),
                Tick::Coin(write) => {
                    let class = self.board.writes.class[write];
                    self.states.iter_mut().for_each(|state| state.coins[class] += 1);
                }
                Tick::Look(look) => self.board.begin_look(look, &mut self.states),
                Tick::Convert(write) => self.convert(write),
                Tick::Due(due) => {
                    if Instant::now() >= self.deadline {
                        return Found::Late;
                    }
                    if let Some(end) = self.due(due) {
                        return if self.cut { Found::Cut } else { Found::Nothing(end) };
                    }
                }
            }
        }
        Found::Order
    }

    fn convert(&mut self, write: Write) {
        let class = self.board.writes.class[write];
        for state in &mut self.states {
            state.coins[class] += u16::from(!self.board.is_taken(state, write));
        }
        self.board.close(write, &mut self.states);
    }

    /// Keeps the states that can give an answer, and those that lead there.
    fn due(&mut self, due: Due) -> Option<End> {
        let before = std::mem::take(&mut self.states);
        let mut kept: HashSet<State> = HashSet::new();
        let mut met: Vec<Vec<i64>> = Vec::new();
        for state in before {
            if self.is_done(&state, due) {
                kept.insert(state);
                continue;
            }
            let stock = state.stock.to_vec();
            if met.len() < 5 && !met.contains(&stock) {
                met.push(stock);
            }
            self.explain(state, due, &mut kept);
        }
        if kept.is_empty() {
            return Some(End { due, met });
        }
        let mut states: Vec<State> = kept.into_iter().collect();
        match due {
            Due::Write(write) => self.board.close(write, &mut states),
            Due::Look(look) => self.board.close_look(look, &mut states),
        }
        self.states = states;
        self.thin_out();
        None
    }

    fn is_done(&self, state: &State, due: Due) -> bool {
        match due {
            Due::Write(write) => self.board.is_taken(state, write),
            Due::Look(look) => {
                let slot = self.board.looks.iter().find(|(other, _)| *other == look);
                slot.is_some_and(|(_, slot)| state.has(*slot))
            }
        }
    }

    /// Adds every state that `state` can become and that can give the answer.
    fn explain(&mut self, state: State, due: Due, kept: &mut HashSet<State>) {
        let mut seen: HashSet<State> = HashSet::new();
        let mut queue = VecDeque::from([state]);
        let mut open: Vec<State> = Vec::new();
        while let Some(state) = queue.pop_front() {
            if seen.contains(&state) {
                continue;
            }
            if self.is_done(&state, due) {
                kept.insert(state);
                continue;
            }
            if seen.len() >= self.room.detours {
                self.cut = true;
                return;
            }
            let stacks = self.board.stacks(&state);
            match due {
                Due::Write(write) => self.towards_write(&state, write, &stacks, &mut open),
                Due::Look(look) => self.towards_look(&state, look, &stacks, &mut open),
            }
            for at in 0..self.board.looks.len() {
                let (look, slot) = self.board.looks[at];
                if due != Due::Look(look) && !state.has(slot) {
                    self.towards_look(&state, look, &stacks, &mut open);
                }
            }
            self.in_passing(&state, due, &stacks, &mut open);
            queue.extend(open.drain(..).filter(|next| !seen.contains(next)));
            seen.insert(state);
        }
    }

    /// What leads to a write: itself when there is enough stock, else writes that return enough.
    fn towards_write(
        &mut self,
        state: &State,
        write: Write,
        stacks: &[Stack],
        open: &mut Vec<State>,
    ) {
        if !self.board.is_due_ready(state, write) {
            return;
        }
        let class = self.board.writes.class[write];
        match self.board.lacks(state, class) {
            Some((product, short)) => {
                self.moves(state, stacks, product, Need::AtLeast(short), open);
            }
            None => {
                let live = self.board.live.iter().find(|live| live.write == write);
                let live = *live.expect("what is due is open");
                let mut next = state.clone();
                self.board.take(&mut next, live);
                open.push(next);
            }
        }
    }

    /// What leads a read to its result.
    fn towards_look(
        &mut self,
        state: &State,
        look: usize,
        stacks: &[Stack],
        open: &mut Vec<State>,
    ) {
        match &self.board.part.looks[look].saw {
            Saw::Stock(product, stock) if *stock >= 0 => {
                let need = Need::Exactly(stock - state.stock[*product]);
                self.moves(state, stacks, *product, need, open);
            }
            Saw::Stock(..) => {}
            Saw::TooFew(lines, order) => {
                if order.is_some_and(|order| self.board.is_taken(state, 2 * order)) {
                    return;
                }
                for (product, qty) in lines.clone() {
                    let need = Need::AtMost(qty - 1 - state.stock[product]);
                    self.moves(state, stacks, product, need, open);
                }
            }
        }
    }

    /// Takes the minimal sets that bring the required units of a product.
    fn moves(
        &mut self,
        state: &State,
        stacks: &[Stack],
        product: usize,
        need: Need,
        open: &mut Vec<State>,
    ) {
        let mut piles: Vec<Pile> = Vec::new();
        let mut of: Vec<&Stack> = Vec::new();
        for stack in stacks {
            let units = self.units(stack.class, product);
            let bears = match need {
                Need::Exactly(_) => units != 0,
                Need::AtMost(_) => units < 0,
                Need::AtLeast(_) => units > 0,
            };
            if bears {
                piles.push(Pile { units, own: stack.own.len(), coins: stack.coins });
                of.push(stack);
            }
        }
        let found = picks::least(&piles, need, self.room.picks);
        self.cut |= found.cut;
        for counts in found.sets {
            let picked: Vec<(&Stack, usize)> = of.iter().copied().zip(counts).collect();
            if let Some(next) = self.taken(state, &picked) {
                open.push(next);
            }
        }
    }

    fn units(&self, class: usize, product: usize) -> i64 {
        let units = self.board.writes.classes[class].units.iter();
        units.filter(|(other, _)| *other == product).map(|(_, units)| *units).sum()
    }

    /// The state after taking these counts from the stacks; returns come first.
    fn taken(&mut self, state: &State, picked: &[(&Stack, usize)]) -> Option<State> {
        let mut next = state.clone();
        let back = |stack: &Stack| self.board.writes.classes[stack.class].units[0].1 > 0;
        for giving in [true, false] {
            for (stack, count) in picked.iter().filter(|(stack, _)| back(stack) == giving) {
                for at in 0..*count {
                    if let Some((short, _)) = self.board.lacks(&next, stack.class) {
                        // With several products, another return might have to come first.
                        self.cut |= self.board.part.products.len() > 1 && short < usize::MAX;
                        return None;
                    }
                    match stack.own.get(at) {
                        Some(live) => self.board.take(&mut next, *live),
                        None => self.board.take_coin(&mut next, stack.class),
                    }
                }
            }
        }
        Some(next)
    }

    /// What might be too late afterwards: where stock is short, an order that takes its units and
    /// returns them, and an order that fits only after others have returned theirs.
    fn in_passing(&mut self, state: &State, due: Due, stacks: &[Stack], open: &mut Vec<State>) {
        let refused = |(look, slot): &(usize, usize)| {
            !state.has(*slot) && matches!(self.board.part.looks[*look].saw, Saw::TooFew(..))
        };
        let refused = self.board.looks.iter().any(refused);
        let after = match due {
            Due::Write(write) if !gives(write) => self.board.writes.class[write],
            _ => usize::MAX,
        };
        for stack in stacks {
            let class = &self.board.writes.classes[stack.class];
            if class.units[0].1 > 0 {
                continue;
            }
            let returns = class.back.is_some()
                || stack
                    .own
                    .first()
                    .is_some_and(|live| self.board.slot_of(live.write + 1).is_some());
            let fits = self.board.lacks(state, stack.class);
            let spoilt = class.units.iter().any(|(product, units)| {
                let taken = if after == usize::MAX { 0 } else { self.units(after, *product) };
                state.stock[*product] + taken + units < 0
            });
            let too_late = spoilt && returns;
            if !(too_late || (refused && fits.is_some())) {
                continue;
            }
            match fits {
                Some((product, short)) => {
                    self.moves(state, stacks, product, Need::AtLeast(short), open);
                }
                None => {
                    if let Some(next) = self.taken(state, &[(stack, 1)]) {
                        open.push(next);
                    }
                }
            }
        }
    }

    /// Drops states that others cover, and those above the budget.
    fn thin_out(&mut self) {
        if self.states.len() < 2 {
            return;
        }
        self.states = thin::without_covered(
            &self.board,
            std::mem::take(&mut self.states),
            4 * self.room.states,
        );
        if self.states.len() > self.room.states {
            self.cut = true;
            let half = self.room.states / 2;
            self.states[half..].shuffle(&mut self.random);
            self.states.truncate(self.room.states);
        }
    }
}

impl Due {
    /// The operation of the history that an answer belongs to.
    pub(super) fn source(self, part: &Part) -> Option<usize> {
        match self {
            Self::Write(write) => part.orders[order_of(write)].source,
            Self::Look(look) => Some(part.looks[look].source),
        }
    }
}

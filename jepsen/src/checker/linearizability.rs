//! Linearizability: some order of all operations explains every answer.
//!
//! Four steps: [`facts`] gathers what was seen of each order; [`problem`] turns that into time
//! windows and splits it by product; [`told`] tries the order in a node's ledger; where that does
//! not explain everything, [`search`] looks for another one. A search that runs out of time is
//! `unknown`, never `valid`.

mod bounds;
mod facts;
mod picks;
mod problem;
mod search;
mod state;
mod thin;
mod told;

use std::time::{Duration, Instant};

use self::problem::Part;
use self::search::{Due, End, Found, Room};
use super::verdict::{Checker, Judgement, Verdict, describe};
use crate::history::History;

/// The budgets of successive searches, each with the number of tries with other random choices.
/// Several quick tries find an order sooner than a thorough one; the last budget leaves nothing
/// out.
const ROOMS: [(u64, Room); 6] = [
    (4, room(16, 32, 2, 500)),
    (4, room(64, 64, 2, 2_000)),
    (2, room(256, 128, 3, 2_000)),
    (1, room(1_024, 256, 4, 5_000)),
    (1, room(8_192, 4_096, 8, 50_000)),
    (1, room(65_536, 65_536, usize::MAX, 1_000_000)),
];

const fn room(states: usize, detours: usize, coins: usize, sets: usize) -> Room {
    Room { states, detours, picks: picks::Bounds { coins, sets } }
}

/// Checks that some order of all operations explains every answer.
#[derive(Debug, Clone, Copy)]
pub struct Linearizability {
    /// The time limit of the whole search.
    pub limit: Duration,
}

impl Default for Linearizability {
    fn default() -> Self {
        Self { limit: Duration::from_secs(300) }
    }
}

impl Checker for Linearizability {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn promise(&self) -> &'static str {
        "every write and every default read takes effect at one moment between request and answer"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let deadline = Instant::now() + self.limit;
        let problem = problem::problem(facts::gather(history));
        for broken in &problem.broken {
            judgement.invalid(broken);
        }
        let looks: usize = problem.parts.iter().map(|part| part.looks.len()).sum();
        let orders: usize = problem.parts.iter().map(|part| part.orders.len()).sum();
        let moves = told::moves(history);
        let mut searched = 0;
        for part in &problem.parts {
            if let Some(why) = &part.undecidable {
                judgement.unknown(why);
            } else if let Err(lost) = told::explains(part, &moves) {
                searched += 1;
                check_part(history, part, deadline, &mut judgement);
                if let (Verdict::Unknown, Some(lost)) = (judgement.verdict, lost) {
                    let lost = describe(&history.operations[lost]);
                    judgement.note(format!("the order in a node's ledger does not explain {lost}"));
                }
            }
        }
        if orders == 0 || looks == 0 {
            judgement.empty("no order was placed, or nobody read stock");
        }
        let parts = problem.parts.len();
        judgement.note(format!(
            "{orders} orders, {looks} looks at stock in {parts} parts, {searched} of them searched"
        ));
        judgement
    }
}

fn check_part(history: &History, part: &Part, deadline: Instant, judgement: &mut Judgement) {
    let outside = bounds::check(part);
    for (source, why) in &outside {
        let operation = &history.operations[*source];
        judgement.invalid(format!("{} cannot be: {why}", describe(operation)));
    }
    if !outside.is_empty() {
        return;
    }
    let tries = ROOMS.iter().flat_map(|(tries, room)| (0..*tries).map(move |seed| (seed, *room)));
    for (seed, room) in tries {
        match search::run(part, room, seed, deadline) {
            Found::Order => return,
            Found::Nothing(end) => {
                judgement.invalid(explanation(history, part, &end));
                return;
            }
            Found::Cut => {}
            Found::Late => break,
        }
    }
    let names: Vec<&str> = part.products.iter().map(|(name, _)| name.as_str()).take(5).collect();
    judgement.unknown(format!("the search for an order ran out of time: {}", names.join(", ")));
}

/// Why no order exists.
fn explanation(history: &History, part: &Part, end: &End) -> String {
    let what = match end.due.source(part) {
        Some(source) => describe(&history.operations[source]),
        None => "an order".to_owned(),
    };
    let met: Vec<String> = end
        .met
        .iter()
        .map(|stock| {
            let each = part.products.iter().zip(stock);
            let each: Vec<String> =
                each.take(5).map(|((name, _), units)| format!("{name} had {units}")).collect();
            each.join(" and ")
        })
        .collect();
    let kind = match end.due {
        Due::Write(write) if state::gives(write) => "the return of ",
        Due::Write(_) | Due::Look(_) => "",
    };
    format!("no order of the operations before it explains {kind}{what}: {}", met.join("; or "))
}

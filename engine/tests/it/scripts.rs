//! Golden scripts: each `testscripts/*.txt` is a story of commands and of what came of them.
//!
//! Each command is an entry of its own. Those between `entry` and `apply` share one entry, the
//! orders between `batch` and `apply` one command. Below `---` stand the outcomes, each after its
//! events, and the answers to questions. `UPDATE_GOLDENFILES=1 cargo test -p engine --test it
//! scripts` writes what the engine does today into the scripts; review the difference.

mod command;
mod text;

use std::fmt::Write;
use std::path::Path;

use engine::actor::Actor;
use engine::command::{Command, Envelope, Keyed, PlaceBatch};
use engine::event::{EventId, EventPage};
use engine::hold;
use engine::ids::{HoldId, NodeId, OrderId, ProductId, RequestId, TokenId, UserId};
use engine::order::Status;
use engine::query::{OrderFilter, Page};
use engine::state::{Lookup, OrderLookup, State};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;

use self::command::{Arguments, Result};
use crate::common::Machine;

#[test]
fn the_engine_does_what_the_golden_scripts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    let mut scripts: Vec<_> = std::fs::read_dir(&directory)
        .expect("the directory exists")
        .map(|file| file.expect("listed").path())
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 15, "some scripts are missing");
    for path in scripts {
        let ran = goldenscript::run(&mut Script::default(), &path);
        ran.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The state of a script that runs.
#[derive(Default)]
struct Script {
    machine: Machine,
    store: MemoryStore,
    /// Commands of the entry that was started.
    entry: Option<Vec<Envelope>>,
    /// The batch that was started.
    batch: Option<PlaceBatch>,
    /// Outcomes that were written already.
    shown: usize,
}

impl goldenscript::Runner for Script {
    type Command = goldenscript::Command;

    fn run(&mut self, line: &goldenscript::Command, _: &goldenscript::Context) -> Result<String> {
        let mut args = Arguments::new(line);
        let mut out = String::new();
        match line.name.as_str() {
            "clock" => self.machine.now = args.word()?.parse()?,
            "entry" => self.entry = Some(Vec::new()),
            "batch" => {
                let atomic = args.or("atomic", false)?;
                self.batch = Some(PlaceBatch { atomic, orders: Vec::new() });
            }
            "apply" => out = self.apply()?,
            "show" => self.show(&mut args, &mut out)?,
            "tokens" => self.tokens(&mut out)?,
            "list" => out = self.list(&mut args)?,
            "events" => self.events(&mut args, &mut out)?,
            "key" => out = format!("{:?}", self.machine.state.key_state(args.word()?)),
            "digest" => out = format!("digest {:016x}", self.machine.state.digest()),
            "checkpoint" => out = self.checkpoint()?,
            "reopen" => out = self.reopen()?,
            name => {
                let mut command = command::command(name, &mut args)?;
                if let Some(name) = args.find("keyed")? {
                    let meaning = args.or("meaning", 0)?;
                    let keyed = command.try_into().map_err(|_| "it may have no such key")?;
                    command = Command::Keyed(Keyed { name, meaning, command: keyed });
                }
                let actor = args.find("as")?.map_or(Actor::Nobody, |id| Actor::Token(TokenId(id)));
                out = self.submit(command, actor, args.find("boot")?, args.find("request")?)?;
            }
        }
        args.end()?;
        Ok(out)
    }
}

impl Script {
    /// Applies a command, or adds it to the batch or entry that was started.
    fn submit(
        &mut self,
        command: Command,
        actor: Actor,
        boot: Option<u64>,
        seq: Option<u64>,
    ) -> Result<String> {
        if let Some(batch) = &mut self.batch {
            let Command::PlaceOrder(order) = command else {
                return Err("only orders can be in a batch".into());
            };
            batch.orders.push(order);
            return Ok(String::new());
        }
        self.machine.seq += 1;
        let (boot, seq) = (boot.unwrap_or(1), seq.unwrap_or(1_000 + self.machine.seq));
        let request = RequestId { node: NodeId(1), boot, seq };
        let envelope = Envelope { request, trace: TraceId::NONE, actor, command };
        match &mut self.entry {
            Some(entry) => {
                entry.push(envelope);
                Ok(String::new())
            }
            None => Ok(self.apply_entry(vec![envelope])),
        }
    }

    /// Ends the batch or entry that was started, and applies it.
    fn apply(&mut self) -> Result<String> {
        if let Some(batch) = self.batch.take() {
            return self.submit(Command::PlaceBatch(batch), Actor::Nobody, None, None);
        }
        let entry = self.entry.take().ok_or("no entry was started")?;
        Ok(self.apply_entry(entry))
    }

    /// Applies one entry and shows its outcomes, each after its events.
    fn apply_entry(&mut self, envelopes: Vec<Envelope>) -> String {
        let first_event = self.machine.recorder.events.len();
        self.machine.run_envelopes(envelopes);
        let recorder = &self.machine.recorder;
        let mut events = recorder.events[first_event..].iter().peekable();
        let mut out = String::new();
        for (position, _, outcome) in &recorder.outcomes[self.shown..] {
            while let Some(event) = events.next_if(|event| event.position <= *position) {
                out += &format!("{}\n", text::event(event));
            }
            out += &format!("{} {}\n", text::position(*position), text::outcome(outcome));
        }
        self.shown = recorder.outcomes.len();
        out
    }

    fn checkpoint(&mut self) -> Result<String> {
        let written = self.machine.state.freeze().write(&self.store)?;
        self.machine.state.release(&written);
        Ok(format!("checkpoint of {} rows at {}", written.rows(), written.applied_index()))
    }

    /// Continues from the last checkpoint, which must hold everything.
    fn reopen(&mut self) -> Result<String> {
        let before = self.machine.state.digest();
        self.machine.state = State::open(&self.store)?;
        assert_eq!(self.machine.state.digest(), before, "checkpoint before reopening");
        Ok(format!("reopened at {}", self.machine.state.applied_index()))
    }

    fn show(&self, args: &mut Arguments<'_>, out: &mut String) -> Result<()> {
        if let Some(id) = args.find("order")? {
            self.show_order(OrderId(id), out)?;
        }
        if let Some(id) = args.find("hold")? {
            self.show_hold(HoldId(id), out)?;
        }
        if let Some(id) = args.find("product")? {
            self.show_product(ProductId(id), out)?;
        }
        Ok(())
    }

    /// Shows the mode and all tokens.
    fn tokens(&self, out: &mut String) -> Result<()> {
        let auth = self.machine.state.auth();
        writeln!(out, "auth {} generation={}", auth.mode().as_str(), auth.generation())?;
        for token in auth.tokens(TokenId(0)) {
            write!(out, "  {} of {} {:?}", token.id, token.owner, token.label)?;
            token.user.map_or(Ok(()), |user| write!(out, " user={user}"))?;
            token.expires_at.map_or(Ok(()), |end| write!(out, " until {}", end.0))?;
            let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
            writeln!(out, " {}", scopes.join(" "))?;
        }
        Ok(())
    }

    fn show_order(&self, id: OrderId, out: &mut String) -> Result<()> {
        let order = match self.machine.state.order(id) {
            OrderLookup::Resident(order) => order,
            other => return Ok(writeln!(out, "order {id} {other:?}")?),
        };
        write!(out, "order {id} {} total={}", order.status, order.total)?;
        if let Some(task) = order.task {
            write!(out, " attempt={} due={}", task.attempt, task.due.0)?;
        }
        if let Some(reason) = &order.failure_reason {
            write!(out, " reason={reason:?}")?;
        }
        writeln!(out)?;
        for row in &order.history {
            let (at, cause) = (text::position(row.position), row.cause.as_str());
            writeln!(out, "  {at} {} {cause}", row.to)?;
        }
        Ok(())
    }

    fn show_hold(&self, id: HoldId, out: &mut String) -> Result<()> {
        let hold = match self.machine.state.hold(id) {
            Lookup::Resident(hold) => hold,
            other => return Ok(writeln!(out, "hold {id} {other:?}")?),
        };
        let status = hold.status_at(self.machine.state.clock());
        write!(out, "hold {id} {status} until {}", hold.expires_at.0)?;
        if let hold::Status::Consumed(order) = status {
            write!(out, " order={order}")?;
        }
        Ok(writeln!(out)?)
    }

    /// Shows a product and its ledger.
    fn show_product(&self, id: ProductId, out: &mut String) -> Result<()> {
        let state = &self.machine.state;
        let Some(product) = state.product(id) else {
            return Ok(writeln!(out, "product {id} is not there")?);
        };
        let stock = product.stock;
        writeln!(
            out,
            "product {id} price={} available={} held={} reserved={} sold={}",
            product.price,
            stock.available(),
            stock.held,
            stock.reserved,
            stock.sold
        )?;
        for (number, row) in state.ledger(id) {
            let cause = row.cause;
            let of = cause.order().map(|id| id.0).or(cause.hold().map(|id| id.0));
            let of = of.or(cause.adjustment().map(|id| id.0));
            let of = of.map(|id| format!(" {id}")).unwrap_or_default();
            let deltas = [row.on_hand, row.held, row.reserved, row.sold];
            let at = text::position(row.position);
            writeln!(out, "  {number}: {at} {}{of} {deltas:?}", cause.as_str())?;
        }
        Ok(())
    }

    fn events(&self, args: &mut Arguments<'_>, out: &mut String) -> Result<()> {
        let after = match args.find::<String>("after")? {
            Some(text) => {
                let (at, n) = text.rsplit_once('.').ok_or("events read INDEX.COMMAND.N")?;
                EventId { position: command::position(at)?, n: n.parse()? }
            }
            None => EventId::default(),
        };
        match self.machine.state.events_after(after, args.or("limit", 100)?) {
            EventPage::Events(events) => {
                for event in events {
                    let (at, kind) = (text::position(event.position), event.kind.as_str());
                    writeln!(out, "{at}.{} {kind}", event.n)?;
                }
            }
            other => writeln!(out, "{other:?}")?,
        }
        Ok(())
    }

    fn list(&self, args: &mut Arguments<'_>) -> Result<String> {
        let status = args.find::<String>("status")?;
        let filter = OrderFilter {
            user: args.find("user")?.map(UserId),
            status: status
                .map(|text| {
                    let named = |status: &Status| status.as_str() == text;
                    Status::ALL.into_iter().find(named).ok_or(format!("no status {text}"))
                })
                .transpose()?,
            product: args.find("product")?.map(ProductId),
            ..OrderFilter::default()
        };
        let page = Page::Number { page: args.or("page", 1)?, per_page: args.or("per", 15)? };
        let page = self.machine.state.list_orders(&filter, page);
        let ids: Vec<_> = page.ids.iter().map(|id| id.0).collect();
        let more = if page.has_more { ", more" } else { "" };
        let total = page.total.ok_or("a numbered page has a total")?;
        Ok(format!("{ids:?} of {total}{more}"))
    }
}

//! Holds: create, read, extend, release.

use client::wire::{self, CursorMeta, Envelope, ErrorCode, HoldList};
use engine::command::{Command, CreateHold, ExtendHold, ReleaseHold};
use engine::hold::{Hold, Status};
use engine::ids::{HoldId, ProductId, Quantity, Timestamp, UserId};
use engine::order::Line;
use engine::outcome::Outcome;
use engine::state::Lookup;
use hyper::StatusCode;
use raft_node::Applied;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::bounds::{HOLDS_DEFAULT, ID_MAX, LIMIT_MAX};
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields, idempotency_key};
use crate::request::json;
use crate::resources::orders::dry_run;
use crate::resources::orders::write::{read_lines, read_user};
use crate::settings::Settings;

const MISSING: &str = "Hold not found.";

/// The most holds that are looked at before the state is given back, so that a list delays no
/// order.
const STEPS: usize = 4096;

/// `POST /holds`
pub(crate) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let header_key = extract::idempotency_key(call.headers)?;
    let object = json::parse(&call.body)?;
    let command = read_hold(&call.fields(&object), header_key.as_deref(), &call.app.settings)?;
    if dry_run::is_asked(call)? {
        return dry_run::answer(call, Command::CreateHold(command)).await;
    }
    let mut applied = call.propose(Command::CreateHold(command)).await?;
    let (id, replayed) = match &applied.outcome {
        Outcome::HoldCreated(id) => (*id, false),
        Outcome::HoldReplayed(id) => (*id, true),
        other => return Err(refused(call, &applied, other).await),
    };
    let reply = written(call, if replayed { 200 } else { 201 }, id, &mut applied).await?;
    Ok(if replayed { reply.replayed() } else { reply.location("holds", id.0) })
}

/// `GET /holds`
pub(crate) async fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    let query = call.query()?;
    let mut errors = Errors::default();
    let freshness = call.freshness(&query, &mut errors);
    let user = query.integer("user_id", 1..=ID_MAX, &mut errors).map(UserId);
    let product = query.integer("product_id", 1..=ID_MAX, &mut errors).map(ProductId);
    let limit = query.integer("limit", 1..=LIMIT_MAX, &mut errors).unwrap_or(HOLDS_DEFAULT);
    let mut after = HoldId(query.integer("cursor", 1..=ID_MAX, &mut errors).unwrap_or(0));
    errors.check()?;
    let user = call.listed_user(user)?;
    call.wait_until_fresh(freshness).await?;
    let is_wanted = |hold: &Hold, now| {
        hold.status_at(now) == Status::Active
            && user.is_none_or(|user| hold.user == Some(user))
            && product.is_none_or(|id| hold.lines.iter().any(|line| line.product == id))
    };
    // One more than the page has, which shows that there is another page.
    let (most, mut found) = (usize::try_from(limit).unwrap_or(usize::MAX), Vec::new());
    let (position, now) = loop {
        let done = call.app.handle.read(|state| {
            for (step, hold) in state.active_holds_after(after).enumerate() {
                if step == STEPS {
                    return None;
                }
                after = hold.id;
                if is_wanted(hold, state.clock()) {
                    found.push(hold.clone());
                }
                if found.len() > most {
                    break;
                }
            }
            Some((state.position(), state.clock()))
        });
        match done {
            Some(done) => break done,
            // Those who wait for the state come first.
            None => tokio::task::yield_now().await,
        }
    };
    let has_more = found.len() > most;
    found.truncate(most);
    let next_cursor = found.last().filter(|_| has_more).map(|hold| hold.id.to_string());
    let data = found.iter().map(|hold| views::hold(hold, now)).collect();
    let body = HoldList::new(data, CursorMeta { next_cursor, has_more });
    Ok(reply::of(200, &body).at(position).fresh(freshness))
}

/// `GET /holds/{id}`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let id = HoldId(call.id(MISSING)?);
    let freshness = call.ready_to_read().await?;
    let (position, clock, found) = call.app.handle.read(|state| {
        let found = match state.hold(id) {
            Lookup::Absent => None,
            Lookup::Resident(hold) => Some(Some(hold.into_owned())),
            Lookup::Stored => Some(None),
        };
        (state.position(), state.clock(), found)
    });
    let missing = || Failure::not_found(MISSING).seen(position, freshness);
    let hold = match found.ok_or_else(missing)? {
        Some(hold) => hold,
        // A stored hold has ended, so it has not changed since.
        None => stored(call, id).await?,
    };
    if call.is_foreign(hold.user) {
        return Err(missing());
    }
    Ok(shown(200, &hold, clock).at(position).fresh(freshness))
}

/// `DELETE /holds/{id}`
pub(crate) async fn release(call: &Call<'_>) -> Result<Reply, Failure> {
    let hold = HoldId(call.id(MISSING)?);
    let applied = call.propose(Command::ReleaseHold(ReleaseHold { hold })).await?;
    match &applied.outcome {
        Outcome::HoldReleased { .. } => {
            Ok(reply::empty(StatusCode::NO_CONTENT).at(applied.position))
        }
        other => match refused(call, &applied, other).await {
            failure if failure.code() == ErrorCode::HoldReleased => {
                Ok(reply::empty(StatusCode::NO_CONTENT).at(applied.position))
            }
            failure => Err(failure),
        },
    }
}

/// `POST /holds/{id}/extend`
pub(crate) async fn extend(call: &Call<'_>) -> Result<Reply, Failure> {
    let hold = HoldId(call.id(MISSING)?);
    let object = json::parse(&call.body)?;
    let command = read_extension(hold, &call.fields(&object), &call.app.settings)?;
    let mut applied = call.propose(Command::ExtendHold(command)).await?;
    match &applied.outcome {
        Outcome::HoldExtended(id) => written(call, 200, *id, &mut applied).await,
        other => Err(refused(call, &applied, other).await),
    }
}

async fn refused(call: &Call<'_>, applied: &Applied, outcome: &Outcome) -> Failure {
    match outcome {
        Outcome::Rejected(rejection) => {
            let ended = call.own_end(rejection).await;
            Failure::rejected(ended.as_ref().unwrap_or(rejection)).at(applied.position)
        }
        other => unexpected(call, other),
    }
}

/// The hold right after the command. The command took effect, so if reading the row fails, the
/// caller gets an unknown outcome.
async fn written(
    call: &Call<'_>,
    status: u16,
    id: HoldId,
    applied: &mut Applied,
) -> Result<Reply, Failure> {
    let hold = match applied.hold.take() {
        Some(hold) => *hold,
        None => stored(call, id).await.map_err(|_| Failure::unknown())?,
    };
    Ok(shown(status, &hold, applied.clock).at(applied.position))
}

async fn stored(call: &Call<'_>, id: HoldId) -> Result<Hold, Failure> {
    let hold = call.app.handle.stored_hold(id).await;
    let hold = hold.map_err(|error| Failure::read(&error, call.trace))?;
    hold.ok_or_else(|| Failure::internal(call.trace, &format!("hold {id} has no row")))
}

fn shown(status: u16, hold: &Hold, now: Timestamp) -> Reply {
    let view: wire::Hold = views::hold(hold, now);
    let version = view.version;
    reply::of(status, &Envelope::new(view)).version(version)
}

const HOLD_FIELDS: [&str; 7] =
    ["user_id", "items", "product_id", "quantity", "qty", "ttl_seconds", "idempotency_key"];

/// Reads the body of `POST /holds`.
fn read_hold(
    fields: &Fields<'_, '_>,
    header_key: Option<&str>,
    settings: &Settings,
) -> Result<CreateHold, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&HOLD_FIELDS, &mut errors);
    let key = idempotency_key(header_key, fields.key(&mut errors))?.map(Box::from);
    let user = read_user(fields, settings, &mut errors);
    let lines = if fields.optional("items").is_some() {
        if fields.optional("product_id").is_some() {
            fields.fault("product_id", "must be left out when there are items.", &mut errors);
        }
        read_lines(fields, &mut errors)
    } else {
        read_only_line(fields, &mut errors).into_iter().collect()
    };
    let ttl_ms = read_ttl_ms(fields, settings, &mut errors);
    errors.finish(Some(CreateHold {
        user,
        lines,
        ttl_ms: ttl_ms.unwrap_or(settings.hold_ttl_ms),
        key,
        ttl_max_ms: settings.hold_ttl_max_ms,
        active_holds_max: settings.active_holds_max,
        require_user: settings.require_users,
        ttl_is_default: ttl_ms.is_none().into(),
    }))
}

/// The line of a hold of one product, whose quantity older clients call `qty`.
fn read_only_line(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Line> {
    let product = fields.required("product_id", errors).and(fields.id("product_id", errors));
    let range = 1..=u64::from(Quantity::MAX.0);
    let quantity = if fields.optional("qty").is_none() {
        fields.required_integer("quantity", range, errors)
    } else {
        let qty = fields.integer("qty", range.clone(), errors);
        let quantity = fields.integer("quantity", range, errors);
        if quantity.is_some() && quantity != qty {
            fields.fault("qty", "must not differ from the quantity field.", errors);
        }
        qty
    };
    let quantity = quantity.and_then(|quantity| u32::try_from(quantity).ok());
    Some(Line { product: ProductId(product?), quantity: Quantity(quantity?) })
}

fn read_extension(
    hold: HoldId,
    fields: &Fields<'_, '_>,
    settings: &Settings,
) -> Result<ExtendHold, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&["ttl_seconds"], &mut errors);
    let ttl_ms =
        fields.required("ttl_seconds", &mut errors).and(read_ttl_ms(fields, settings, &mut errors));
    let ttl_max_ms = settings.hold_ttl_max_ms;
    errors.finish(ttl_ms.map(|ttl_ms| ExtendHold { hold, ttl_ms, ttl_max_ms }))
}

fn read_ttl_ms(fields: &Fields<'_, '_>, settings: &Settings, errors: &mut Errors) -> Option<u64> {
    let seconds_max = (settings.hold_ttl_max_ms / 1000).max(1);
    Some(fields.integer("ttl_seconds", 1..=seconds_max, errors)? * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    fn read_with(body: &str, settings: &Settings) -> Result<CreateHold, Failure> {
        read_hold(&Fields::of(&json::parse(body.as_bytes())?, Handling::Lenient), None, settings)
    }

    fn read(body: &str) -> Result<CreateHold, Failure> {
        read_with(body, &Settings::default())
    }

    fn line(product: u64, quantity: u32) -> Line {
        Line { product: ProductId(product), quantity: Quantity(quantity) }
    }

    #[test]
    fn a_hold_is_of_one_product_or_of_several() {
        for body in [
            r#"{"product_id":4,"qty":3}"#,
            r#"{"product_id":4,"quantity":3}"#,
            r#"{"product_id":4,"quantity":3,"qty":3,"items":null}"#,
            r#"{"items":[{"product_id":4,"quantity":3}],"qty":null}"#,
        ] {
            assert_eq!(read(body).unwrap().lines, [line(4, 3)], "{body}");
        }
        let body = r#"{"items":[{"product_id":4,"quantity":3},{"product_id":5,"quantity":1}],
            "user_id":7,"ttl_seconds":60,"idempotency_key":"k"}"#;
        let hold = read(body).unwrap();
        assert_eq!(hold.lines, [line(4, 3), line(5, 1)]);
        assert_eq!((hold.user, hold.key.as_deref()), (Some(UserId(7)), Some("k")));
        assert_eq!((hold.ttl_ms, hold.ttl_max_ms), (60_000, 3_600_000));
        assert!(!*hold.ttl_is_default);
    }

    #[test]
    fn settings_travel_in_the_command() {
        let settings = Settings {
            hold_ttl_ms: 5_000,
            hold_ttl_max_ms: 9_000,
            active_holds_max: 7,
            require_users: true,
            ..Settings::default()
        };
        let hold = read_with(r#"{"product_id":4,"qty":3,"user_id":1}"#, &settings).unwrap();
        assert_eq!((hold.ttl_ms, hold.ttl_max_ms), (5_000, 9_000));
        assert!(*hold.ttl_is_default, "it is not part of what the request means");
        assert_eq!((hold.active_holds_max, hold.require_user), (7, true));
        let text = format!("{:?}", read_with(r#"{"product_id":4}"#, &settings).unwrap_err());
        for field in ["user_id", "quantity"] {
            assert!(text.contains(&format!("\"{field}\": [")), "{text}");
        }
        let long = r#"{"product_id":4,"qty":3,"user_id":1,"ttl_seconds":10}"#;
        let text = format!("{:?}", read_with(long, &settings).unwrap_err());
        assert!(text.contains("must not be greater than 9."), "{text}");
    }

    #[test]
    fn every_invalid_field_is_a_422_that_names_it() {
        for (field, body) in [
            ("product_id", "{}"),
            ("quantity", "{}"),
            ("product_id", r#"{"qty":1}"#),
            ("product_id", r#"{"product_id":"1","qty":1}"#),
            ("product_id", r#"{"product_id":1,"items":[{"product_id":1,"quantity":1}]}"#),
            ("qty", r#"{"product_id":1,"qty":0}"#),
            ("qty", r#"{"product_id":1,"qty":1.5}"#),
            ("qty", r#"{"product_id":1,"qty":1000001}"#),
            ("qty", r#"{"product_id":1,"qty":1,"quantity":2}"#),
            ("quantity", r#"{"product_id":1,"qty":1,"quantity":"1"}"#),
            ("quantity", r#"{"product_id":1,"quantity":-1}"#),
            ("items", r#"{"items":[]}"#),
            ("items", r#"{"items":{}}"#),
            ("items.0.quantity", r#"{"items":[{"product_id":1}]}"#),
            ("user_id", r#"{"product_id":1,"qty":1,"user_id":0}"#),
            ("ttl_seconds", r#"{"product_id":1,"qty":1,"ttl_seconds":0}"#),
            ("ttl_seconds", r#"{"product_id":1,"qty":1,"ttl_seconds":-1}"#),
            ("ttl_seconds", r#"{"product_id":1,"qty":1,"ttl_seconds":3601}"#),
            ("ttl_seconds", r#"{"product_id":1,"qty":1,"ttl_seconds":1.5}"#),
            ("ttl_seconds", r#"{"product_id":1,"qty":1,"ttl_seconds":"60"}"#),
            ("idempotency_key", r#"{"product_id":1,"qty":1,"idempotency_key":1}"#),
        ] {
            let failure = read(body).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ValidationError, "{body}");
            let text = format!("{failure:?}");
            assert!(text.contains(&format!("\"{field}\": [")), "{body}: {text}");
        }
    }

    #[test]
    fn an_extension_needs_a_duration() {
        let read = |body: &str| {
            let object = json::parse(body.as_bytes()).unwrap();
            read_extension(HoldId(1), &Fields::of(&object, Handling::Lenient), &Settings::default())
        };
        let extension = read(r#"{"ttl_seconds":3600}"#).unwrap();
        assert_eq!((extension.ttl_ms, extension.ttl_max_ms), (3_600_000, 3_600_000));
        for body in ["{}", r#"{"ttl_seconds":null}"#, r#"{"ttl_seconds":0}"#] {
            assert!(read(body).is_err(), "{body}");
        }
    }
}

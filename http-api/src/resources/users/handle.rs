//! Creates and reads users. They never change.

use client::wire::Envelope;
use engine::command::{Command, CreateUser};
use engine::ids::UserId;
use engine::outcome::Outcome;
use engine::user::FIELD_BYTES_MAX;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::fields::{Errors, Fields};
use crate::request::json;

/// `POST /users`
pub(crate) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let object = json::parse(&call.body)?;
    let applied = call.propose(Command::CreateUser(read_user(&call.fields(&object))?)).await?;
    let id = match applied.outcome {
        Outcome::UserCreated(id) => id,
        Outcome::Rejected(rejection) => {
            return Err(Failure::rejected(&rejection).at(applied.position));
        }
        other => return Err(unexpected(call, &other)),
    };
    let user = call.app.handle.read(|state| state.user(id).map(views::user));
    // Users are never removed, and the state is at least as new as the outcome.
    let user = user.ok_or_else(Failure::unknown)?;
    Ok(reply::of(201, &Envelope::new(&user))
        .at(applied.position)
        .version(user.version)
        .location("users", user.id))
}

fn read_user(fields: &Fields<'_, '_>) -> Result<CreateUser, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&["name", "email"], &mut errors);
    let name = fields.required_text("name", FIELD_BYTES_MAX, &mut errors);
    let email = fields.required_text("email", FIELD_BYTES_MAX, &mut errors);
    if email.as_deref().is_some_and(|email| !is_email(email)) {
        fields.fault("email", "must be a valid email address.", &mut errors);
    }
    errors.finish(name.zip(email).map(|(name, email)| CreateUser { name, email }))
}

/// Text on both sides of one `@`, without white space. Only sending mail could check more.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && !text.contains(char::is_whitespace)
}

/// `GET /users/{id}`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    let missing = "User not found.";
    let id = UserId(call.id(missing)?);
    let freshness = call.ready_to_read().await?;
    let (position, user) =
        call.app.handle.read(|state| (state.position(), state.user(id).map(views::user)));
    let user = user.filter(|user| !call.is_foreign(Some(UserId(user.id))));
    let user = user.ok_or_else(|| Failure::not_found(missing).seen(position, freshness))?;
    let reply = reply::of(200, &Envelope::new(&user)).at(position).version(user.version);
    Ok(reply.fresh(freshness))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    #[test]
    fn addresses_have_two_sides() {
        for text in ["a@b", "alice@example.com", "ü+x@bücher.example"] {
            assert!(is_email(text), "{text}");
        }
        for text in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c"] {
            assert!(!is_email(text), "{text}");
        }
    }

    #[test]
    fn both_fields_are_needed() {
        let object = json::parse(b"{\"name\": 1}").unwrap();
        let text = format!("{:?}", read_user(&Fields::of(&object, Handling::Lenient)).unwrap_err());
        assert!(text.contains("The name field must be a string.") && text.contains("email"));
    }
}

//! A page about each problem: the `type` of an error is the path of such a page.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use client::wire::{ErrorCode, Outcome};

use super::html::Html;
use crate::describe::{examples, problems};
use crate::routes;

static PAGES: LazyLock<BTreeMap<&str, Bytes>> =
    LazyLock::new(|| ErrorCode::ALL.iter().map(|code| (name(*code), page(*code).into())).collect());

/// The page about the problem with this name.
pub(super) fn text(name: &str) -> Option<Bytes> {
    PAGES.get(name).cloned()
}

/// A link to the page about a problem.
pub(super) fn link(code: ErrorCode) -> String {
    format!("<a href=\"{}\"><code>{}</code></a>", code.type_path(), code.as_str())
}

/// The last part of the path of a page.
fn name(code: ErrorCode) -> &'static str {
    code.type_path().rsplit('/').next().unwrap_or_default()
}

fn page(code: ErrorCode) -> String {
    let mut html = Html::new(&format!("{}: {}", code.title(), code.as_str()));
    html.raw("<p><a href=\"/docs#problems\">All problems</a></p>");
    html.element("h1", code.title());
    html.raw("<p>Status ");
    html.text(&code.status().to_string());
    html.raw(", code <code>");
    html.text(code.as_str());
    html.raw("</code>, outcome <code>");
    html.text(code.outcome().as_str());
    html.raw("</code>.</p>");
    html.wrapped("p", &sentence(problems::meaning(code)));
    html.wrapped("p", next_step(code));
    html.raw("<h2>Example</h2>");
    html.element("pre", &format!("{:#}", examples::problem(code)));
    html.raw("<h2>Operations that answer it</h2><ul>");
    let mut is_any = false;
    for (_, endpoint) in routes::endpoints() {
        let operation = endpoint.operation();
        if operation.codes().contains(&code) {
            is_any = true;
            html.raw(&format!("<li><a href=\"/docs#{}\"><code>", operation.id));
            html.text(&format!("{} {}", endpoint.method, endpoint.path));
            html.raw("</code></a></li>");
        }
    }
    // No operation lists what the methods of its path decide.
    html.raw(if is_any { "</ul>" } else { "<li>Every path.</li></ul>" });
    html.finish()
}

/// The meaning of a code as a sentence.
fn sentence(meaning: &str) -> String {
    let mut letters = meaning.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// What the sender can do.
fn next_step(code: ErrorCode) -> &'static str {
    match (code.outcome(), code.is_retryable()) {
        (Outcome::Unknown, _) => {
            "The request may have taken effect, or may still do so. Send it again with the same \
             `Idempotency-Key`, or look the key up with `GET /api/v1/orders/by-key/{key}`."
        }
        (Outcome::NotApplied, true) => {
            "Nothing was applied. Send the request again, after the time in `Retry-After` if that \
             header is there; another node may answer sooner."
        }
        (_, true) => {
            "Nothing was changed. Send the request again later, after `retry_after` seconds if the \
             answer has that field."
        }
        (_, false) => {
            "Nothing was changed. Send it again only once what the message names has changed."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_a_problem_is_a_page() {
        for &code in ErrorCode::ALL {
            let name = code.type_path().strip_prefix("/problems/").unwrap();
            let page = text(name).unwrap_or_else(|| panic!("{name} has no page"));
            let page = std::str::from_utf8(&page).unwrap();
            assert!(page.contains(&format!("<h1>{}</h1>", code.title())), "{name}");
            assert!(page.contains(&format!("<code>{}</code>", code.as_str())), "{name}");
            assert!(page.contains(&format!("<p>Status {}, ", code.status())), "{name}");
            let is_of_paths = page.contains("<li>Every path.</li>");
            assert_eq!(is_of_paths, code == ErrorCode::MethodNotAllowed, "{name}");
        }
        assert_eq!(PAGES.len(), ErrorCode::ALL.len());
        assert_eq!(text("nothing"), None);
    }
}

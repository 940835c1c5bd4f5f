//! The console: its files, which are part of the binary, and how browsers may use them.
//!
//! The pages are plain ES modules in `http-api/console/`. They load nothing from elsewhere, and use
//! the same endpoints as every other client.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
};
use sha2::{Digest, Sha256};

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::call::Call;
use crate::failure::Failure;

pub(crate) const PAGE_TYPE: &str = "text/html; charset=utf-8";
pub(crate) const STYLE_TYPE: &str = "text/css; charset=utf-8";
pub(crate) const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";

/// Browsers ask each time whether a file has changed: a new version of a node has a new console.
pub(crate) const CACHING: &str = "no-cache";

/// What browsers may do with the page: run its own scripts, and ask the node that served it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

/// One file of the console.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    tag: HeaderValue,
}

/// Lists files of `http-api/console/` with their content types.
macro_rules! files {
    ($($name:literal: $kind:expr),+ $(,)?) => {
        vec![$({
            let bytes = include_bytes!(concat!("../../../console/", $name));
            File { name: $name, kind: $kind, bytes, tag: tag(bytes) }
        }),+]
    };
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    files! {
        "index.html": PAGE_TYPE,
        "app.css": STYLE_TYPE,
        "action.js": SCRIPT_TYPE,
        "api.js": SCRIPT_TYPE,
        "app.js": SCRIPT_TYPE,
        "chart.js": SCRIPT_TYPE,
        "dom.js": SCRIPT_TYPE,
        "events.js": SCRIPT_TYPE,
        "feed.js": SCRIPT_TYPE,
        "holds.js": SCRIPT_TYPE,
        "live.js": SCRIPT_TYPE,
        "nodes.js": SCRIPT_TYPE,
        "orders.js": SCRIPT_TYPE,
        "overview.js": SCRIPT_TYPE,
        "payments.js": SCRIPT_TYPE,
        "products.js": SCRIPT_TYPE,
        "settings.js": SCRIPT_TYPE,
    }
});

/// The entity tag of a content: the first half of its SHA-256.
fn tag(bytes: &[u8]) -> HeaderValue {
    use std::fmt::Write;
    let mut text = "\"".to_owned();
    for byte in &Sha256::digest(bytes)[..16] {
        write!(text, "{byte:02x}").expect("a string takes all text");
    }
    HeaderValue::try_from(text + "\"").expect("visible ASCII")
}

/// `GET /`
pub(crate) async fn page(call: &Call<'_>) -> Result<Reply, Failure> {
    serve(call.headers, "index.html", PAGE_TYPE)
}

/// `GET /console/app.css`
pub(crate) async fn style(call: &Call<'_>) -> Result<Reply, Failure> {
    serve(call.headers, "app.css", STYLE_TYPE)
}

/// `GET /console/{file}`
pub(crate) async fn script(call: &Call<'_>) -> Result<Reply, Failure> {
    serve(call.headers, call.argument, SCRIPT_TYPE)
}

fn serve(headers: &HeaderMap, name: &str, kind: &'static str) -> Result<Reply, Failure> {
    let file = FILES.iter().find(|file| file.name == name && file.kind == kind);
    let file = file.ok_or_else(|| Failure::not_found("The console has no such file."))?;
    let mut reply = if is_known(headers, &file.tag) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::text(file.bytes, kind).with(CONTENT_SECURITY_POLICY, POLICY)
    };
    reply.headers_mut().insert(ETAG, file.tag.clone());
    Ok(reply.with(CACHE_CONTROL, CACHING))
}

/// Whether the browser has this content already. Compressing proxies make tags weak.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = values.flat_map(|value| value.split(',')).map(str::trim);
    known
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    const BYTES_MAX: usize = 90_000;

    fn text(file: &File) -> &'static str {
        std::str::from_utf8(file.bytes).unwrap()
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let found: BTreeSet<String> = files
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(found, listed);
        let bytes: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn every_import_leads_to_a_file() {
        let mut imports = 0;
        for file in FILES.iter() {
            let lines = text(file).lines().filter(|line| line.starts_with("import "));
            for name in lines.map(|line| line.split('\'').nth(1).unwrap()) {
                let name = name.strip_prefix("./").unwrap_or_else(|| panic!("{name}"));
                assert!(FILES.iter().any(|other| other.name == name), "{}: {name}", file.name);
                imports += 1;
            }
        }
        assert!(imports > 20, "{imports} imports");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for file in FILES.iter() {
            let text = text(file).replace("'http://www.w3.org/2000/svg'", "");
            for bad in ["http://", "https://", "innerHTML", "outerHTML", "eval(", "@import"] {
                assert!(!text.contains(bad), "{} has {bad}", file.name);
            }
            assert!(file.kind != STYLE_TYPE || !text.contains("url("), "{} loads", file.name);
        }
    }

    #[test]
    fn known_content_is_not_sent_again() {
        let tag = HeaderValue::from_static("\"abc\"");
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, text.parse().unwrap());
            is_known(&headers, &tag)
        };
        for text in ["\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\""] {
            assert!(asked(text), "{text}");
        }
        for text in ["\"abd\"", "abc", "", "\"abc"] {
            assert!(!asked(text), "{text}");
        }
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}

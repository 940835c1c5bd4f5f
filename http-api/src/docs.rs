//! The OpenAPI document as a page for people.
//!
//! It is plain HTML, made once. It runs no script and loads nothing, so it works without a network
//! and without scripts.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::endpoint::Endpoint;
use crate::openapi;
use crate::routes;

const STYLE: &str = include_str!("docs.css");

static PAGE: LazyLock<Bytes> = LazyLock::new(|| page(openapi::document()).into());

/// The page, made once.
pub(crate) fn text() -> Bytes {
    PAGE.clone()
}

fn page(document: &Value) -> String {
    let info = &document["info"];
    let mut out = Page { document, html: String::with_capacity(256 << 10) };
    out.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    out.text(text_of(info, "title"));
    out.raw(" API</title><meta name=\"viewport\" content=\"width=device-width\"><style>");
    out.raw(STYLE);
    out.raw("</style></head><body><h1>");
    out.text(text_of(info, "title"));
    out.raw(" API <small>");
    out.text(text_of(info, "version"));
    out.raw("</small></h1><p><a href=\"/openapi.json\">openapi.json</a></p>");
    out.prose(text_of(info, "description"));
    for tag in elements(&document["tags"]) {
        out.tag(tag);
    }
    out.raw("<h2>Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        out.raw(&format!("<section id=\"{name}\"><h3>{name}</h3>"));
        out.prose(text_of(schema, "description"));
        out.shape(schema);
        out.raw("</section>");
    }
    out.raw("</body></html>\n");
    out.html
}

struct Page<'d> {
    document: &'d Value,
    html: String,
}

impl<'d> Page<'d> {
    fn raw(&mut self, html: &str) {
        self.html.push_str(html);
    }

    /// Appends text with HTML escapes.
    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '&' => self.raw("&amp;"),
                '"' => self.raw("&quot;"),
                other => self.html.push(other),
            }
        }
    }

    /// Appends text with the `code` and *emphasis* of Markdown.
    fn line(&mut self, text: &str) {
        for (number, part) in text.split('`').enumerate() {
            if number % 2 == 1 {
                self.raw("<code>");
                self.text(part);
                self.raw("</code>");
                continue;
            }
            for (number, part) in part.split('*').enumerate() {
                let (open, close) = if number % 2 == 1 { ("<em>", "</em>") } else { ("", "") };
                self.raw(open);
                self.text(part);
                self.raw(close);
            }
        }
    }

    /// Appends the paragraphs, headings and lists of the document's Markdown.
    fn prose(&mut self, text: &str) {
        for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
            if let Some(heading) = block.strip_prefix("## ") {
                self.wrapped("h2", heading);
            } else if block.starts_with("- ") {
                self.raw("<ul>");
                for item in block.lines() {
                    self.wrapped("li", item.trim_start_matches("- "));
                }
                self.raw("</ul>");
            } else {
                self.wrapped("p", block);
            }
        }
    }

    fn wrapped(&mut self, element: &str, text: &str) {
        self.raw(&format!("<{element}>"));
        self.line(text);
        self.raw(&format!("</{element}>"));
    }

    /// Follows a reference within the document.
    fn resolve(&self, value: &'d Value) -> &'d Value {
        let target = value.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
        target.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }

    /// The operations of one tag, in the order of the endpoints.
    fn tag(&mut self, tag: &Value) {
        let name = text_of(tag, "name");
        self.wrapped("h2", name);
        self.prose(text_of(tag, "description"));
        for (_, Endpoint { method, path, .. }) in routes::endpoints() {
            let operation = &self.document["paths"][path][method.as_str().to_lowercase()];
            if operation["tags"][0] == name {
                self.operation(method.as_str(), path, operation);
            }
        }
    }

    fn operation(&mut self, method: &str, path: &str, operation: &'d Value) {
        let id = text_of(operation, "operationId");
        self.raw(&format!(
            "<details id=\"{id}\"><summary><b class=\"{method}\">{method}</b> <code>"
        ));
        self.text(path);
        self.raw("</code> ");
        self.text(text_of(operation, "summary"));
        self.raw("</summary>");
        self.prose(text_of(operation, "description"));
        self.parameters(operation);
        if let Some(body) = operation.get("requestBody") {
            let optional = if body["required"] == true { "" } else { " (may be left out)" };
            self.wrapped("h4", &format!("Body{optional}"));
            self.content(body);
        }
        self.raw("<h4>Answers</h4>");
        for (status, response) in members(&operation["responses"]) {
            let response = self.resolve(response);
            self.raw("<details><summary><code>");
            self.text(status);
            self.raw("</code> ");
            let text = text_of(response, "description");
            self.line(text.lines().next().unwrap_or_default());
            self.raw("</summary>");
            self.prose(text.split_once("\n\n").map_or("", |(_, rest)| rest));
            self.content(response);
            self.headers(response);
            self.raw("</details>");
        }
        self.raw("</details>");
    }

    fn parameters(&mut self, operation: &'d Value) {
        self.raw("<h4>Parameters</h4><table>");
        for parameter in elements(&operation["parameters"]) {
            let parameter = self.resolve(parameter);
            self.raw("<tr><td><code>");
            self.text(text_of(parameter, "name"));
            self.raw("</code><td>");
            self.text(text_of(parameter, "in"));
            self.raw("<td>");
            self.kind(&parameter["schema"]);
            self.raw("<td>");
            self.line(text_of(parameter, "description"));
        }
        self.raw("</table>");
    }

    fn headers(&mut self, response: &'d Value) {
        let names: Vec<&str> = members(&response["headers"]).map(|(name, _)| name).collect();
        self.raw("<p>Headers: ");
        self.text(&names.join(", "));
        self.raw("</p>");
    }

    /// The types and examples of a body.
    fn content(&mut self, of: &'d Value) {
        for (kind, content) in members(&of["content"]) {
            self.raw("<p><code>");
            self.text(kind);
            self.raw("</code>: ");
            self.kind(&content["schema"]);
            self.raw("</p>");
            if let Some(example) = content.get("example") {
                self.example(example);
            }
            for (_, example) in members(&content["examples"]) {
                let example = self.resolve(example);
                self.example(&example["value"]);
            }
        }
    }

    fn example(&mut self, example: &Value) {
        self.raw("<pre>");
        self.text(&format!("{example:#}"));
        self.raw("</pre>");
    }

    /// Appends the fields of an object, or the type of anything else.
    fn shape(&mut self, schema: &'d Value) {
        let Some(fields) = schema["properties"].as_object() else {
            self.raw("<p>");
            self.kind(schema);
            return self.raw("</p>");
        };
        let required: Vec<&Value> = elements(&schema["required"]).collect();
        self.raw("<table>");
        for (name, field) in fields {
            let always = required.iter().any(|it| *it == name);
            self.raw("<tr><td><code>");
            self.text(name);
            self.raw(if always { "</code><td>" } else { "</code> ?<td>" });
            self.kind(field);
            self.raw("<td>");
            self.line(text_of(field, "description"));
        }
        self.raw("</table>");
    }

    /// Appends the type and the bounds of a value, in one line.
    fn kind(&mut self, schema: &Value) {
        if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
            return self.raw(&format!("<a href=\"#{name}\">{name}</a>"));
        }
        for alternatives in ["anyOf", "oneOf"] {
            for (number, alternative) in elements(&schema[alternatives]).enumerate() {
                self.raw(if number > 0 { " or " } else { "" });
                self.kind(alternative);
            }
        }
        let words = |value: &Value| elements(value).map(Value::to_string).collect::<Vec<_>>();
        let mut parts = match &schema["type"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(several) => {
                vec![several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")]
            }
            _ => Vec::new(),
        };
        parts.extend(schema.get("const").map(|it| format!("= {it}")));
        parts.extend(Some(words(&schema["enum"]).join(", ")).filter(|it| !it.is_empty()));
        for bound in BOUNDS {
            parts.extend(schema.get(bound).map(|it| format!("{bound} {it}")));
        }
        self.text(&parts.join(", "));
        if let Some(of) = schema.get("items") {
            self.raw(" of ");
            self.kind(of);
        }
    }
}

/// Keywords that are shown beside the type.
const BOUNDS: [&str; 9] = [
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "default",
];

fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> String {
        String::from_utf8(text().to_vec()).unwrap()
    }

    #[test]
    fn every_operation_and_schema_is_on_the_page() {
        let page = shown();
        for (_, Endpoint { method, path, .. }) in routes::endpoints() {
            let head = format!("<b class=\"{method}\">{method}</b> <code>{path}</code>");
            assert_eq!(page.matches(&head).count(), 1, "{method} {path}");
        }
        for (name, _) in members(&openapi::document()["components"]["schemas"]) {
            assert!(page.contains(&format!("<section id=\"{name}\">")), "{name}");
        }
    }

    #[test]
    fn every_link_leads_to_a_place_on_the_page_and_nothing_is_loaded() {
        let page = shown();
        for link in page.split(" href=\"").skip(1) {
            let target = link.split('"').next().unwrap();
            match target.strip_prefix('#') {
                Some(id) => assert!(page.contains(&format!(" id=\"{id}\"")), "{target}"),
                None => assert_eq!(target, "/openapi.json"),
            }
        }
        for loading in [
            "<script", "<link", "<img", "<iframe", "src=", "http://", "https://", "@import", "url(",
        ] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn elements_are_closed_in_order() {
        // Left open on purpose, as HTML allows: cells and rows, which end where the next begins.
        let page = shown();
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1) {
            let name = tag.split(['>', ' ']).next().unwrap();
            match name {
                "!doctype" | "meta" | "tr" | "td" => {}
                _ => match name.strip_prefix('/') {
                    Some(name) => assert_eq!(open.pop(), Some(name), "near {tag}"),
                    None => open.push(name),
                },
            }
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn text_cannot_become_markup() {
        let document = serde_json::json!({
            "info": {"title": "<b>&", "description": "a `<i>` b"},
            "tags": [], "components": {"schemas": {}},
        });
        let page = page(&document);
        assert!(
            page.contains("&lt;b&gt;&amp;") && page.contains("<code>&lt;i&gt;</code>"),
            "{page}"
        );
    }
}

//! The OpenAPI document as pages for people: one about the API, and one about each problem.
//!
//! The pages are plain HTML, made once. They run no script and load nothing, so they work without a
//! network and without scripts.

mod html;
mod problem;

use std::sync::LazyLock;

use bytes::Bytes;
use client::wire::{self, ErrorCode};
use serde_json::{Map, Value};

use self::html::{Html, slug};
use crate::endpoint::Endpoint;
use crate::openapi;
use crate::routes;

static PAGE: LazyLock<Bytes> = LazyLock::new(|| page(openapi::document()).into());

/// The page about the API, made once.
pub(crate) fn text() -> Bytes {
    PAGE.clone()
}

/// The page about the problem with this name, such as `not-found`.
pub(crate) fn problem(name: &str) -> Option<Bytes> {
    problem::text(name)
}

fn page(document: &Value) -> String {
    let info = &document["info"];
    let title = format!("{} API", text_of(info, "title"));
    let mut out = Page { document, html: Html::new(&title) };
    out.html.raw("<h1>");
    out.html.text(&title);
    out.html.raw(" <small>");
    out.html.text(text_of(info, "version"));
    out.html.raw("</small></h1><p><a href=\"/openapi.json\">openapi.json</a>, ");
    out.html.raw("<a href=\"/openapi-strict.json\">openapi-strict.json</a></p>");
    out.contents();
    out.html.prose(text_of(info, "description"));
    for tag in elements(&document["tags"]) {
        out.tag(tag);
    }
    out.problems();
    out.html.raw("<h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        out.html.raw(&format!("<section id=\"{name}\"><h3>{name}</h3>"));
        out.html.prose(text_of(schema, "description"));
        out.shape(schema);
        out.html.raw("</section>");
    }
    out.html.finish()
}

struct Page<'d> {
    document: &'d Value,
    html: Html,
}

impl<'d> Page<'d> {
    /// Follows a reference within the document.
    fn resolve(&self, value: &'d Value) -> &'d Value {
        let target = value.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
        target.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }

    /// Links to the headings, and to the operations of each tag.
    fn contents(&mut self) {
        self.html.raw("<nav aria-label=\"Contents\"><ul>");
        let guide = text_of(&self.document["info"], "description").lines();
        for heading in guide.filter_map(|line| line.strip_prefix("## ")) {
            self.entry(&slug(heading), heading);
        }
        for tag in elements(&self.document["tags"]) {
            let name = text_of(tag, "name");
            self.html.raw("<li>");
            self.link(&tag_id(name), name);
            self.html.raw("<ul>");
            for (id, operation) in self.operations(name) {
                self.entry(id, text_of(operation, "summary"));
            }
            self.html.raw("</ul></li>");
        }
        self.entry("problems", "Problems");
        self.entry("schemas", "Schemas");
        self.html.raw("</ul></nav>");
    }

    fn entry(&mut self, id: &str, text: &str) {
        self.html.raw("<li>");
        self.link(id, text);
        self.html.raw("</li>");
    }

    fn link(&mut self, id: &str, text: &str) {
        self.html.raw(&format!("<a href=\"#{id}\">"));
        self.html.line(text);
        self.html.raw("</a>");
    }

    /// The operations of a tag with their ids, in the order of the endpoints.
    fn operations(&self, tag: &str) -> Vec<(&'d str, &'d Value)> {
        let document = self.document;
        let operations = routes::endpoints().map(|(_, Endpoint { method, path, .. })| {
            &document["paths"][path][method.as_str().to_lowercase()]
        });
        operations
            .filter(|operation| operation["tags"][0] == tag)
            .map(|operation| (text_of(operation, "operationId"), operation))
            .collect()
    }

    /// Every problem, with a link to its page.
    fn problems(&mut self) {
        self.html.raw("<h2 id=\"problems\">Problems</h2><ul>");
        for &code in ErrorCode::ALL {
            self.html.raw(&format!("<li>{} ", code.status()));
            self.html.raw(&problem::link(code));
            self.html.text(&format!(": {}", code.title()));
            self.html.raw("</li>");
        }
        self.html.raw("</ul>");
    }

    /// The operations of one tag, in the order of the endpoints.
    fn tag(&mut self, tag: &Value) {
        let name = text_of(tag, "name");
        self.html.raw(&format!("<h2 id=\"{}\">", tag_id(name)));
        self.html.text(name);
        self.html.raw("</h2>");
        self.html.prose(text_of(tag, "description"));
        for (_, Endpoint { method, path, .. }) in routes::endpoints() {
            let operation = &self.document["paths"][path][method.as_str().to_lowercase()];
            if operation["tags"][0] == name {
                self.operation(method.as_str(), path, operation);
            }
        }
    }

    fn operation(&mut self, method: &str, path: &str, operation: &'d Value) {
        let id = text_of(operation, "operationId");
        self.html.raw(&format!(
            "<details id=\"{id}\"><summary><b class=\"{method}\">{method}</b> <code>"
        ));
        self.html.text(path);
        self.html.raw("</code> ");
        self.html.text(text_of(operation, "summary"));
        self.html.raw("</summary>");
        self.html.prose(text_of(operation, "description"));
        self.parameters(operation);
        if let Some(body) = operation.get("requestBody") {
            let optional = if body["required"] == true { "" } else { " (may be left out)" };
            self.html.wrapped("h4", &format!("Body{optional}"));
            self.content(body);
        }
        self.html.raw("<h4>Answers</h4>");
        for (status, response) in members(&operation["responses"]) {
            let response = self.resolve(response);
            self.html.raw("<details><summary><code>");
            self.html.text(status);
            self.html.raw("</code> ");
            let text = text_of(response, "description");
            self.html.line(text.lines().next().unwrap_or_default());
            self.html.raw("</summary>");
            self.html.prose(text.split_once("\n\n").map_or("", |(_, rest)| rest));
            if response["content"][wire::PROBLEM_JSON].is_object() {
                self.pages(response);
            } else {
                self.content(response);
                self.headers(response);
            }
            self.html.raw("</details>");
        }
        self.html.raw("</details>");
    }

    /// Links to the pages about the problems of a response, which show what its body looks like.
    fn pages(&mut self, response: &'d Value) {
        let examples = &response["content"][wire::PROBLEM_JSON]["examples"];
        let names: Vec<&str> = members(examples).map(|(name, _)| name).collect();
        self.html.raw("<p>See");
        for code in ErrorCode::ALL.iter().filter(|code| names.contains(&code.as_str())) {
            self.html.raw(" ");
            self.html.raw(&problem::link(*code));
        }
        self.html.raw(".</p>");
    }

    fn parameters(&mut self, operation: &'d Value) {
        self.html.raw("<h4>Parameters</h4><table>");
        for parameter in elements(&operation["parameters"]) {
            let parameter = self.resolve(parameter);
            self.html.raw("<tr><td><code>");
            self.html.text(text_of(parameter, "name"));
            self.html.raw("</code><td>");
            self.html.text(text_of(parameter, "in"));
            self.html.raw("<td>");
            self.kind(&parameter["schema"]);
            self.html.raw("<td>");
            self.html.line(text_of(parameter, "description"));
        }
        self.html.raw("</table>");
    }

    fn headers(&mut self, response: &'d Value) {
        let names: Vec<&str> = members(&response["headers"]).map(|(name, _)| name).collect();
        self.html.raw("<p>Headers: ");
        self.html.text(&names.join(", "));
        self.html.raw("</p>");
    }

    /// The types and examples of a body.
    fn content(&mut self, of: &'d Value) {
        for (kind, content) in members(&of["content"]) {
            self.html.raw("<p><code>");
            self.html.text(kind);
            self.html.raw("</code>: ");
            self.kind(&content["schema"]);
            self.html.raw("</p>");
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
        self.html.raw("<pre>");
        self.html.text(&format!("{example:#}"));
        self.html.raw("</pre>");
    }

    /// Appends the fields of an object, or the type of anything else.
    fn shape(&mut self, schema: &'d Value) {
        let Some(fields) = schema["properties"].as_object() else {
            self.html.raw("<p>");
            self.kind(schema);
            return self.html.raw("</p>");
        };
        let required: Vec<&Value> = elements(&schema["required"]).collect();
        self.html.raw("<table>");
        for (name, field) in fields {
            let always = required.iter().any(|it| *it == name);
            self.html.raw("<tr><td><code>");
            self.html.text(name);
            self.html.raw(if always { "</code><td>" } else { "</code> ?<td>" });
            self.kind(field);
            self.html.raw("<td>");
            self.html.line(text_of(field, "description"));
        }
        self.html.raw("</table>");
    }

    /// Appends the type and the bounds of a value, in one line.
    fn kind(&mut self, schema: &Value) {
        if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
            return self.html.raw(&format!("<a href=\"#{name}\">{name}</a>"));
        }
        for alternatives in ["anyOf", "oneOf"] {
            for (number, alternative) in elements(&schema[alternatives]).enumerate() {
                self.html.raw(if number > 0 { " or " } else { "" });
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
        self.html.text(&parts.join(", "));
        if let Some(of) = schema.get("items") {
            self.html.raw(" of ");
            self.kind(of);
        }
    }
}

/// The id of the heading of a tag. Names of tags are names of headings of the guide too.
fn tag_id(name: &str) -> String {
    format!("tag-{}", slug(name))
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
                None => match target.strip_prefix("/problems/") {
                    Some(name) => assert!(problem(name).is_some(), "{target}"),
                    None => assert!(target.starts_with("/openapi"), "{target}"),
                },
            }
        }
        for loading in [
            "<script", "<link", "<img", "<iframe", "src=", "http://", "https://", "@import", "url(",
        ] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn the_page_is_small_and_its_commands_are_whole() {
        use std::io::Write;
        let mut small = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        small.write_all(&text()).unwrap();
        let bytes = small.finish().unwrap().len();
        assert!(bytes < 150_000, "{bytes} bytes");
        assert!(shown().contains("-hmac &quot;$secret&quot; | sed 's/.* //')\n"));
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

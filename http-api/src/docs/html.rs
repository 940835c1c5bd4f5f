//! HTML from text: escapes, and the little Markdown that the OpenAPI document uses.

/// A page that grows.
pub(super) struct Html {
    text: String,
}

impl Html {
    /// A page with its head, up to its body. It loads nothing.
    pub(super) fn new(title: &str) -> Html {
        let mut html = Html { text: String::with_capacity(256 << 10) };
        html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
        html.text(title);
        html.raw("</title><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
        html.raw("<style>");
        html.raw(include_str!("../docs.css"));
        html.raw("</style></head><body>");
        html
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        self.raw("</body></html>\n");
        self.text
    }

    /// Appends markup.
    pub(super) fn raw(&mut self, html: &str) {
        self.text.push_str(html);
    }

    /// Appends text with HTML escapes.
    pub(super) fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '&' => self.raw("&amp;"),
                '"' => self.raw("&quot;"),
                other => self.text.push(other),
            }
        }
    }

    /// Appends text as it is, in an element.
    pub(super) fn element(&mut self, element: &str, text: &str) {
        self.raw(&format!("<{element}>"));
        self.text(text);
        self.raw(&format!("</{element}>"));
    }

    /// Appends text with the `code` and *emphasis* of Markdown.
    pub(super) fn line(&mut self, text: &str) {
        for (number, part) in text.split('`').enumerate() {
            if number % 2 == 1 {
                self.element("code", part);
            } else {
                self.emphasis(part);
            }
        }
    }

    fn emphasis(&mut self, mut text: &str) {
        while let Some((before, word, after)) = emphasised(text) {
            self.text(before);
            self.element("em", word);
            text = after;
        }
        self.text(text);
    }

    /// Appends a line of Markdown in an element.
    pub(super) fn wrapped(&mut self, element: &str, text: &str) {
        self.raw(&format!("<{element}>"));
        self.line(text);
        self.raw(&format!("</{element}>"));
    }

    /// Appends the paragraphs, headings, lists and code blocks of Markdown.
    pub(super) fn prose(&mut self, text: &str) {
        let blocks = text.split("\n\n").map(|block| block.trim_matches('\n').trim_end());
        for block in blocks.filter(|block| !block.is_empty()) {
            if let Some(heading) = block.strip_prefix("## ") {
                self.raw(&format!("<h2 id=\"{}\">", slug(heading)));
                self.line(heading);
                self.raw("</h2>");
            } else if block.starts_with("- ") {
                self.raw("<ul>");
                for item in block.lines() {
                    self.wrapped("li", item.trim_start_matches("- "));
                }
                self.raw("</ul>");
            } else if block.starts_with("    ") {
                let lines = block.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
                self.element("pre", &lines.collect::<Vec<_>>().join("\n"));
            } else {
                self.wrapped("p", block.trim());
            }
        }
    }
}

/// The first emphasised words of a text, with what stands before and after them. A star beside
/// white space is a star.
fn emphasised(text: &str) -> Option<(&str, &str, &str)> {
    let starts = |text: &str| text.starts_with(|first: char| !first.is_whitespace());
    let ends = |text: &str| text.ends_with(|last: char| !last.is_whitespace());
    text.match_indices('*').find_map(|(open, _)| {
        let rest = &text[open + 1..];
        let (word, after) = rest.split_once('*')?;
        (starts(word) && ends(word)).then_some((&text[..open], word, after))
    })
}

/// The id of a heading.
pub(super) fn slug(heading: &str) -> String {
    heading.to_lowercase().replace(|character: char| !character.is_ascii_alphanumeric(), "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut html = Html { text: String::new() };
        html.prose(text);
        html.text
    }

    #[test]
    fn markdown_becomes_markup_and_text_does_not() {
        for (text, html) in [
            ("a `<i>` *b* c", "<p>a <code>&lt;i&gt;</code> <em>b</em> c</p>"),
            ("## So *it* is", "<h2 id=\"so--it--is\">So <em>it</em> is</h2>"),
            ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
            ("2 * 3 * 4, a *b, c", "<p>2 * 3 * 4, a *b, c</p>"),
            ("see *A*, *B*", "<p>see <em>A</em>, <em>B</em></p>"),
            ("    sed 's/.* //' *x*\n    \"q\"", "<pre>sed 's/.* //' *x*\n&quot;q&quot;</pre>"),
            ("a\n\nb", "<p>a</p><p>b</p>"),
        ] {
            assert_eq!(shown(text), html);
        }
    }
}

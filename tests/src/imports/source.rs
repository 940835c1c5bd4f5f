//! Reads what one source file declares, imports and names.
//!
//! It works on tokens, so comments and strings do not count as imports. It skips everything under
//! `#[cfg(test)]`. It does not expand macros: names that a macro makes are unknown here, and
//! paths inside a macro call count like any other code.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Ident, Spacing, Span, TokenStream, TokenTree};

/// A name that a `use` brings into a module.
#[derive(Debug)]
pub(super) struct Use {
    /// The name in this module, `*` for a glob.
    pub name: String,
    /// The path as written, without a final `self` or `*`.
    pub path: Vec<String>,
    /// Whether other modules see the name here.
    pub is_public: bool,
    /// The line of the name.
    pub line: usize,
}

/// One module: a file, or a `mod name { … }` inside one.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// Modules inside braces.
    pub inline: BTreeMap<String, Module>,
    /// Modules in files of their own, with the path attribute if there is one.
    pub files: BTreeMap<String, Option<String>>,
    /// Items that the module defines.
    pub items: BTreeSet<String>,
    /// Names that it imports, those inside functions included.
    pub uses: Vec<Use>,
    /// Paths of two segments or more in code, with their lines.
    pub paths: Vec<(Vec<String>, usize)>,
    /// Where each name first stands in code, outside of imports.
    pub names: BTreeMap<String, usize>,
}

impl Module {
    /// Reads a file.
    ///
    /// # Panics
    /// When the text is not Rust.
    pub(super) fn read(file: &str, text: &str) -> Module {
        let tokens: TokenStream =
            text.parse().unwrap_or_else(|error| panic!("{file} is not Rust: {error}"));
        let mut module = Module::default();
        module.scan(tokens, true);
        module
    }

    /// Scans tokens; `top` is true where items belong to the module itself.
    fn scan(&mut self, tokens: TokenStream, top: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut is_public = false;
        let mut path_attribute = None;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    let (next, attribute) = attribute(&tokens, at);
                    at = next;
                    if is_test_only(&attribute) {
                        at = item_end(&tokens, at, top);
                    } else if let Some(path) = path_value(&attribute) {
                        path_attribute = Some(path);
                    } else if !starts_with(&attribute, "doc") {
                        self.scan(attribute, false);
                    }
                    continue;
                }
                // What follows `.` is a field or a method; what follows `::` here belongs to a
                // type in angle brackets.
                TokenTree::Punct(punct) if punct.as_char() == '.' => at += 1,
                _ if is_colons(&tokens, at) => at += 2,
                TokenTree::Group(group) => {
                    self.scan(group.stream(), false);
                    at += 1;
                    is_public = false;
                    path_attribute = None;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    let word = ident.to_string();
                    match word.as_str() {
                        "pub" => {
                            is_public = true;
                            at += 1;
                            at += usize::from(is_group(&tokens, at, Delimiter::Parenthesis));
                        }
                        "use" => {
                            let end = tokens[at..].iter().position(is_semicolon);
                            let end = end.map_or(tokens.len(), |found| at + found);
                            self.read_use(&tokens[at + 1..end], &[], is_public);
                            is_public = false;
                            at = end + 1;
                        }
                        "mod" if top => {
                            at = self.read_mod(&tokens, at + 1, path_attribute.take());
                            is_public = false;
                        }
                        _ => {
                            is_public = false;
                            if top && defines(&word) {
                                self.read_definition(&tokens, at + 1);
                            }
                            at = self.read_path(&tokens, at);
                        }
                    }
                    continue;
                }
                _ => {
                    at += 1;
                    continue;
                }
            }
            // After `.` or `::`: the name that follows is not a path of this module.
            at += usize::from(matches!(tokens.get(at), Some(TokenTree::Ident(_))));
        }
    }

    /// Reads `name;` or `name { … }` behind `mod`. Gives the place after it.
    fn read_mod(&mut self, tokens: &[TokenTree], at: usize, path: Option<String>) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(at) else { return at };
        if let Some(TokenTree::Group(group)) = tokens.get(at + 1) {
            let mut inner = Module::default();
            inner.scan(group.stream(), true);
            self.inline.insert(name.to_string(), inner);
        } else {
            self.files.insert(name.to_string(), path);
        }
        at + 2
    }

    /// Notes the name of an item whose keyword stands before `at`.
    fn read_definition(&mut self, tokens: &[TokenTree], at: usize) {
        // Between `macro_rules` and its name stands `!`.
        let at = at + usize::from(matches!(&tokens.get(at), Some(TokenTree::Punct(_))));
        if let Some(TokenTree::Ident(name)) = tokens.get(at) {
            self.items.insert(name.to_string());
        }
    }

    /// Reads the path that begins at `at`. Gives the place after it.
    fn read_path(&mut self, tokens: &[TokenTree], mut at: usize) -> usize {
        let mut path = Vec::new();
        let mut start = None;
        while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
            start.get_or_insert(ident.span());
            path.push(ident.to_string());
            at += 1;
            // Not `::<`, which belongs to the last segment.
            if !is_colons(tokens, at) || !matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) {
                break;
            }
            at += 2;
        }
        let line = start.map_or(0, line);
        self.names.entry(path[0].clone()).or_insert(line);
        if path.len() > 1 {
            self.paths.push((path, line));
        }
        at
    }

    /// Reads the tree of a `use` below `prefix`.
    fn read_use(&mut self, tokens: &[TokenTree], prefix: &[String], is_public: bool) {
        let mut path = prefix.to_vec();
        let mut last: Option<&Ident> = None;
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "as" => {
                    if let (Some(TokenTree::Ident(name)), Some(last)) = (tokens.get(at + 1), last) {
                        self.add_use(name.to_string(), path, is_public, last.span());
                    }
                    return;
                }
                TokenTree::Ident(word) => {
                    last = Some(word);
                    // `a::{self}` imports `a`; `self::a` begins in this module.
                    if word != "self" || path.is_empty() {
                        path.push(word.to_string());
                    }
                    at += 1;
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    self.add_use("*".to_owned(), path, is_public, punct.span());
                    return;
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let is_comma = |token: &TokenTree| match token {
                        TokenTree::Punct(punct) => punct.as_char() == ',',
                        _ => false,
                    };
                    for part in inner.split(is_comma).filter(|part| !part.is_empty()) {
                        self.read_use(part, &path, is_public);
                    }
                    return;
                }
                _ => at += 1,
            }
        }
        if let (Some(name), Some(last)) = (path.last().cloned(), last) {
            self.add_use(name, path, is_public, last.span());
        }
    }

    fn add_use(&mut self, name: String, path: Vec<String>, is_public: bool, span: Span) {
        self.uses.push(Use { name, path, is_public, line: line(span) });
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

/// Whether this keyword stands before the name of an item. `const` also stands before `fn`.
fn defines(word: &str) -> bool {
    let keywords =
        ["struct", "enum", "union", "trait", "type", "const", "static", "fn", "macro_rules"];
    keywords.contains(&word)
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: Option<&TokenTree>, spacing: Option<Spacing>| {
        matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':'
            && spacing.is_none_or(|spacing| punct.spacing() == spacing))
    };
    is_colon(tokens.get(at), Some(Spacing::Joint)) && is_colon(tokens.get(at + 1), None)
}

fn is_group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

/// Gives the place after the attribute whose `#` is at `at`, and what it says.
fn attribute(tokens: &[TokenTree], at: usize) -> (usize, TokenStream) {
    let is_inner = matches!(tokens.get(at + 1), Some(TokenTree::Punct(punct))
        if punct.as_char() == '!');
    let body = at + 1 + usize::from(is_inner);
    match tokens.get(body) {
        Some(TokenTree::Group(group)) => (body + 1, group.stream()),
        _ => (body, TokenStream::new()),
    }
}

fn starts_with(attribute: &TokenStream, word: &str) -> bool {
    matches!(attribute.clone().into_iter().next(), Some(TokenTree::Ident(ident)) if ident == word)
}

/// Whether an attribute is `cfg(test)` or `cfg(all(test, …))`.
fn is_test_only(attribute: &TokenStream) -> bool {
    let text: String = attribute.to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The file of `path = "…"`.
fn path_value(attribute: &TokenStream) -> Option<String> {
    let text = attribute.to_string();
    let value = text.strip_prefix("path")?.trim_start().strip_prefix('=')?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// The place after the item at `at`: behind its `;` or its braces. Inside of items a comma ends it
/// too, as that of a field.
fn item_end(tokens: &[TokenTree], mut at: usize, top: bool) -> usize {
    while at < tokens.len() {
        let ends = match &tokens[at] {
            TokenTree::Punct(punct) => punct.as_char() == ';' || (!top && punct.as_char() == ','),
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        at += 1;
        if ends {
            break;
        }
    }
    at
}

//! Finds circles of imports between the files of a crate.
//!
//! File `a.rs` imports `b.rs` when its code names something that `b.rs` defines, by a `use` or by
//! a path. Names are followed through re-exports to the file that defines them. So:
//!
//! - a parent that only declares `mod child;` or re-exports `child::X` does not import the child;
//! - a parent that uses a name of its child in code imports the child;
//! - a child that uses a name defined in its parent imports the parent.
//!
//! Methods are not names here: who calls a method whose `impl` block is in another file does not
//! import that file. Code under `#[cfg(test)]` does not count.

mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Display, Formatter, Write as _};

use source::{Module, Use};

/// How far a name is followed through re-exports. Only a re-export of itself is deeper.
const HOPS_MAX: usize = 16;

/// One import: which name on which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The line in the importing file.
    pub line: usize,
    /// The path as written there.
    pub path: String,
}

/// A circle of imports: each file imports the next, and the last imports the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<(String, Import)>);

impl Display for Circle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (file, _) in &self.0 {
            write!(f, "{file} -> ")?;
        }
        write!(f, "{}", self.0[0].0)?;
        for (file, import) in &self.0 {
            write!(f, "\n    {file}:{}: {}", import.line, import.path)?;
        }
        Ok(())
    }
}

/// The imports between the files of one crate.
#[derive(Debug, Default)]
pub struct Imports {
    /// Per file the files that it imports, with the first import of each.
    edges: BTreeMap<String, BTreeMap<String, Import>>,
}

impl Imports {
    /// Reads the crate whose root is the file `root`, out of `sources` by path.
    ///
    /// # Panics
    /// When a file of a module is missing or is no Rust.
    pub fn read(root: &str, sources: &BTreeMap<String, String>) -> Imports {
        let mut tree = Tree::default();
        tree.load(root, Vec::new(), &children_dir(root, true), sources);
        let mut imports = Imports::default();
        for path in tree.modules.keys() {
            tree.imports(path, &mut imports);
        }
        imports
    }

    /// The shortest circle through each import, each once, the shortest first.
    pub fn circles(&self) -> Vec<Circle> {
        let mut found: BTreeMap<(usize, Vec<&str>), Circle> = BTreeMap::new();
        for (from, targets) in &self.edges {
            for to in targets.keys() {
                let Some(mut files) = self.shortest(to, from) else { continue };
                // The same circle has the same first file, whichever import it was found by.
                let least = (0..files.len()).min_by_key(|at| files[*at]).unwrap_or(0);
                files.rotate_left(least);
                found.entry((files.len(), files.clone())).or_insert_with(|| self.circle(&files));
            }
        }
        found.into_values().collect()
    }

    fn circle(&self, files: &[&str]) -> Circle {
        let next = files.iter().cycle().skip(1);
        let imports = files.iter().zip(next);
        Circle(
            imports
                .map(|(from, to)| ((*from).to_owned(), self.edges[*from][*to].clone()))
                .collect(),
        )
    }

    /// The files on the shortest way from one to the other, both included.
    fn shortest<'a>(&'a self, from: &'a str, to: &'a str) -> Option<Vec<&'a str>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = VecDeque::from([from]);
        while let Some(file) = waiting.pop_front() {
            if file == to {
                let mut way = vec![to];
                while way[way.len() - 1] != from {
                    way.push(before[way[way.len() - 1]]);
                }
                way.reverse();
                return Some(way);
            }
            for next in self.edges.get(file).into_iter().flat_map(BTreeMap::keys) {
                if next != from && !before.contains_key(next.as_str()) {
                    before.insert(next, file);
                    waiting.push_back(next);
                }
            }
        }
        None
    }

    fn add(&mut self, from: &str, to: &str, line: usize, path: &[String]) {
        if from != to {
            let import = Import { line, path: path.join("::") };
            let targets = self.edges.entry(from.to_owned()).or_default();
            targets.entry(to.to_owned()).or_insert(import);
        }
    }
}

/// The directory of the modules that `file` declares.
fn children_dir(file: &str, is_root: bool) -> String {
    let (dir, name) = file.rsplit_once('/').unwrap_or(("", file));
    let dir = if dir.is_empty() { String::new() } else { format!("{dir}/") };
    if is_root || name == "mod.rs" {
        dir
    } else {
        format!("{dir}{}/", name.trim_end_matches(".rs"))
    }
}

type ModulePath = Vec<String>;

/// The path without `..`.
fn without_parents(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// A module itself.
    Module(ModulePath),
    /// A name that this module defines, or one that only a macro of it can have made.
    Item(ModulePath),
}

/// All modules of a crate.
#[derive(Debug, Default)]
struct Tree {
    /// Per module its file and what it holds.
    modules: BTreeMap<ModulePath, (String, Module)>,
}

impl Tree {
    fn load(
        &mut self,
        file: &str,
        path: ModulePath,
        dir: &str,
        sources: &BTreeMap<String, String>,
    ) {
        let text = sources.get(file).unwrap_or_else(|| panic!("{file}: there is no such file"));
        self.insert(file, path, dir, Module::read(file, text), sources);
    }

    fn insert(
        &mut self,
        file: &str,
        path: ModulePath,
        dir: &str,
        mut module: Module,
        sources: &BTreeMap<String, String>,
    ) {
        for (name, path_attribute) in &module.files {
            let child = [path.as_slice(), std::slice::from_ref(name)].concat();
            let beside = file.rsplit_once('/').map_or("", |(dir, _)| dir);
            let candidates = match path_attribute {
                Some(path) => vec![without_parents(&format!("{beside}/{path}"))],
                None => vec![format!("{dir}{name}.rs"), format!("{dir}{name}/mod.rs")],
            };
            let found = candidates.iter().find(|candidate| sources.contains_key(*candidate));
            let found = found.unwrap_or_else(|| panic!("{file}: no file of module {name}"));
            self.load(found, child, &children_dir(found, false), sources);
        }
        for (name, inner) in std::mem::take(&mut module.inline) {
            let child = [path.as_slice(), std::slice::from_ref(&name)].concat();
            self.insert(file, child, &format!("{dir}{name}/"), inner, sources);
        }
        self.modules.insert(path, (file.to_owned(), module));
    }

    fn file(&self, path: &[String]) -> &str {
        &self.modules[path].0
    }

    /// Adds what one module imports.
    fn imports(&self, at: &ModulePath, imports: &mut Imports) {
        let (file, module) = &self.modules[at];
        for import in &module.uses {
            let Some(target) = self.resolve(at, &import.path, HOPS_MAX) else { continue };
            let (target, line) = match target {
                // A module's name brings nothing by itself: the paths that begin with it do.
                Target::Module(_) if import.name != "*" => continue,
                Target::Module(path) | Target::Item(path) => (path, import.line),
            };
            let is_reexport_of_child = import.is_public && target.starts_with(at);
            let line = match module.names.get(&import.name) {
                _ if !is_reexport_of_child => line,
                Some(used) => *used,
                None => continue,
            };
            imports.add(file, self.file(&target), line, &import.path);
        }
        for (path, line) in &module.paths {
            // A name that a `use` brought is counted there, unless it is that of a module.
            let begins_with_item =
                matches!(self.resolve(at, &path[..1], HOPS_MAX), Some(Target::Item(_)));
            if begins_with_item {
                continue;
            }
            if let Some(Target::Item(target)) = self.resolve(at, path, HOPS_MAX) {
                imports.add(file, self.file(&target), *line, path);
            }
        }
    }

    /// Follows a path that stands in the module `at`. `None` leads out of the crate.
    fn resolve(&self, at: &[String], path: &[String], hops: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.follow(Vec::new(), rest, hops),
            "self" => self.follow(at.to_vec(), rest, hops),
            "super" => {
                let (_, parent) = at.split_last()?;
                let mut from = vec!["self".to_owned()];
                from.extend_from_slice(rest);
                // `super::super::x` goes on from the parent as `super::x` does.
                let rest =
                    if rest.first().is_some_and(|next| next == "super") { rest } else { &from };
                self.resolve(parent, rest, hops)
            }
            _ => self.step(at, first, rest, hops),
        }
    }

    /// Follows a path from the module that it is known to be in: the last module on the way
    /// defines what no module shows.
    fn follow(&self, at: ModulePath, path: &[String], hops: usize) -> Option<Target> {
        let Some((first, rest)) = path.split_first() else { return Some(Target::Module(at)) };
        self.step(&at, first, rest, hops).or(Some(Target::Item(at)))
    }

    /// Looks one name up in a module and follows the rest. `None` when the module shows no such
    /// name.
    fn step(&self, at: &[String], name: &str, rest: &[String], hops: usize) -> Option<Target> {
        let hops = hops.checked_sub(1)?;
        let (_, module) = &self.modules[at];
        if module.items.contains(name) && rest.is_empty() {
            return Some(Target::Item(at.to_vec()));
        }
        let child = [at, &[name.to_owned()]].concat();
        if self.modules.contains_key(&child) {
            return self.follow(child, rest, hops);
        }
        if module.items.contains(name) {
            return Some(Target::Item(at.to_vec()));
        }
        let named =
            |import: &&Use| import.name == name && import.path.first() != Some(&import.name);
        if let Some(import) = module.uses.iter().find(named) {
            return match self.resolve(at, &import.path, hops)? {
                Target::Module(path) => self.follow(path, rest, hops),
                item => Some(item),
            };
        }
        // A glob shows what its module defines or re-exports.
        module.uses.iter().filter(|import| import.name == "*").find_map(|import| {
            match self.resolve(at, &import.path, hops)? {
                Target::Module(path) => self.step(&path, name, rest, hops),
                Target::Item(_) => None,
            }
        })
    }
}

/// Lists the circles, and says how many files they hold together.
pub fn describe(circles: &[Circle]) -> String {
    let files = circles.iter().flat_map(|circle| circle.0.iter().map(|(file, _)| file));
    let files: BTreeSet<&String> = files.collect();
    let mut text = format!("{} circles of imports in {} files\n", circles.len(), files.len());
    for circle in circles {
        let _ = writeln!(text, "{circle}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Circles of a crate with these files.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(file, text)| ((*file).into(), (*text).into())).collect();
        Imports::read("src/lib.rs", &sources).circles().iter().map(Circle::to_string).collect()
    }

    #[test]
    fn finds_a_circle_of_two_files_with_the_line_of_each_import() {
        let found = circles(&[
            ("src/lib.rs", "mod a;\nmod b;"),
            ("src/a.rs", "\nuse crate::b::B;\npub struct A(B);"),
            ("src/b.rs", "pub struct B;\nimpl B {\n    fn a(&self, a: crate::a::A) {}\n}"),
        ]);
        let wanted = "src/a.rs -> src/b.rs -> src/a.rs\n    src/a.rs:2: crate::b::B\n    \
                      src/b.rs:3: crate::a::A";
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn finds_no_circle_in_a_chain() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b; mod c; pub use a::A;"),
            ("src/a.rs", "use crate::{b::B, c}; pub struct A(B, c::C);"),
            ("src/b.rs", "use super::c::C; pub struct B(C);"),
            ("src/c.rs", "pub struct C; // crate::a::A\nconst TEXT: &str = \"crate::a::A\";"),
        ]);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn finds_a_circle_of_three_files_once() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b; mod c;"),
            ("src/a.rs", "pub fn a() { super::b::b() }"),
            ("src/b.rs", "use crate::c; pub fn b() { c::c() }"),
            ("src/c.rs", "pub fn c() { let _ = vec![crate::a::a()]; }"),
        ]);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("src/a.rs -> src/b.rs -> src/c.rs -> src/a.rs\n"));
    }

    #[test]
    fn a_parent_that_uses_its_child_imports_it() {
        let child = ("src/a/child.rs", "use super::Parent; pub struct Child(Parent);");
        let parents = [
            "mod child; pub struct Parent; fn make() -> child::Child { child::Child }",
            "mod child; use child::Child; pub struct Parent; type Other = Child;",
            "mod child; pub use self::child::Child; pub struct Parent; type Other = Child;",
        ];
        for parent in parents {
            let found = circles(&[("src/lib.rs", "mod a;"), ("src/a.rs", parent), child]);
            assert_eq!(found.len(), 1, "{parent}: {found:#?}");
        }
    }

    #[test]
    fn a_parent_that_declares_or_reexports_its_child_does_not_import_it() {
        for parent in [
            "pub mod child; pub struct Parent;",
            "mod child; pub use child::Child;
            pub struct Parent;",
        ] {
            let found = circles(&[
                ("src/lib.rs", "mod a;"),
                ("src/a.rs", parent),
                ("src/a/child.rs", "use super::Parent; pub struct Child(Parent);"),
            ]);
            assert!(found.is_empty(), "{parent}: {found:#?}");
        }
    }

    #[test]
    fn names_are_followed_through_reexports() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "mod c; mod d; pub use c::C;"),
            ("src/a/c.rs", "pub struct C;"),
            ("src/a/d.rs", "use super::C; pub struct D(C);"),
            ("src/b.rs", "use crate::a::C; pub struct B(C);"),
        ]);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn tests_do_not_count() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b;"),
            (
                "src/a.rs",
                "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }
                #[cfg(test)] use crate::b::B;
                #[cfg(all(test, unix))] mod more;
                impl A { #[cfg(test)] fn b() { crate::b::b() } }",
            ),
            ("src/b.rs", "use crate::a::A; pub struct B(A);"),
        ]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

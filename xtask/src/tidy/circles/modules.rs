//! The modules of one crate as a tree of files, and the file that a path leads to.

use std::collections::BTreeMap;

use super::paths::{self, Import, Mention, Paths};
use crate::tidy::project::Project;

/// Re-exports of re-exports are followed this far.
const DEPTH_MAX: usize = 16;

/// A file of the crate.
#[derive(Debug)]
pub(super) struct Module {
    /// Relative to the repository's root.
    pub(super) file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    paths: Paths,
}

/// The product's files of one crate, the root first.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) all: Vec<Module>,
}

/// Use of one name of another file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    /// Index of the file that defines the name.
    pub(super) of: usize,
    pub(super) name: String,
    pub(super) line: usize,
}

/// The end of a path: a module, or an item in a module's file.
type Place<'path> = (usize, Option<&'path str>);

impl Modules {
    /// Follows the `mod` lines from the crate's root file.
    pub(super) fn read(project: &Project, root: &str) -> Self {
        let mut modules = Self::default();
        modules.add(project, root, None);
        modules
    }

    fn add(&mut self, project: &Project, path: &str, parent: Option<usize>) -> Option<usize> {
        let rust = project.file(path)?.rust.as_ref()?;
        if rust.is_test(1) {
            return None;
        }
        let index = self.all.len();
        self.all.push(Module {
            file: path.to_owned(),
            parent,
            children: BTreeMap::new(),
            paths: paths::read(rust),
        });
        for name in self.all[index].paths.modules.clone() {
            let child = rust
                .module_paths(&name)
                .iter()
                .find_map(|path| self.add(project, path, Some(index)));
            if let Some(child) = child {
                self.all[index].children.insert(name, child);
            }
        }
        Some(index)
    }

    /// The names of other files of the crate that the file `from` uses.
    ///
    /// A module that is only named does not count as used, nor does a name that is only re-exported.
    pub(super) fn uses(&self, from: usize) -> Vec<Use> {
        let paths = &self.all[from].paths;
        let imports = paths.imports.iter().filter(|it| !it.handed_on);
        let imported = imports.filter_map(|import| {
            let Import {
                path, inside, line, ..
            } = import;
            Some((self.resolve_inside(from, inside, path)?, *line))
        });
        let mentioned = paths.mentions.iter().filter_map(|mention| {
            let Mention { path, inside, line } = mention;
            Some((self.resolve_inside(from, inside, path)?, *line))
        });
        let mut uses: Vec<Use> = imported
            .chain(mentioned)
            .filter(|((of, _name), _line)| *of != from)
            .filter_map(|((of, name), line)| {
                let name = name?.to_owned();
                Some(Use { of, name, line })
            })
            .collect();
        uses.sort();
        uses.dedup_by(|one, other| one.of == other.of && one.name == other.name);
        uses
    }

    /// Resolves a path that stands in the inline modules `inside` of a file.
    fn resolve_inside<'path>(
        &'path self,
        from: usize,
        inside: &[String],
        path: &'path [String],
    ) -> Option<Place<'path>> {
        let supers = path.iter().take_while(|it| *it == "super").count();
        // `super` out of an inline module is still the same file.
        let own = supers.min(inside.len());
        match path.get(own..)? {
            [] => Some((from, None)),
            rest if own == 0 => self.resolve(from, rest, 0),
            rest if rest[0] == "super" => self.resolve(from, rest, 0),
            rest => self.walk(from, rest, 0),
        }
    }

    fn resolve<'path>(
        &'path self,
        from: usize,
        path: &'path [String],
        depth: usize,
    ) -> Option<Place<'path>> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(0, rest, depth),
            "self" => self.walk(from, rest, depth),
            "super" => {
                let mut at = self.all[from].parent?;
                let mut rest = rest;
                while let Some((_super, behind)) = rest.split_first().filter(|it| it.0 == "super") {
                    at = self.all[at].parent?;
                    rest = behind;
                }
                self.walk(at, rest, depth)
            }
            name => {
                let is_child = self.all[from].children.contains_key(name);
                let is_known = is_child || self.import(from, name).is_some();
                is_known.then(|| self.walk(from, path, depth))?
            }
        }
    }

    /// Follows `path` down from a module, through the module's re-exports.
    fn walk<'path>(
        &'path self,
        at: usize,
        path: &'path [String],
        depth: usize,
    ) -> Option<Place<'path>> {
        let Some((name, rest)) = path.split_first() else {
            return Some((at, None));
        };
        let import = self.import(at, name);
        if let Some(child) = self.all[at].children.get(name) {
            // A module and a function may have one name: `use start::start`.
            let item = import
                .filter(|_| rest.is_empty())
                .and_then(|import| self.resolve(at, &import.path, depth + 1))
                .filter(|(_module, item)| item.is_some());
            return item.or_else(|| self.walk(*child, rest, depth));
        }
        if let Some(import) = import {
            return match self.resolve(at, &import.path, depth + 1) {
                Some((module, None)) => self.walk(module, rest, depth + 1),
                Some(item) => Some(item),
                None => Some((at, Some(name))), // Another crate's name, handed on here.
            };
        }
        let defines = |module: usize| self.all[module].paths.items.contains(name);
        let handed_on = self.globs(at, depth).find(|module| defines(*module));
        Some((handed_on.unwrap_or(at), Some(name)))
    }

    fn import(&self, module: usize, name: &str) -> Option<&Import> {
        let mut imports = self.all[module].paths.imports.iter();
        imports.find(|import| import.name == name && import.inside.is_empty())
    }

    /// The modules whose names a module imports with `*`.
    fn globs(&self, module: usize, depth: usize) -> impl Iterator<Item = usize> {
        let imports = self.all[module].paths.imports.iter();
        imports
            .filter(|import| import.name == "*")
            .filter_map(move |import| {
                let (_star, path) = import.path.split_last()?;
                let (module, _item) = self.resolve(module, path, depth + 1)?;
                Some(module)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The uses of a file as `file: name`.
    fn uses(files: &[(&str, &str)], of: &str) -> Vec<String> {
        let project = Project::of_files(files);
        let modules = Modules::read(&project, "c/src/lib.rs");
        let from = modules.all.iter().position(|it| it.file == of);
        let uses = modules
            .uses(from.expect("the file is a module"))
            .into_iter();
        uses.map(|it| format!("{}: {}", modules.all[it.of].file, it.name))
            .collect()
    }

    const ROOT: (&str, &str) = ("c/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n");

    #[test]
    fn imports_and_paths_in_code_are_uses() {
        let a = "use crate::b::One;\nfn f() { crate::b::two(); super::b::deep::Three::new() }\n";
        let files = [
            ROOT,
            ("c/src/a.rs", a),
            (
                "c/src/b/mod.rs",
                "pub mod deep;\nstruct One;\nfn two() {}\n",
            ),
            ("c/src/b/deep.rs", "struct Three;\n"),
        ];
        assert_eq!(
            uses(&files, "c/src/a.rs"),
            [
                "c/src/b/mod.rs: One",
                "c/src/b/mod.rs: two",
                "c/src/b/deep.rs: Three"
            ]
        );
    }

    #[test]
    fn a_module_that_is_imported_is_used_where_it_is_mentioned() {
        let files = [
            ROOT,
            ("c/src/a.rs", "use crate::b;\nfn f() { b::Two::new() }\n"),
            ("c/src/b.rs", "pub use inner::Two;\nmod inner;\n"),
            ("c/src/b/inner.rs", "struct Two;\n"),
        ];
        assert_eq!(uses(&files, "c/src/a.rs"), ["c/src/b/inner.rs: Two"]);
    }

    #[test]
    fn a_name_that_the_parent_hands_on_is_its_definers() {
        let files = [
            (
                "c/src/lib.rs",
                "mod a;\nmod b;\npub use a::*;\nuse std::fmt::Debug;\n",
            ),
            ("c/src/a.rs", "pub struct A;\n"),
            ("c/src/b.rs", "use super::{A, Debug};\n"),
        ];
        assert_eq!(
            uses(&files, "c/src/b.rs"),
            ["c/src/lib.rs: Debug", "c/src/a.rs: A"]
        );
        let nothing: [&str; 0] = [];
        assert_eq!(uses(&files, "c/src/lib.rs"), nothing);
    }

    #[test]
    fn a_parent_that_also_uses_what_it_hands_on_uses_it() {
        let files = [
            ("c/src/lib.rs", "mod a;\npub use a::A;\nfn f() -> A { A }\n"),
            ("c/src/a.rs", "pub struct A;\n"),
        ];
        assert_eq!(uses(&files, "c/src/lib.rs"), ["c/src/a.rs: A"]);
    }

    #[test]
    fn a_function_may_have_the_name_of_its_module() {
        let files = [
            ROOT,
            ("c/src/a.rs", "use crate::b;\nfn f() { b::run() }\n"),
            ("c/src/b.rs", "mod run;\npub use run::run;\n"),
            ("c/src/b/run.rs", "pub fn run() {}\n"),
        ];
        assert_eq!(uses(&files, "c/src/a.rs"), ["c/src/b/run.rs: run"]);
    }

    #[test]
    fn an_inline_module_is_its_file() {
        let files = [
            ("c/src/lib.rs", "mod a;\npub struct Root;\n"),
            (
                "c/src/a.rs",
                "struct Own;\nmod inner {\n    use super::Own;\n    use super::super::Root;\n}\n",
            ),
        ];
        assert_eq!(uses(&files, "c/src/a.rs"), ["c/src/lib.rs: Root"]);
    }

    #[test]
    fn imports_that_lead_to_each_other_end() {
        let files = [
            ("c/src/lib.rs", "mod a;\npub use a::X;\n"),
            ("c/src/a.rs", "pub use super::X;\nfn f() -> X {}\n"),
        ];
        assert!(uses(&files, "c/src/a.rs").len() < 2);
    }
}

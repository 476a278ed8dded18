//! The paths of a Rust file: its `mod` lines, its imports and the names that its code mentions.
//!
//! The reader knows tokens and braces, no types. It reads the product's code alone: tests are blanked.

use std::collections::BTreeSet;

use crate::tidy::rust_source::RustSource;

/// The paths and names in a file that can name another file of the same crate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Paths {
    /// Names of `mod name;`.
    pub(super) modules: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// The other paths of the code, in order, with repetitions.
    pub(super) mentions: Vec<Mention>,
    /// Names of the file's own items, at any depth.
    pub(super) items: BTreeSet<String>,
}

/// One leaf of a `use` tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// The local name; `*` of a glob, `_` of a trait that is imported for its methods.
    pub(super) name: String,
    /// Whether the import has a visibility (`pub use`): it hands a name on and is no use of it.
    pub(super) handed_on: bool,
    pub(super) line: usize,
    /// The inline modules (`mod name { … }`) around it.
    pub(super) inside: Vec<String>,
}

/// A path outside of `use`: `super::wire::Head`, `Head`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
    pub(super) inside: Vec<String>,
}

/// The words behind which an item's name stands.
const ITEM_WORDS: &[&str] = &[
    "fn", "struct", "enum", "trait", "type", "const", "static", "union",
];

/// Reads the paths of a file's product code.
pub(super) fn read(rust: &RustSource) -> Paths {
    let code = without_tests(rust);
    let mut reader = Reader {
        tokens: tokens(&code),
        at: 0,
        line: &|offset| rust.line(offset),
        braces: Vec::new(),
        found: Paths::default(),
    };
    reader.read();
    reader.found
}

/// The code with the lines of tests blanked, each line of its old length.
fn without_tests(rust: &RustSource) -> String {
    let lines = rust.code.split_inclusive('\n').enumerate();
    lines
        .map(|(index, line)| match rust.is_test(index + 1) {
            true => blank(line),
            false => line.to_owned(),
        })
        .collect()
}

fn blank(line: &str) -> String {
    let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
    line.bytes().map(blank).collect()
}

/// A word, `::`, or one other sign, with its offset.
#[derive(Clone, Copy)]
struct Token<'code> {
    text: &'code str,
    offset: usize,
}

impl Token<'_> {
    fn is_word(&self) -> bool {
        let first = self.text.chars().next();
        first.is_some_and(|it| it.is_alphabetic() || it == '_')
    }
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    while let Some(first) = code[offset..].chars().next() {
        let rest = &code[offset..];
        let is_part = |it: char| it.is_alphanumeric() || it == '_';
        let length = if is_part(first) {
            rest.find(|it| !is_part(it)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            let text = &rest[..length];
            tokens.push(Token { text, offset });
        }
        offset += length;
    }
    tokens
}

struct Reader<'code> {
    tokens: Vec<Token<'code>>,
    at: usize,
    line: &'code dyn Fn(usize) -> usize,
    /// The open braces: the name of each that belongs to an inline module.
    braces: Vec<Option<String>>,
    found: Paths,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut module = None;
        while let Some(text) = self.text(0) {
            match text {
                "{" => self.braces.push(module.take()),
                "}" => {
                    self.braces.pop();
                }
                "mod" => module = self.module(),
                "use" if self.is_import() => {
                    self.import();
                    continue;
                }
                word if ITEM_WORDS.contains(&word) => self.item(),
                _ if self.starts_path() => {
                    self.mention();
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn text(&self, ahead: usize) -> Option<&str> {
        self.tokens.get(self.at + ahead).map(|token| token.text)
    }

    fn before(&self, behind: usize) -> Option<&str> {
        let at = self.at.checked_sub(behind)?;
        self.tokens.get(at).map(|token| token.text)
    }

    fn here(&self) -> usize {
        let token = self.tokens.get(self.at);
        token.map_or(0, |token| (self.line)(token.offset))
    }

    fn inside(&self) -> Vec<String> {
        self.braces.iter().flatten().cloned().collect()
    }

    /// Notes `mod name;`, and gives the name of an inline module, whose brace comes next.
    fn module(&mut self) -> Option<String> {
        let name = self.text(1)?.to_owned();
        match self.text(2)? {
            ";" => self.found.modules.push(name),
            "{" => return Some(name),
            _ => {}
        }
        None
    }

    fn item(&mut self) {
        if let Some(token) = self.tokens.get(self.at + 1).filter(|it| it.is_word()) {
            self.found.items.insert(token.text.to_owned());
        }
    }

    /// Whether the `use` here starts an import, which `impl Trait + use<'a>` does not.
    fn is_import(&self) -> bool {
        self.text(1) != Some("<")
    }

    fn import(&mut self) {
        let handed_on = match self.before(1) {
            Some("pub") => true,
            Some(")") => (2..8).any(|behind| self.before(behind) == Some("pub")),
            _ => false,
        };
        self.at += 1;
        self.tree(&mut Vec::new(), handed_on);
    }

    /// Reads one branch of a `use` tree below `path`, up to its `,`, `}` or `;`.
    fn tree(&mut self, path: &mut Vec<String>, handed_on: bool) {
        let length = path.len();
        let line = self.here();
        let mut name = None;
        while let Some(text) = self.text(0).map(str::to_owned) {
            match text.as_str() {
                "," | "}" | ";" => break,
                "::" => {}
                "{" => {
                    self.branches(path, handed_on);
                    path.truncate(length);
                    return;
                }
                "as" => {
                    name = self.text(1).map(str::to_owned);
                    self.at += 1;
                }
                "self" if length > 0 && path.len() == length => {}
                _ => path.push(text),
            }
            self.at += 1;
        }
        if let Some(last) = path.last().cloned() {
            self.found.imports.push(Import {
                path: path.clone(),
                name: name.unwrap_or(last),
                handed_on,
                line,
                inside: self.inside(),
            });
        }
        path.truncate(length);
    }

    fn branches(&mut self, path: &mut Vec<String>, handed_on: bool) {
        while !matches!(self.text(0), None | Some("}" | ";")) {
            self.at += 1; // The opening brace or a comma.
            if self.text(0) != Some("}") {
                self.tree(path, handed_on);
            }
        }
        self.at += 1;
    }

    /// Whether a path starts here: a word that is no field, no method and no inner part of a path.
    fn starts_path(&self) -> bool {
        let is_word = self.tokens.get(self.at).is_some_and(Token::is_word);
        is_word && !matches!(self.before(1), Some("." | "::" | "'" | "mod"))
    }

    fn mention(&mut self) {
        let line = self.here();
        let mut path = Vec::new();
        while let Some(token) = self.tokens.get(self.at).filter(|it| it.is_word()) {
            path.push(token.text.to_owned());
            self.at += 1;
            if self.text(0) != Some("::") {
                break;
            }
            self.at += 1;
        }
        let inside = self.inside();
        self.found.mentions.push(Mention { path, line, inside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Paths {
        read(&RustSource::new("c/src/a.rs", text))
    }

    fn imports(text: &str) -> Vec<(String, String, bool)> {
        let imports = read_text(text).imports.into_iter();
        imports
            .map(|it| (it.path.join("::"), it.name, it.handed_on))
            .collect()
    }

    fn import(path: &str, name: &str, handed_on: bool) -> (String, String, bool) {
        (path.to_owned(), name.to_owned(), handed_on)
    }

    #[test]
    fn a_tree_of_imports_gives_each_leaf_with_its_local_name() {
        assert_eq!(
            imports("use crate::{a::{self, B as C, d::*}, e,};\nuse super::f as _;\n"),
            [
                import("crate::a", "a", false),
                import("crate::a::B", "C", false),
                import("crate::a::d::*", "*", false),
                import("crate::e", "e", false),
                import("super::f", "_", false),
            ]
        );
    }

    #[test]
    fn an_import_with_a_visibility_hands_its_name_on() {
        assert_eq!(
            imports("pub use a::B;\npub(in crate::x) use c::D;\nfn f() {}\nuse e::F;\n"),
            [
                import("a::B", "B", true),
                import("c::D", "D", true),
                import("e::F", "F", false),
            ]
        );
    }

    #[test]
    fn mentions_are_whole_paths_and_no_fields_or_methods() {
        let found = read_text("fn f() { super::g::<X>(a.b); Kind::One.c() }\n");
        let paths: Vec<String> = found.mentions.iter().map(|it| it.path.join("::")).collect();
        assert_eq!(paths, ["f", "super::g", "X", "a", "Kind::One"]);
        assert!(found.items.contains("f"));
    }

    #[test]
    fn tests_are_not_read_and_inline_modules_are_told() {
        let found = read_text(
            "mod a;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\nmod inner {\n    use super::B;\n}\nuse c::D;\n",
        );
        assert_eq!(found.modules, ["a"]);
        let inside: Vec<(usize, &[String])> = found
            .imports
            .iter()
            .map(|it| (it.line, it.inside.as_slice()))
            .collect();
        assert_eq!(inside, [(7, &["inner".to_owned()][..]), (9, &[])]);
    }
}

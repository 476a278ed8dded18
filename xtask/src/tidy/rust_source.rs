//! A Rust file split into code, comments and test code, without parsing it.
//!
//! Enough for rules about words, braces and lines; it does not know types, names or macros.

use std::ops::Range;

/// A Rust file. All texts have the length of the file, so that one offset fits all.
#[derive(Debug)]
pub(super) struct RustSource {
    path: String,
    /// The file with comments and literals blanked.
    pub(super) code: String,
    /// The comments alone.
    pub(super) comments: String,
    line_starts: Vec<usize>,
    /// Lines of test code, from 1.
    test_lines: Vec<Range<usize>>,
    /// Names of `#[cfg(test)] mod name;`.
    test_modules: Vec<String>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of the word `fn`, from 1.
    pub(super) line: usize,
    /// The lines from `fn` to the closing brace, both included.
    pub(super) lines: usize,
}

impl RustSource {
    /// Splits `text`, the file at `path` (relative to the repository's root).
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let line_starts = std::iter::once(0)
            .chain(
                text.match_indices('\n')
                    .map(|(offset, _newline)| offset + 1),
            )
            .collect();
        let mut source = Self {
            path: path.to_owned(),
            code,
            comments,
            line_starts,
            test_lines: Vec::new(),
            test_modules: Vec::new(),
        };
        if is_test_path(path) {
            source.mark_all_as_test();
        }
        source.find_test_items();
        source
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Whether `line` (from 1) is test code.
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Makes test code of the whole file; false when it was already.
    pub(super) fn mark_all_as_test(&mut self) -> bool {
        let all = 0..usize::MAX;
        if self.test_lines.contains(&all) {
            return false;
        }
        self.test_lines.push(all);
        true
    }

    /// The files of modules that are test code: those behind `#[cfg(test)]`, or all of a test file.
    pub(super) fn test_module_paths(&self) -> Vec<String> {
        let mut names = self.test_modules.clone();
        if self.is_test(1) {
            names.extend(self.out_of_line_modules());
        }
        names
            .iter()
            .flat_map(|name| self.module_paths(name))
            .collect()
    }

    /// The two paths at which the file of `mod name;` may be.
    pub(super) fn module_paths(&self, name: &str) -> [String; 2] {
        let folder = module_folder(&self.path);
        [
            format!("{folder}/{name}.rs"),
            format!("{folder}/{name}/mod.rs"),
        ]
    }

    /// All functions with a body, nested ones too.
    pub(super) fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn")
            .filter_map(|offset| self.function_at(offset))
            .collect()
    }

    fn function_at(&self, offset: usize) -> Option<Function> {
        let name = leading_word(self.code[offset + 2..].trim_start());
        if name.is_empty() {
            return None; // A function pointer's type.
        }
        let body = body_of_item(&self.code, offset)?;
        let line = self.line(offset);
        Some(Function {
            name: name.to_owned(),
            line,
            lines: self.line(body.end - 1) - line + 1,
        })
    }

    fn find_test_items(&mut self) {
        if self.code.contains("#![cfg(test)]") {
            self.mark_all_as_test();
        }
        let mut lines = Vec::new();
        for (offset, _) in self.code.match_indices("#[") {
            let Some(end) = end_of_group(&self.code, offset + 1) else {
                continue;
            };
            if !is_test_attribute(&self.code[offset + 2..end - 1]) {
                continue;
            }
            let item = skip_attributes(&self.code, end);
            match body_of_item(&self.code, item) {
                Some(body) => lines.push(self.line(offset)..self.line(body.end - 1) + 1),
                None => self.test_modules.extend(module_name(&self.code[item..])),
            }
        }
        self.test_lines.extend(lines);
    }

    fn out_of_line_modules(&self) -> Vec<String> {
        words(&self.code, "mod")
            .filter_map(|offset| module_name(&self.code[offset..]))
            .collect()
    }
}

/// The offsets of `word` where it stands alone.
pub(super) fn words<'text>(text: &'text str, word: &'text str) -> impl Iterator<Item = usize> {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| is_word_byte(*byte));
    text.match_indices(word)
        .map(|(offset, _)| offset)
        .filter(move |offset| {
            let bytes = text.as_bytes();
            let before = offset.checked_sub(1).and_then(|before| bytes.get(before));
            !is_part(before) && !is_part(bytes.get(offset + word.len()))
        })
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub(super) fn leading_word(text: &str) -> &str {
    let end = text
        .bytes()
        .position(|byte| !is_word_byte(byte))
        .unwrap_or(text.len());
    &text[..end]
}

fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "tests.rs")
}

/// `cfg(test)` in any combination but `not(test)`, and the attributes of test functions.
fn is_test_attribute(attribute: &str) -> bool {
    let attribute: String = attribute.split_whitespace().collect();
    if attribute == "test" || attribute == "tokio::test" || attribute.starts_with("tokio::test(") {
        return true;
    }
    attribute.starts_with("cfg(")
        && !attribute.contains("not(test)")
        && words(&attribute, "test").next().is_some()
}

/// The folder in which the modules of the file at `path` stand.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    }
}

/// The name in `mod name;`, behind any attributes and visibility.
fn module_name(item: &str) -> Option<String> {
    let head = item.split([';', '{', '}']).next()?;
    if !item[head.len()..].starts_with(';') {
        return None;
    }
    let name = head
        .split_whitespace()
        .skip_while(|word| *word != "mod")
        .nth(1)?;
    Some(name.to_owned())
}

fn skip_attributes(code: &str, from: usize) -> usize {
    let start = from + (code[from..].len() - code[from..].trim_start().len());
    if code[start..].starts_with("#[")
        && let Some(end) = end_of_group(code, start + 1)
    {
        return skip_attributes(code, end);
    }
    start
}

/// The braces of the item that starts at `from`, or none when it ends in `;`.
fn body_of_item(code: &str, from: usize) -> Option<Range<usize>> {
    let mut offset = from;
    while let Some(byte) = code.as_bytes().get(offset) {
        match byte {
            b';' | b'}' => return None,
            b'{' => return Some(offset..end_of_group(code, offset)?),
            b'(' | b'[' => offset = end_of_group(code, offset)?,
            _ => offset += 1,
        }
    }
    None
}

/// The offset behind the bracket that closes the one at `open`.
pub(super) fn end_of_group(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The kind of a stretch of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The code without comments and literals, and the comments alone, both as long as `text`.
fn split(text: &str) -> (String, String) {
    let mut code = String::with_capacity(text.len());
    let mut comments = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = next_stretch(rest);
        let (stretch, behind) = rest.split_at(length);
        let blank = blanked(stretch);
        code += if kind == Kind::Code { stretch } else { &blank };
        comments += if kind == Kind::Comment {
            stretch
        } else {
            &blank
        };
        rest = behind;
    }
    (code, comments)
}

/// Spaces of the same length, with the line ends kept.
fn blanked(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect()
}

/// Kind and length of what `text` starts with.
fn next_stretch(text: &str) -> (Kind, usize) {
    let line_end = || text.find('\n').unwrap_or(text.len());
    let mut characters = text.chars();
    match characters.next() {
        Some('/') if text.starts_with("//") => (Kind::Comment, line_end()),
        Some('/') if text.starts_with("/*") => (Kind::Comment, block_comment(text)),
        Some('"') => (Kind::Literal, quoted(text, '"')),
        Some('r') if let Some(length) = raw_string(text) => (Kind::Literal, length),
        Some('\'') if text.starts_with("'\\") => (Kind::Literal, quoted(text, '\'')),
        Some('\'') => match (characters.next(), characters.next()) {
            (Some(character), Some('\'')) => (Kind::Literal, character.len_utf8() + 2),
            _ => (Kind::Code, 1), // A lifetime.
        },
        Some(first) => (Kind::Code, first.len_utf8()),
        None => (Kind::Code, 0),
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut offset = 0;
    while offset < text.len() {
        match text.as_bytes().get(offset..offset + 2) {
            Some(b"/*") => (depth, offset) = (depth + 1, offset + 2),
            Some(b"*/") => (depth, offset) = (depth - 1, offset + 2),
            _ => offset += 1,
        }
        if depth == 0 {
            return offset;
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return offset + quote.len_utf8();
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let behind_r = &text[1..];
    let opened = behind_r.trim_start_matches('#');
    let hashes = behind_r.len() - opened.len();
    let body = opened.strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(hashes));
    let body_length = body.find(&closing)?;
    Some(1 + hashes + 1 + body_length + closing.len())
}

#[cfg(test)]
mod tests;

//! The splitter on everything of Rust that looks like something else.

use super::*;

fn code(text: &str) -> String {
    RustSource::new("src/a.rs", text).code
}

#[test]
fn strings_are_not_code_whatever_they_hold() {
    assert_eq!(
        code(r#"a("{ \" // }")b"#),
        format!("a({})b", " ".repeat(11))
    );
    assert_eq!(code("a(r#\"{ \" }\"#)b"), format!("a({})b", " ".repeat(10)));
    assert_eq!(code("br\"{\""), "b    ");
}

#[test]
fn characters_are_literals_and_lifetimes_are_code() {
    assert_eq!(
        code("('{', '\\'', 'ä')"),
        format!("({}, {}, {})", "   ", "    ", "    ")
    );
    assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    assert_eq!(code("'outer: loop {}"), "'outer: loop {}");
}

#[test]
fn raw_identifiers_are_code() {
    assert_eq!(code("r#fn r#type"), "r#fn r#type");
}

#[test]
fn comments_are_kept_apart_and_nest() {
    let source = RustSource::new("src/a.rs", "a /* b /* c */ d */ e // f\ng");
    assert_eq!(source.code, "a                   e     \ng");
    assert_eq!(source.comments.trim(), "/* b /* c */ d */   // f");
}

#[test]
fn an_unfinished_literal_ends_with_the_file() {
    assert_eq!(code("a \"b"), "a   ");
    assert_eq!(code("a /* b"), "a     ");
}

#[test]
fn functions_are_measured_from_their_name_to_their_closing_brace() {
    let text = "\
fn one() {}
impl X {
    pub(crate) async fn two<T: Fn() -> [u8; 2]>(
        self,
    ) -> fn(u8) -> u8 {
        let brace = '}';
        \"}\"
    }
}
trait Y {
    fn without_body(&self) -> [u8; 3];
}
";
    let functions = RustSource::new("src/a.rs", text).functions();
    let found: Vec<(&str, usize, usize)> = functions
        .iter()
        .map(|function| (function.name.as_str(), function.line, function.lines))
        .collect();
    assert_eq!(found, [("one", 1, 1), ("two", 3, 6)]);
}

#[test]
fn a_test_module_is_test_code_and_its_neighbours_are_not() {
    let text = "\
fn code() {}
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    fn inside() {}
}
fn more_code() {}
#[cfg(not(test))]
fn still_code() {}
#[tokio::test(flavor = \"multi_thread\")]
async fn lone_test() {
}
";
    let source = RustSource::new("src/a.rs", text);
    let test_lines: Vec<usize> = (1..=12).filter(|line| source.is_test(*line)).collect();
    assert_eq!(test_lines, [2, 3, 4, 5, 6, 10, 11, 12]);
}

#[test]
fn files_in_a_tests_folder_are_test_code() {
    assert!(RustSource::new("crates/c/tests/it/main.rs", "fn f() {}").is_test(1));
    assert!(RustSource::new("crates/c/src/x/tests.rs", "fn f() {}").is_test(1));
    assert!(!RustSource::new("crates/c/src/latest.rs", "fn f() {}").is_test(1));
}

#[test]
fn modules_stand_beside_a_root_and_below_any_other_file() {
    let declared = "#[cfg(test)]\nmod samples;\n";
    assert_eq!(
        RustSource::new("c/src/lib.rs", declared).test_module_paths(),
        ["c/src/samples.rs", "c/src/samples/mod.rs"]
    );
    assert_eq!(
        RustSource::new("c/src/a.rs", declared).test_module_paths(),
        ["c/src/a/samples.rs", "c/src/a/samples/mod.rs"]
    );
}

#[test]
fn words_stand_alone() {
    let offsets: Vec<usize> = words("fn afn fn_ fn", "fn").collect();
    assert_eq!(offsets, [0, 11]);
}

//! Limits the length of files and functions.

use super::finding::{Finding, Rule};
use super::project::Project;

/// The lines of a usual file of one subject.
pub(super) const FILE_LINES_TYPICAL: usize = 300;
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

const FILE: Rule = Rule {
    name: "file-size",
    why: "a file past 500 lines has more than one reason to change",
    mend: "split it by subject; a table may stay, with its reason in xtask/tidy-allow.txt",
};

const FUNCTION: Rule = Rule {
    name: "function-size",
    why: "a function past 70 lines does not fit on a screen, nor in a head",
    mend: "name its phases and make them functions, or give a reason in xtask/tidy-allow.txt",
};

/// Finds files and functions that are too long; functions of tests may be as long as their story.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in project.rust_files() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines, {FILE_LINES_MAX} is the wall");
            findings.push(Finding::new(&FILE, &file.path, 1, what));
        }
        let long = rust
            .functions()
            .into_iter()
            .filter(|it| it.lines > FUNCTION_LINES_MAX);
        for function in long.filter(|function| !rust.is_test(function.line)) {
            let what = format!(
                "fn {} has {} lines, {FUNCTION_LINES_MAX} is the wall",
                function.name, function.lines
            );
            let finding = Finding::new(&FUNCTION, &file.path, function.line, what);
            findings.push(finding.with_item(&function.name));
        }
    }
    findings
}

/// The number of Rust files that are longer than typical: no fault, but a number to watch.
pub(super) fn long_files(project: &Project) -> usize {
    project
        .rust_files()
        .filter(|(file, _rust)| file.text.lines().count() > FILE_LINES_TYPICAL)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_of_a_file_is_500_lines() {
        let at_wall = "//\n".repeat(FILE_LINES_MAX);
        let past_wall = "//\n".repeat(FILE_LINES_MAX + 1);
        let project = Project::of_files(&[("a.rs", &at_wall), ("b.rs", &past_wall)]);
        let found = check(&project);
        assert_eq!((found.len(), found[0].path.as_str()), (1, "b.rs"));
        assert_eq!(long_files(&project), 2);
    }

    #[test]
    fn the_wall_of_a_function_is_70_lines() {
        let function = |name: &str, lines: usize| {
            format!("fn {name}() {{\n{}}}\n", "x();\n".repeat(lines - 2))
        };
        let text =
            function("short", FUNCTION_LINES_MAX) + &function("long", FUNCTION_LINES_MAX + 1);
        let found = check(&Project::of_files(&[("a.rs", &text)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].item.as_deref(), found[0].line),
            (Some("long"), 71)
        );
    }

    #[test]
    fn a_test_may_be_long() {
        let body = "x();\n".repeat(FUNCTION_LINES_MAX);
        let text = format!("#[cfg(test)]\nmod tests {{\nfn long() {{\n{body}}}\n}}\n");
        assert_eq!(check(&Project::of_files(&[("a.rs", &text)])), []);
    }
}

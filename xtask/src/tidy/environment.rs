//! Checks that only programs read the environment.

use super::finding::{Finding, Rule};
use super::project::Project;

const RULE: Rule = Rule {
    name: "environment",
    why: "a library that reads the environment cannot be run twice in one process, nor tested in parallel",
    mend: "take the value as a parameter, and read it in crates/peerwork/src/cli",
};

const PROGRAMS: &[&str] = &[
    "crates/peerwork/src/cli/",
    "crates/peerwork/src/main.rs",
    "xtask/",
    "bench/",
    "fuzz/",
];

/// Finds `std::env` outside programs, build scripts and tests.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in project.rust_files() {
        let free = PROGRAMS.iter().any(|path| file.path.starts_with(path));
        if free || file.path.ends_with("build.rs") {
            continue;
        }
        for (offset, _) in rust.code.match_indices("std::env") {
            let behind = &rust.code[offset + "std::env".len()..];
            let line = rust.line(offset);
            // The names of the system and the processor are constants of the compiler.
            if !behind.starts_with("::consts") && !rust.is_test(line) {
                findings.push(Finding::new(
                    &RULE,
                    &file.path,
                    line,
                    "reads the environment",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_may_not_read_the_environment_and_the_program_may() {
        let text = "//! A.\nfn f() { std::env::var(\"X\"); }\n";
        let project = Project::of_files(&[
            ("crates/peerwork-net/src/a.rs", text),
            ("crates/peerwork-net/build.rs", text),
            ("crates/peerwork-net/tests/it/a.rs", text),
            ("crates/peerwork/src/cli/a.rs", text),
            (
                "crates/peerwork/src/node.rs",
                "use std::env::consts::OS; // std::env\n",
            ),
        ]);
        let found = check(&project);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].path.as_str(), found[0].line),
            ("crates/peerwork-net/src/a.rs", 2)
        );
    }
}

//! The compiler behind `cargo build` and `cargo test`: rustc, or clippy's driver, which compiles too.

use std::process::Command;

use crate::shell;

/// The separator that clippy's driver wants between its arguments.
const SEPARATOR: &str = "__CLIPPY_HACKERY__";

/// The compiler of the workspace's own crates; libraries are compiled by rustc and shared by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// The compiler is rustc: warnings are shown, and the build goes on.
    Rustc,
    /// The compiler is rustc with the lints of clippy; each warning is an error.
    ///
    /// `cargo clippy` only checks, and compiles every library a second time for that.
    Clippy,
}

impl Compiler {
    /// `cargo` with this compiler, in the repository's root folder.
    pub(crate) fn cargo(self, arguments: &[&str]) -> Command {
        let mut command = shell::command("cargo", arguments);
        if self == Self::Clippy {
            let arguments = ["-D", "warnings", ""].join(SEPARATOR);
            command
                .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
                .env("CLIPPY_ARGS", arguments);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Builds a crate with `code` below `folder`; returns whether that succeeded.
    fn builds(compiler: Compiler, code: &str) -> bool {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("can be made");
            fs::write(path, text).expect("can be written");
        };
        write(
            "Cargo.toml",
            "[workspace]\n[package]\nname = \"one\"\nedition = \"2024\"\n",
        );
        write("src/main.rs", code);
        let mut command = compiler.cargo(&["run", "--quiet", "--offline"]);
        if compiler == Compiler::Rustc {
            // In `cargo xtask ci` the tests themselves run below clippy's driver.
            command
                .env_remove("RUSTC_WORKSPACE_WRAPPER")
                .env_remove("CLIPPY_ARGS");
        }
        command
            .current_dir(folder.path())
            .env("CARGO_TARGET_DIR", folder.path().join("target"));
        shell::succeeds(&mut command)
    }

    #[test]
    fn a_lint_of_clippy_fails_the_build_and_a_clean_program_runs() {
        let lint = "fn main() { let text = String::from(\"a\"); println!(\"{}\", text.to_string().len() == 0); }\n";
        assert!(builds(Compiler::Rustc, lint));
        assert!(!builds(Compiler::Clippy, lint));
        assert!(builds(Compiler::Clippy, "fn main() {}\n"));
        assert!(!builds(
            Compiler::Clippy,
            "fn main() { panic!(\"it runs\") }\n"
        ));
    }
}

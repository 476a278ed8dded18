//! `cargo xtask tidy --mend`: mends the findings that need no judgement.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::finding::Finding;
use super::project::{File, Project};
use super::{allow, bytes, dependencies};
use crate::say;

/// Writes the files of `project` that mending changes, below `root`, and prints their names.
///
/// `findings` are those of the project, before exceptions: an exception that no finding needs is
/// removed.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(root: &Path, project: &Project, findings: &[Finding]) -> Result<()> {
    for file in project.files.iter().filter(|file| bytes::is_ours(file)) {
        let mended = mended(project, findings, file);
        if mended != file.text {
            fs::write(root.join(&file.path), mended)
                .with_context(|| format!("writing {}", file.path))?;
            say::line(format!("mended {}", file.path));
        }
    }
    Ok(())
}

fn mended(project: &Project, findings: &[Finding], file: &File) -> String {
    let text = match file.path.as_str() {
        dependencies::PATH => file
            .text
            .lines()
            .map(|line| dependencies::with_true_users(project, line) + "\n")
            .collect(),
        allow::PATH => allow::mended(project, findings).unwrap_or_default(),
        _ => file.text.clone(),
    };
    bytes::mended(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let project = Project::of_files(&[("a.md", "a \n"), ("b.md", "b\n")]);
        write(folder.path(), &project, &[]).expect("the folder can be written");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("a.md").as_deref(), Some("a\n"));
        assert_eq!(read("b.md"), None);
    }
}

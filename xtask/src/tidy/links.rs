//! Relative links in Markdown lead somewhere.

use super::finding::{Finding, Rule};
use super::project::Project;

const RULE: Rule = Rule {
    name: "links",
    why: "a dead link costs every reader the same minutes",
    mend: "name the file as it is called, relative to the one with the link",
};

/// Finds links to files and headings of this repository that are not there.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in project
        .files
        .iter()
        .filter(|file| file.path.ends_with(".md"))
    {
        for (line, target) in links(&file.text) {
            if let Some(what) = objection(project, &file.path, &target) {
                findings.push(Finding::new(&RULE, &file.path, line, what));
            }
        }
    }
    findings
}

fn objection(project: &Project, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        resolve(from, file)?
    };
    let Some(found) = project.file(&path) else {
        return (!exists(project, &path)).then(|| format!("{target} leads nowhere"));
    };
    let known = heading.is_empty() || headings(&found.text).iter().any(|it| it == heading);
    (!known).then(|| format!("{path} has no heading #{heading}"))
}

/// Whether a path exists, also as a folder or as a file that the rules do not read, such as a picture.
fn exists(project: &Project, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    project
        .files
        .iter()
        .any(|file| file.path.starts_with(&folder))
        || crate::shell::repository().join(path).exists()
}

/// `target` as seen from the file `from`, as a path from the root.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The targets of `[text](target)`, with their lines, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        for (offset, _) in content.match_indices("](") {
            let target = content[offset + 2..]
                .split([')', ' '])
                .next()
                .unwrap_or_default();
            if !target.is_empty() {
                found.push((line, target.to_owned()));
            }
        }
    }
    found
}

/// The headings as links name them: lower case, hyphens for spaces, other signs dropped.
fn headings(text: &str) -> Vec<String> {
    prose(text)
        .filter(|(_line, content)| content.starts_with('#'))
        .map(|(_line, content)| {
            let title = content.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
            kept.map(|it| if it == ' ' { '-' } else { it }).collect()
        })
        .collect()
}

/// The lines outside of fenced blocks, from 1, without their inline code's brackets.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        let without_code: String = line
            .split('`')
            .enumerate()
            .map(|(part, text)| {
                if part % 2 == 1 {
                    text.replace("](", "")
                } else {
                    text.to_owned()
                }
            })
            .collect();
        (!fenced).then_some((index + 1, without_code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_folders_headings_and_other_sites_are_fine() {
        let project = Project::of_files(&[
            (
                "README.md",
                "# The `one` Thing!\n[a](docs/a.md) [b](./docs) [c](#the-one-thing) [d](https://x.y/z)\n",
            ),
            (
                "docs/a.md",
                "## Up & down\n[up](../README.md#the-one-thing) [self](#up--down)\n",
            ),
        ]);
        assert_eq!(check(&project), []);
    }

    #[test]
    fn a_link_to_nothing_is_found_at_its_line() {
        let project = Project::of_files(&[
            (
                "docs/a.md",
                "x\n[gone](gone-for-good.md) [head](b.md#nothing)\n[out](../../etc.md)\n",
            ),
            ("docs/b.md", "# B\n"),
        ]);
        let found: Vec<(usize, String)> = check(&project)
            .into_iter()
            .map(|finding| (finding.line, finding.what))
            .collect();
        assert_eq!(
            found,
            [
                (2, "gone-for-good.md leads nowhere".to_owned()),
                (2, "docs/b.md has no heading #nothing".to_owned()),
            ]
        );
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(links("```\n[a](b)\n```\n`[a](b)`\n"), []);
    }
}

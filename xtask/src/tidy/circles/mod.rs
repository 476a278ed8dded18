//! Finds circles of imports between the files of a crate.
//!
//! A file uses another when its code names an item that is defined there; `mod child;`, and a
//! `pub use` whose name the file's own code leaves alone, are no use. Tests do not count.

mod modules;
mod paths;

use super::finding::{Finding, Rule};
use super::project::{Member, Project};
use modules::{Modules, Use};

const RULE: Rule = Rule {
    name: "module-circle",
    why: "files that need each other can only be read, tested and moved together",
    mend: "move the shared piece into a file of its own, below both; a circle that has to stay goes into xtask/tidy-allow.txt with its files as the item",
};

/// Finds the circles of imports in each crate.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let roots = project.members.iter().flat_map(roots);
    roots
        .flat_map(|root| circles_below(project, &root))
        .collect()
}

fn roots(member: &Member) -> [String; 2] {
    let folder = member.manifest.path.trim_end_matches("Cargo.toml");
    ["lib.rs", "main.rs"].map(|root| format!("{folder}src/{root}"))
}

fn circles_below(project: &Project, root: &str) -> Vec<Finding> {
    let modules = Modules::read(project, root);
    let uses: Vec<Vec<Use>> = (0..modules.all.len()).map(|it| modules.uses(it)).collect();
    let folder = root.rsplit_once('/').map_or("", |(folder, _root)| folder);
    circles(&uses)
        .iter()
        .map(|circle| finding(&modules, &uses, circle, folder))
        .collect()
}

/// Names the files of a circle, and what each of them takes from the others.
fn finding(modules: &Modules, uses: &[Vec<Use>], circle: &[usize], folder: &str) -> Finding {
    let short = |file: usize| {
        let path = modules.all[file].file.as_str();
        path.strip_prefix(folder)
            .map_or(path, |it| it.trim_start_matches('/'))
    };
    let mut circle = circle.to_vec();
    circle.sort_unstable_by_key(|file| short(*file));
    let files: Vec<&str> = circle.iter().map(|file| short(*file)).collect();
    let item = files.join(" + ");
    let mut what = format!("a circle: {item}");
    for from in &circle {
        for to in &circle {
            let names: Vec<&str> = uses[*from]
                .iter()
                .filter(|it| it.of == *to)
                .map(|it| it.name.as_str())
                .collect();
            if !names.is_empty() {
                let names = names.join(", ");
                what += &format!("\n    {} -> {} ({names})", short(*from), short(*to));
            }
        }
    }
    let first = uses[circle[0]].iter().find(|it| circle.contains(&it.of));
    let line = first.map_or(1, |it| it.line);
    Finding::new(&RULE, &modules.all[circle[0]].file, line, what).with_item(&item)
}

/// The largest sets of files in which each reaches each other, of two files or more.
fn circles(uses: &[Vec<Use>]) -> Vec<Vec<usize>> {
    let reached: Vec<Vec<bool>> = (0..uses.len()).map(|from| reached(uses, from)).collect();
    let mut circles: Vec<Vec<usize>> = Vec::new();
    for (from, from_here) in reached.iter().enumerate() {
        if circles.iter().any(|circle| circle.contains(&from)) {
            continue;
        }
        let circle: Vec<usize> = (0..uses.len())
            .filter(|to| from_here[*to] && reached[*to][from])
            .collect();
        if circle.len() > 1 {
            circles.push(circle);
        }
    }
    circles
}

fn reached(uses: &[Vec<Use>], from: usize) -> Vec<bool> {
    let mut reached = vec![false; uses.len()];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for it in &uses[at] {
            if !std::mem::replace(&mut reached[it.of], true) {
                open.push(it.of);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<(usize, String)> {
        let project = Project::of_files(files).with_member("c", "");
        check(&project)
            .into_iter()
            .map(|it| (it.line, it.what))
            .collect()
    }

    #[test]
    fn files_below_each_other_are_no_circle() {
        let files = [
            ("c/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
            ("c/src/a.rs", "use crate::b::B;\npub struct A(B);\n"),
            (
                "c/src/b.rs",
                "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::A;\n}\n",
            ),
        ];
        assert_eq!(found(&files), []);
    }

    #[test]
    fn two_files_that_name_each_other_are_found_with_the_names() {
        let files = [
            ("c/src/lib.rs", "mod a;\nmod b;\n"),
            ("c/src/a.rs", "//! A.\nuse crate::b::B;\npub struct A(B);\n"),
            ("c/src/b.rs", "pub struct B;\nfn f() -> super::a::A {}\n"),
        ];
        let what = "a circle: a.rs + b.rs\n    a.rs -> b.rs (B)\n    b.rs -> a.rs (A)";
        assert_eq!(found(&files), [(2, what.to_owned())]);
    }

    #[test]
    fn a_parent_and_its_child_can_be_a_circle() {
        let files = [
            (
                "c/src/lib.rs",
                "mod a;\nstruct Root;\nfn f() { a::run() }\n",
            ),
            ("c/src/a.rs", "use super::Root;\nfn run() {}\n"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn a_circle_of_three_is_one_finding_and_its_neighbour_is_none() {
        let files = [
            (
                "c/src/main.rs",
                "mod a;\nmod b;\nmod d;\nmod e;\nfn main() { a::a() }\n",
            ),
            ("c/src/a.rs", "fn a() { crate::b::b() }\n"),
            ("c/src/b.rs", "fn b() { crate::d::d() }\n"),
            ("c/src/d.rs", "fn d() { crate::a::a(); crate::e::e() }\n"),
            ("c/src/e.rs", "fn e() {}\n"),
        ];
        let found = found(&files);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].1.starts_with("a circle: a.rs + b.rs + d.rs\n"),
            "{found:?}"
        );
    }
}

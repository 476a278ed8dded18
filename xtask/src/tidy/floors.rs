//! The floors of the crates: each may depend only on crates of lower floors.

use cargo_metadata::DependencyKind;

use super::finding::{Finding, Rule};
use super::project::{Member, Project};

const RULE: Rule = Rule {
    name: "floors",
    why: "a crate that knows only lower floors can be read, tested and replaced alone",
    mend: "move the code a floor up or down, or pass what is needed as an argument or trait",
};

const UNKNOWN: Rule = Rule {
    name: "floor-unknown",
    why: "a crate without a floor has no rule about who may use it",
    mend: "add the crate to FLOORS in xtask/src/tidy/floors.rs and to ARCHITECTURE.md",
};

/// The floor of a crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Floor {
    At(u8),
    /// Development only, for tests. Such a crate may start nodes, so that it uses the network's floor
    /// and those below.
    DevOnly,
    /// Outside of the floors: such a crate uses no crate of the product and is used by none.
    Outside,
}

const FLOORS: &[(&str, Floor)] = &[
    ("peerwork-identity", Floor::At(0)),
    ("peerwork-limits", Floor::At(0)),
    ("peerwork-net", Floor::At(1)),
    ("peerwork-listener", Floor::At(1)),
    ("peerwork-directory", Floor::At(2)),
    ("peerwork-store", Floor::At(2)),
    ("peerwork-ticket", Floor::At(2)),
    ("peerwork-tunnel", Floor::At(3)),
    ("peerwork-message", Floor::At(3)),
    ("peerwork-jobs", Floor::At(3)),
    ("peerwork-share", Floor::At(3)),
    ("peerwork-api", Floor::At(4)),
    ("peerwork", Floor::At(5)),
    ("peerwork-bench", Floor::At(6)),
    ("peerwork-schema", Floor::DevOnly),
    ("peerwork-fuzz", Floor::At(6)),
    ("peerwork-testkit", Floor::DevOnly),
    ("xtask", Floor::Outside),
];

/// Checks every member's dependencies on other members.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    project
        .members
        .iter()
        .flat_map(|member| check_member(project, member))
        .collect()
}

fn check_member(project: &Project, member: &Member) -> Vec<Finding> {
    let path = &member.manifest.path;
    let Some(floor) = floor_of(&member.name) else {
        return vec![Finding::new(
            &UNKNOWN,
            path,
            1,
            format!("{} has no floor", member.name),
        )];
    };
    let is_member = |name: &str| project.members.iter().any(|member| member.name == name);
    member
        .depends
        .iter()
        .filter(|(name, _kind)| is_member(name))
        .filter_map(|(name, kind)| {
            let objection = objection(floor, floor_of(name)?, *kind)?;
            let what = format!("{} depends on {name}, {objection}", member.name);
            Some(Finding::new(
                &RULE,
                path,
                member.manifest.line_of(name, *kind),
                what,
            ))
        })
        .collect()
}

fn floor_of(name: &str) -> Option<Floor> {
    FLOORS
        .iter()
        .find(|(crate_name, _)| *crate_name == name)
        .map(|(_, floor)| *floor)
}

/// The reason why a crate at `from` may not depend on one at `to`; none when it may.
fn objection(from: Floor, to: Floor, kind: DependencyKind) -> Option<String> {
    match (from, to) {
        (Floor::At(from), Floor::At(to)) if from > to => None,
        (Floor::At(from), Floor::At(to)) if from == to => {
            Some(format!("which stands on the same floor {to}"))
        }
        (Floor::At(from), Floor::At(to)) => Some(format!("from floor {from} up to floor {to}")),
        (Floor::At(_), Floor::DevOnly) if kind == DependencyKind::Development => None,
        (Floor::At(_), Floor::DevOnly) => Some("which is for tests only".to_owned()),
        (_, Floor::Outside) => Some("which is no part of the house".to_owned()),
        (Floor::DevOnly, Floor::At(0 | 1)) => None,
        (Floor::DevOnly, _) => {
            Some("and then its types would exist twice in that crate's tests".to_owned())
        }
        (Floor::Outside, _) => Some("and then no chore runs while that crate is broken".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(member: &str, dependencies: &str) -> Vec<Finding> {
        let project = Project::default()
            .with_member("peerwork-net", "")
            .with_member("peerwork-store", "")
            .with_member("peerwork-testkit", "")
            .with_member(member, dependencies);
        check(&project)
    }

    #[test]
    fn a_lower_floor_may_be_used_and_the_test_kit_in_tests() {
        let dependencies =
            "[dependencies]\npeerwork-net = \"1\"\n[dev-dependencies]\npeerwork-testkit = \"1\"\n";
        assert_eq!(house("peerwork-directory", dependencies), []);
    }

    #[test]
    fn the_same_floor_may_not_be_used() {
        let found = house(
            "peerwork-directory",
            "[dependencies]\npeerwork-store = \"1\"\n",
        );
        assert_eq!(found[0].line, 2);
        assert!(found[0].what.contains("the same floor 2"), "{found:?}");
    }

    #[test]
    fn a_higher_floor_may_not_be_used_not_even_in_tests() {
        let found = house(
            "peerwork-identity",
            "[dev-dependencies]\npeerwork-net = \"1\"\n",
        );
        assert!(
            found[0].what.contains("from floor 0 up to floor 1"),
            "{found:?}"
        );
    }

    #[test]
    fn the_test_kit_is_not_for_the_product() {
        let found = house(
            "peerwork-directory",
            "[dependencies]\npeerwork-testkit = \"1\"\n",
        );
        assert!(found[0].what.contains("tests only"), "{found:?}");
    }

    #[test]
    fn the_test_kit_starts_networks_and_knows_nothing_above_them() {
        let kit = |dependency: &str| {
            let manifest = format!("[dependencies]\n{dependency} = \"1\"\n");
            let project = Project::default()
                .with_member("peerwork-net", "")
                .with_member("peerwork-directory", "")
                .with_member("peerwork-testkit", &manifest);
            check(&project)
        };
        assert_eq!(kit("peerwork-net"), []);
        let found = kit("peerwork-directory");
        assert!(found[0].what.contains("exist twice"), "{found:?}");
    }

    #[test]
    fn an_unknown_crate_is_told_where_to_enter_itself() {
        let found = house("peerwork-cellar", "");
        assert_eq!(found[0].rule, &UNKNOWN);
    }
}

//! Libraries that only some crates may name.

use cargo_metadata::DependencyKind;

use super::finding::{Finding, Rule};
use super::project::{Member, Project};

const RULE: Rule = Rule {
    name: "only-in",
    why: "a library that one crate hides can be replaced in one crate",
    mend: "ask the crate that holds it for what is missing, or give this crate a line with its reason in xtask/src/tidy/only_in.rs",
};

/// A library and the members that may depend on it, each with its reason.
struct OnlyIn {
    /// A crate name, or its beginning with `*` behind it.
    library: &'static str,
    members: &'static [(&'static str, &'static str)],
    /// Whether any crate may use it in its tests.
    free_in_tests: bool,
}

const WEBRTC: &str = "a part of its WebRTC transport";

/// The first line that fits counts, so exceptions stand before the rule.
const TABLE: &[OnlyIn] = &[
    OnlyIn {
        library: "libp2p-identity",
        members: &[
            ("peerwork-identity", "keys and peer ids are libp2p's own"),
            ("peerwork-net", "hands the key to the swarm"),
        ],
        free_in_tests: false,
    },
    OnlyIn {
        library: "libp2p-core",
        members: &[
            (
                "peerwork-identity",
                "its tests compare our envelopes with libp2p's",
            ),
            ("peerwork-net", "the engine room"),
        ],
        free_in_tests: false,
    },
    OnlyIn {
        library: "libp2p*",
        members: &[
            (
                "peerwork-net",
                "the engine room: everything above speaks of peers and streams",
            ),
            (
                "peerwork-bench",
                "clients of a relay with nothing of ours in them",
            ),
        ],
        free_in_tests: false,
    },
    OnlyIn {
        library: "quinn",
        members: &[("peerwork-net", "its QUIC transport")],
        free_in_tests: false,
    },
    OnlyIn {
        library: "dimpl",
        members: &[("peerwork-net", WEBRTC)],
        free_in_tests: false,
    },
    OnlyIn {
        library: "sctp-proto",
        members: &[("peerwork-net", WEBRTC)],
        free_in_tests: false,
    },
    OnlyIn {
        library: "is",
        members: &[("peerwork-net", WEBRTC)],
        free_in_tests: false,
    },
    OnlyIn {
        library: "hyper*",
        members: &[
            (
                "peerwork-listener",
                "accepts and serves connections of HTTP ports",
            ),
            ("peerwork-store", "the RPC API of a kubo daemon"),
            ("peerwork-tunnel", "HTTP through libp2p streams"),
            ("peerwork-api", "serves the outside contracts"),
            ("peerwork-testkit", "web apps that misbehave"),
            (
                "peerwork",
                "the example web app, and the calls of `demo --check`",
            ),
            (
                "peerwork-bench",
                "the load, and the plain proxy to compare with",
            ),
        ],
        free_in_tests: true,
    },
    OnlyIn {
        library: "axum",
        members: &[("peerwork-api", "routes of the outside contracts")],
        free_in_tests: true,
    },
    OnlyIn {
        library: "tonic*",
        members: &[
            ("peerwork-api", "the operator service and its client"),
            ("peerwork", "the command line is an operator client"),
        ],
        free_in_tests: true,
    },
    OnlyIn {
        library: "anyhow",
        members: &[
            ("peerwork", "the program reports errors to a person"),
            ("xtask", "so does a chore"),
            ("peerwork-bench", "so does a bench"),
        ],
        free_in_tests: false,
    },
    OnlyIn {
        library: "clap*",
        members: &[
            ("peerwork", "only the program reads arguments"),
            ("xtask", "so does a chore"),
            ("peerwork-bench", "so does a bench"),
        ],
        free_in_tests: false,
    },
    OnlyIn {
        library: "tracing-subscriber",
        members: &[("peerwork", "only the program installs a log subscriber")],
        free_in_tests: true,
    },
];

/// Checks every member's dependencies against the table.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    project.members.iter().flat_map(check_member).collect()
}

fn check_member(member: &Member) -> Vec<Finding> {
    member
        .depends
        .iter()
        .filter_map(|(library, kind)| {
            let entry = TABLE.iter().find(|entry| fits(entry.library, library))?;
            let in_tests = *kind == DependencyKind::Development;
            let allowed = entry
                .members
                .iter()
                .any(|(name, _reason)| *name == member.name);
            if allowed || (in_tests && entry.free_in_tests) {
                return None;
            }
            let allowed: Vec<&str> = entry.members.iter().map(|(name, _reason)| *name).collect();
            let what = format!(
                "{} depends on {library}, which is for {}",
                member.name,
                allowed.join(", ")
            );
            Some(Finding::new(
                &RULE,
                &member.manifest.path,
                member.manifest.line_of(library, *kind),
                what,
            ))
        })
        .collect()
}

fn fits(pattern: &str, library: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => library
            .strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
        None => pattern == library,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(member: &str, dependencies: &str) -> Vec<Finding> {
        check(&Project::default().with_member(member, dependencies))
    }

    #[test]
    fn only_the_engine_room_names_libp2p_in_tests_too() {
        assert_eq!(
            found(
                "peerwork-net",
                "[dependencies]\nlibp2p = \"1\"\nlibp2p-core = \"1\"\n"
            ),
            []
        );
        assert_eq!(
            found("peerwork-tunnel", "[dependencies]\nlibp2p = \"1\"\n").len(),
            1
        );
        assert_eq!(
            found(
                "peerwork-tunnel",
                "[dev-dependencies]\nlibp2p-swarm = \"1\"\n"
            )
            .len(),
            1
        );
    }

    #[test]
    fn an_exception_goes_before_the_rule() {
        assert_eq!(
            found(
                "peerwork-identity",
                "[dependencies]\nlibp2p-identity = \"1\"\n"
            ),
            []
        );
        assert_eq!(
            found("peerwork-identity", "[dependencies]\nlibp2p = \"1\"\n").len(),
            1
        );
    }

    #[test]
    fn tests_may_speak_http_everywhere() {
        assert_eq!(
            found("peerwork-net", "[dev-dependencies]\nhyper = \"1\"\n"),
            []
        );
        let found = found("peerwork-net", "[dependencies]\nhyper-util = \"1\"\n");
        assert_eq!((found.len(), found[0].line), (1, 2));
    }

    #[test]
    fn a_pattern_takes_whole_words() {
        assert!(fits("hyper*", "hyper") && fits("hyper*", "hyper-util"));
        assert!(!fits("hyper*", "hyperloglog"));
    }
}

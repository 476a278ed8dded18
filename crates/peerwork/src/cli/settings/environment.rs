//! Holds the environment variables that may be settings, and reports those that no setting has.

use std::{collections::BTreeMap, ffi::OsString};

use super::nearest::nearest;

/// The beginning of the names of all variables of the program.
const PREFIX: &str = "PEERWORK_";
/// Variables that are read when the program is built, or by the tools of its repository.
const OF_THE_BUILD: [&str; 4] = [
    "PEERWORK_BIN",
    "PEERWORK_BRANCH",
    "PEERWORK_BUILD",
    "PEERWORK_SCREENSHOTS",
];
/// The beginning of the names of variables that the tests of the repository read.
const OF_THE_TESTS: &str = "PEERWORK_TEST_";

/// The environment variables `PEERWORK_…`, without those that Kubernetes sets for services.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, OsString>);

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let (name, value) = (name.into().into_string().ok()?, value.into());
            // Windows does not distinguish the case of names.
            let name = match cfg!(windows) {
                true => name.to_ascii_uppercase(),
                false => name,
            };
            let link = value
                .to_str()
                .is_some_and(|value| is_service_link(&name, value));
            (name.starts_with(PREFIX) && !link).then_some((name, value))
        });
        Self(ours.collect())
    }
}

impl Environment {
    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }

    /// A warning for each variable that neither is in `known` nor belongs to the build or the tests.
    pub(crate) fn warnings(&self, known: &[String]) -> Vec<String> {
        let ours = |name: &str| {
            OF_THE_BUILD.contains(&name)
                || name.starts_with(OF_THE_TESTS)
                || known.iter().any(|known| known == name)
        };
        let unknown = self.0.keys().filter(|name| !ours(name));
        unknown.map(|name| warning(name, known)).collect()
    }
}

/// The variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('-', "_").to_ascii_uppercase())
}

fn warning(name: &str, known: &[String]) -> String {
    let known = known.iter().map(|known| key(known));
    let advice = match nearest(&key(name), known) {
        Some(nearest) => format!("the nearest is {}", variable(&nearest)),
        None => "`peerwork node --help` and `peerwork server --help` list the settings".to_owned(),
    };
    format!(
        "the environment variable {name} has no effect, because no setting has this name; {advice}"
    )
}

/// The name of a variable in the spelling of flags.
fn key(variable: &str) -> String {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable);
    name.replace('_', "-").to_ascii_lowercase()
}

/// Whether Kubernetes, or a link of Docker, sets the variable for a service whose name begins with
/// `peerwork`, such as `PEERWORK_SERVICE_HOST`, `PEERWORK_PORT_80_TCP_ADDR` and, with a URL as value,
/// `PEERWORK_PORT`.
fn is_service_link(name: &str, value: &str) -> bool {
    let mut words: Vec<&str> = name.split('_').collect();
    if let Some(service) = words.iter().rposition(|word| *word == "SERVICE") {
        let host = words.get(service + 1..) == Some(["HOST"].as_slice());
        return host || words.get(service + 1) == Some(&"PORT");
    }
    if matches!(words.last(), Some(&("ADDR" | "PORT" | "PROTO"))) && words.len() > 4 {
        let protocol = words.get(words.len() - 2);
        if protocol.is_some_and(|word| is_transport(word)) {
            words.pop();
        }
    }
    match words.as_slice() {
        [.., "PORT", port, protocol] => port.parse::<u16>().is_ok() && is_transport(protocol),
        [.., "PORT"] => value
            .split_once("://")
            .is_some_and(|(scheme, _)| is_transport(&scheme.to_ascii_uppercase())),
        _ => false,
    }
}

fn is_transport(word: &str) -> bool {
    matches!(word, "TCP" | "UDP" | "SCTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
        let environment: Environment = variables.iter().copied().collect();
        let known = ["relay-open", "edge-port", "log-level"].map(variable);
        environment.warnings(&known)
    }

    #[test]
    fn a_variable_that_no_setting_has_is_reported_with_the_nearest_and_without_its_value() {
        let found = warnings(&[
            ("PEERWORK_RELAY_OPNE", "secret"),
            ("PEERWORK_RELAY_OPEN", "true"),
            ("PEERWORK_ZZZ", "secret"),
            ("PEERWORKS_X", "1"),
            ("HOME", "/"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("PEERWORK_RELAY_OPNE"), "{found:?}");
        assert!(
            found[0].ends_with("the nearest is PEERWORK_RELAY_OPEN"),
            "{found:?}"
        );
        assert!(
            found[1].contains("PEERWORK_ZZZ") && found[1].contains("--help"),
            "{found:?}"
        );
        assert!(!found.concat().contains("secret"), "{found:?}");
    }

    #[test]
    fn variables_of_the_build_and_of_the_tests_are_left_alone() {
        let names = [
            "PEERWORK_BRANCH",
            "PEERWORK_BUILD",
            "PEERWORK_BIN",
            "PEERWORK_TEST_TOOLS",
        ];
        assert!(warnings(&names.map(|name| (name, "x"))).is_empty());
    }

    #[test]
    fn the_variables_of_kubernetes_services_are_no_settings() {
        let links = [
            ("PEERWORK_SERVICE_HOST", "10.96.3.7"),
            ("PEERWORK_SERVICE_PORT", "50005"),
            ("PEERWORK_SERVICE_PORT_HTTP", "50005"),
            ("PEERWORK_PORT", "tcp://10.96.3.7:50005"),
            ("PEERWORK_PORT_50005_TCP", "tcp://10.96.3.7:50005"),
            ("PEERWORK_PORT_50005_TCP_PROTO", "tcp"),
            ("PEERWORK_PORT_50005_TCP_PORT", "50005"),
            ("PEERWORK_PORT_50001_UDP_ADDR", "10.96.3.7"),
            ("PEERWORK_RELAY_SERVICE_HOST", "10.96.3.7"),
            ("PEERWORK_EDGE_PORT", "udp://10.96.3.7:9527"),
            ("PEERWORK_EDGE_PORT_9527_UDP_PORT", "9527"),
        ];
        assert!(warnings(&links).is_empty());
        let environment: Environment = links.into_iter().collect();
        assert!(environment.0.is_empty(), "{environment:?}");
    }

    #[test]
    fn a_setting_with_a_similar_name_is_still_a_setting() {
        let environment: Environment = [("PEERWORK_EDGE_PORT", "80")].into_iter().collect();
        assert_eq!(environment.get("PEERWORK_EDGE_PORT"), Some(&"80".into()));
        for (name, value) in [
            ("PEERWORK_PORT", "80"),
            ("PEERWORK_PORT_X_TCP", "1"),
            ("PEERWORK_PORT_80_SCTPX", "1"),
            ("PEERWORK_PORT_70000_TCP", "1"),
            ("PEERWORK_SERVICE", "1"),
            ("PEERWORK_SERVICE_HOST_NAME", "1"),
        ] {
            assert_eq!(warnings(&[(name, value)]).len(), 1, "{name}");
        }
    }
}

//! Parses the request path `/edge/{node}/{port}/…` into the target node and port.

use http::uri::PathAndQuery;
use peerwork_identity::{NodeId, ParseNodeIdError};

use crate::problem::{Failure, Problem};

/// The resource that a request's path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestPath {
    /// The path `/`: the name and version of the relay.
    Root,
    /// The path of an app.
    App(Target),
    /// A path of the content service.
    Content,
}

/// The app that a request is for, and the request target that the app gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The edge.
    pub node: NodeId,
    /// The app's port, never 0.
    pub port: u16,
    /// Path and query for the app: the bytes after the port as the client sent them, neither decoded
    /// nor normalized; `/` when there are none.
    pub rest: PathAndQuery,
    /// The number of bytes of the client's path before `rest`.
    pub prefix_bytes: usize,
}

/// Parses the path and query of a request.
///
/// # Errors
/// [`Problem`] names the wrong part and the expected form.
pub fn parse(path_and_query: &PathAndQuery) -> Result<RequestPath, Problem> {
    parse_with(path_and_query, str::parse)
}

/// Parses as [`parse`] does, with `parse_node` for the node's id.
pub(crate) fn parse_with(
    path_and_query: &PathAndQuery,
    parse_node: impl FnOnce(&str) -> Result<NodeId, ParseNodeIdError>,
) -> Result<RequestPath, Problem> {
    let text = path_and_query.as_str();
    let path_bytes = path_and_query.path().len();
    if path_and_query.path() == "/" {
        return Ok(RequestPath::Root);
    }
    let Some(tail) = text.strip_prefix("/edge") else {
        return Err(not_found());
    };
    if !tail.is_empty() && !tail.starts_with(['/', '?']) {
        return Err(not_found());
    }
    let mut segments = path_and_query.path().split('/').skip(2);
    let (Some(node), Some(port)) = (segments.next(), segments.next()) else {
        let detail = "expected /edge/{node}/{port}, followed by the app's own path";
        return Err(Problem::new(Failure::BadPath, detail));
    };
    let prefix_bytes = "/edge//".len() + node.len() + port.len();
    let node =
        parse_node(node).map_err(|error| Problem::new(Failure::BadNode, format!("{error}")))?;
    let port = parse_port(port)?;
    let rest = if prefix_bytes == path_bytes {
        format!("/{}", &text[prefix_bytes..])
    } else {
        text[prefix_bytes..].to_owned()
    };
    let rest = PathAndQuery::try_from(rest)
        .map_err(|error| Problem::new(Failure::BadPath, error.to_string()))?;
    Ok(RequestPath::App(Target {
        node,
        port,
        rest,
        prefix_bytes,
    }))
}

fn not_found() -> Problem {
    Problem::new(Failure::NotFound, "apps are at /edge/{node}/{port}/…")
}

/// Parses a port: digits alone, without a sign or leading zeros.
fn parse_port(text: &str) -> Result<u16, Problem> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let port = digits.then(|| text.parse().ok()).flatten();
    port.ok_or_else(|| {
        let detail = "the port is a number from 1 to 65535";
        Problem::new(Failure::BadPort, detail)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn parsed(path: &str) -> Result<RequestPath, Failure> {
        parse(&path.parse().unwrap()).map_err(|problem| problem.failure)
    }

    fn rest(path: &str) -> String {
        match parsed(path).unwrap() {
            RequestPath::App(target) => target.rest.to_string(),
            other => panic!("expected the path of an app, not {other:?}"),
        }
    }

    #[test]
    fn the_rest_of_the_path_is_passed_on_byte_for_byte() {
        for tail in [
            "/",
            "/a/b",
            "/a%2Fb%25c%252F",
            "//x//",
            "/../..",
            "/a+b%2B",
            "/%",
            "/%zz",
            "/?",
            "/a?b=c&d=%20+?/../edge",
            "/edge/x/1",
            "/;p=1:@!$&'()*,",
        ] {
            assert_eq!(rest(&format!("/edge/{NODE}/9527{tail}")), tail);
        }
        assert_eq!(rest(&format!("/edge/{NODE}/9527")), "/");
        assert_eq!(rest(&format!("/edge/{NODE}/9527?a=/b")), "/?a=/b");
    }

    #[test]
    fn node_ids_are_taken_as_base58_and_as_cid() {
        let cid = "bafzaajiiaijccay3qtcvm6ysmrajsxj62wvlublf24pbqndajam77hax6xu5lxihr4";
        let node = |text: &str| match parsed(&format!("/edge/{text}/1/")).unwrap() {
            RequestPath::App(target) => target.node.to_string(),
            other => panic!("expected the path of an app, not {other:?}"),
        };
        assert_eq!(node(NODE), NODE);
        assert_eq!(node(cid), NODE);
    }

    #[test]
    fn the_problem_names_the_wrong_part_of_the_path() {
        assert_eq!(parsed("/"), Ok(RequestPath::Root));
        assert_eq!(parsed("/?x"), Ok(RequestPath::Root));
        for path in ["/x", "/x/", "/edges", "/Edge/a/1", "//", "/x/edge", "/ed"] {
            assert_eq!(parsed(path), Err(Failure::NotFound), "{path}");
        }
        for path in ["/edge", "/edge/", "/edge/abc", "/edge?x"] {
            assert_eq!(parsed(path), Err(Failure::BadPath), "{path}");
        }
        for node in ["", "x", "%31", "..", "Qm"] {
            let path = format!("/edge/{node}/80/");
            assert_eq!(parsed(&path), Err(Failure::BadNode), "{path}");
        }
        for port in [
            "",
            "0",
            "abc",
            "-1",
            "+80",
            "080",
            "65536",
            "8%30",
            "99999999999",
        ] {
            let path = format!("/edge/{NODE}/{port}/x");
            assert_eq!(parsed(&path), Err(Failure::BadPort), "{path}");
        }
        assert!(parsed(&format!("/edge/{NODE}/65535/")).is_ok());
    }

    proptest! {
        #[test]
        fn any_path_is_parsed_or_refused(path in "/(edge/)?[ -~]{0,200}") {
            if let Ok(path) = path.parse() {
                let _ = parse(&path);
            }
        }

        #[test]
        fn prefix_and_rest_together_are_what_the_client_sent(tail in "(/[!-~&&[^#]]{0,80})?") {
            let path = format!("/edge/{NODE}/80{tail}");
            if let Ok(path_and_query) = path.parse::<PathAndQuery>() {
                let Ok(RequestPath::App(target)) = parse(&path_and_query) else { panic!("{path}") };
                let rest = if tail.is_empty() { "/" } else { &tail };
                prop_assert_eq!(target.rest.as_str(), rest);
                prop_assert_eq!(&path[..target.prefix_bytes], format!("/edge/{NODE}/80"));
            }
        }
    }
}

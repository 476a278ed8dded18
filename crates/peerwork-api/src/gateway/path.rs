//! `ContentPath` is the path of a request, `/ipfs/CID/name/name`, parsed and bounded.

use axum::http::StatusCode;
use cid::Cid;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::problem::Problem;

/// The longest path, in bytes as sent.
pub const PATH_BYTES_MAX: usize = 4096;
/// The most names behind the CID.
pub const NAMES_MAX: usize = 128;
/// The longest text of a CID: an identity CID of 128 bytes in base 2 would be longer, in base 16 it fits.
const CID_BYTES_MAX: usize = 320;

/// The bytes of a name that are escaped in a path, as browsers and other gateways do.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b':')
    .remove(b'=')
    .remove(b'@');

/// The path of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentPath {
    pub(super) root: Cid,
    /// The text of the root, as the client wrote it.
    pub(super) root_text: String,
    /// The decoded names behind the root.
    pub(super) names: Vec<String>,
    /// Whether the path ends with a slash.
    pub(super) slash: bool,
}

impl ContentPath {
    /// Parses the path of a request, without its query.
    pub(super) fn parse(path: &str) -> Result<Self, Problem> {
        if path.len() > PATH_BYTES_MAX {
            let detail = format!("a path has at most {PATH_BYTES_MAX} bytes");
            return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
        }
        let Some(rest) = path.strip_prefix("/ipfs/") else {
            return Err(elsewhere(path));
        };
        let (root_text, rest) = rest
            .split_once('/')
            .map_or((rest, None), |(root, rest)| (root, Some(rest)));
        let root = parse_cid(root_text)?;
        let mut names = Vec::new();
        for segment in rest
            .unwrap_or_default()
            .split('/')
            .filter(|segment| !segment.is_empty())
        {
            if names.len() == NAMES_MAX {
                return Err(Problem::bad(format!(
                    "a path has at most {NAMES_MAX} names"
                )));
            }
            names.push(parse_name(segment)?);
        }
        Ok(Self {
            root,
            root_text: root_text.to_owned(),
            names,
            slash: path.ends_with('/'),
        })
    }

    /// The path of the first `names` names, escaped, without a slash at its end.
    pub(super) fn escaped(&self, names: usize) -> String {
        let mut path = format!("/ipfs/{}", self.root_text);
        for name in self.names.iter().take(names) {
            path.push('/');
            path.push_str(&escape(name));
        }
        path
    }

    /// The whole path, escaped, with its slash.
    pub(super) fn whole(&self) -> String {
        let mut path = self.escaped(self.names.len());
        if self.slash {
            path.push('/');
        }
        path
    }
}

/// Escapes a name for a path.
pub(super) fn escape(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

fn elsewhere(path: &str) -> Problem {
    let ipns = path == "/ipns" || path.starts_with("/ipns/");
    let detail = if ipns {
        "this gateway serves /ipfs/CID alone: names (IPNS) are not resolved"
    } else if path == "/ipfs" || path == "/ipfs/" {
        return Problem::bad("the path names no CID: /ipfs/CID[/path]");
    } else {
        "there is nothing here; content is at /ipfs/CID[/path]"
    };
    Problem::new(StatusCode::NOT_FOUND, detail)
}

fn parse_cid(text: &str) -> Result<Cid, Problem> {
    let bad = |reason: String| Problem::bad(format!("the path names no valid CID: {reason}"));
    if text.len() > CID_BYTES_MAX {
        return Err(bad(format!("a CID has at most {CID_BYTES_MAX} characters")));
    }
    text.parse().map_err(|error| {
        bad(match error {
            cid::Error::ParsingError => {
                "its hash is none, or has a digest of more than 64 bytes".to_owned()
            }
            error => error.to_string(),
        })
    })
}

fn parse_name(segment: &str) -> Result<String, Problem> {
    let name = percent_decode_str(segment).decode_utf8();
    let name = name.map_err(|_| Problem::bad("a name in the path is not UTF-8"))?;
    if name.contains(['/', '\0']) || matches!(&*name, "." | "..") {
        return Err(Problem::bad(
            "no name in a path is `.` or `..`, or holds a slash or a zero byte",
        ));
    }
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const CID: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    fn status(path: &str) -> u16 {
        ContentPath::parse(path).unwrap_err().status.as_u16()
    }

    #[test]
    fn a_path_is_a_cid_and_decoded_names() {
        let path = ContentPath::parse(&format!("/ipfs/{CID}/a%20b//%C4%85/?")).unwrap();
        assert_eq!(path.names, ["a b", "ą", "?"]);
        assert!(!path.slash);
        assert_eq!(path.whole(), format!("/ipfs/{CID}/a%20b/%C4%85/%3F"));
        assert!(ContentPath::parse(&format!("/ipfs/{CID}/")).unwrap().slash);
    }

    #[test]
    fn paths_that_name_nothing_are_refused() {
        for (path, expected) in [
            ("/", 404),
            ("/api/v0/id", 404),
            ("/ipns/example.org", 404),
            ("/ipfs", 400),
            ("/ipfs/", 400),
            ("/ipfs/x", 400),
            ("/ipfs/bafy", 400),
        ] {
            assert_eq!(status(path), expected, "{path}");
        }
        for name in ["..", ".", "%2e%2E", "a%2Fb", "a%00", "%FF"] {
            assert_eq!(status(&format!("/ipfs/{CID}/{name}")), 400, "{name}");
        }
        assert_eq!(
            status(&format!("/ipfs/{}", "b".repeat(CID_BYTES_MAX + 1))),
            400
        );
    }

    #[test]
    fn a_path_has_bounds() {
        let names = |n: usize| format!("/ipfs/{CID}{}", "/a".repeat(n));
        assert!(ContentPath::parse(&names(NAMES_MAX)).is_ok());
        assert_eq!(status(&names(NAMES_MAX + 1)), 400);
        let bytes = |n: usize| format!("/ipfs/{CID}/{}", "a".repeat(n - 7 - CID.len()));
        assert!(ContentPath::parse(&bytes(PATH_BYTES_MAX)).is_ok());
        assert_eq!(status(&bytes(PATH_BYTES_MAX + 1)), 414);
    }

    proptest! {
        #[test]
        fn an_escaped_name_is_read_as_itself(name in "[^/\0]{1,40}") {
            prop_assume!(name != "." && name != "..");
            let path = ContentPath::parse(&format!("/ipfs/{CID}/{}", escape(&name))).unwrap();
            prop_assert_eq!(&path.names, &[name]);
        }

        #[test]
        fn any_path_is_parsed_or_refused(path in "/(ipfs/)?[ -~]{0,200}") {
            let _ = ContentPath::parse(&path);
        }
    }
}

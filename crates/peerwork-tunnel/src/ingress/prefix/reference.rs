//! Puts references (RFC 3986 section 4.1) of an app under its path prefix.
//!
//! | reference | becomes |
//! |---|---|
//! | `/path`, or a URL with the app's authority | the path under the prefix, without scheme and authority |
//! | a URL from http to https at the client's authority | the same with the path under the prefix |
//! | a path that is under the prefix already | the same |
//! | `path`, `?query`, `#fragment` | the same, unless it leads out of the prefix |
//! | a URL with another scheme or authority | the same |
//!
//! At a port of the app's own, where there is no prefix, only these change:
//!
//! | reference | becomes |
//! |---|---|
//! | a URL with the authority of the app's own machine | the path |
//! | a URL from https to http at the client's authority | the same with https |
//!
//! Scheme and authority go because only the client knows them for certain: a proxy in front of the
//! ingress may have others, and an app may ignore `X-Forwarded-Proto`.
//!
//! Dot segments that lead above the app's root are resolved here, because at the client they would lead
//! out of the prefix. Browsers read `\` as `/` and ignore tabs in URLs (the URL standard), so this module
//! does the same.

use std::borrow::Cow;

use super::site::{NamedBy, Site};

/// Puts a reference under the prefix; `None` for a reference that stays as it is.
pub(super) fn under(site: &Site<'_>, reference: &[u8]) -> Option<Vec<u8>> {
    let reference = without_tabs(reference);
    let reference = reference.trim_ascii();
    if site.prefix.is_empty() {
        return at_own_port(site, reference);
    }
    match form(reference) {
        Form::Url {
            https,
            authority,
            rest,
        } => {
            let named_by = site.named_by(authority, https)?;
            let put = put(site, rest);
            if named_by == NamedBy::App {
                return Some(put);
            }
            if put == rest {
                return None;
            }
            let upgrade = https == Some(true) && !site.https;
            let before = &reference[..reference.len() - rest.len()];
            Some(if upgrade {
                [before, &put].concat()
            } else {
                put
            })
        }
        Form::Root => Some(put(site, reference)).filter(|put| put != reference),
        Form::Relative => put_relative(site, reference),
        Form::Other => None,
    }
}

/// Mends a reference at a port of the app's own; `None` for a reference that stays as it is. An app that
/// knows nothing of the client's https redirects to http, which browsers block within an https page. An app
/// that knows its machine alone redirects to that, which is another machine to the client.
fn at_own_port(site: &Site<'_>, reference: &[u8]) -> Option<Vec<u8>> {
    let Form::Url {
        https,
        authority,
        rest,
    } = form(reference)
    else {
        return None;
    };
    match site.named_by(authority, https)? {
        NamedBy::App if rest.starts_with(b"//") || rest.contains(&b'\\') => None,
        NamedBy::App if rest.starts_with(b"/") => Some(rest.to_vec()),
        NamedBy::App => Some([b"/", rest].concat()),
        NamedBy::Client if site.https && https == Some(false) => {
            Some([b"https://", authority, rest].concat())
        }
        NamedBy::Client => None,
    }
}

/// The form of a reference.
enum Form<'a> {
    /// `http://authority…`, `https://authority…`, or `//authority…` without a scheme.
    Url {
        https: Option<bool>,
        authority: &'a [u8],
        /// The path, query and fragment behind the authority.
        rest: &'a [u8],
    },
    /// A path from the root, with query and fragment.
    Root,
    /// A relative path, with query and fragment.
    Relative,
    /// Another scheme, a reference without a path, and forms that programs read differently.
    Other,
}

fn form(reference: &[u8]) -> Form<'_> {
    if let Some((scheme, rest)) = split_scheme(reference) {
        let https = scheme.eq_ignore_ascii_case(b"https");
        let known = https || scheme.eq_ignore_ascii_case(b"http");
        return match rest.strip_prefix(b"//").filter(|_| known) {
            Some(rest) => url(Some(https), rest),
            None => Form::Other,
        };
    }
    match reference {
        [b'/', b'/', rest @ ..] => url(None, rest),
        [] | [b'/', b'\\', ..] | [b'\\' | b'?' | b'#', ..] => Form::Other,
        [b'/', ..] => Form::Root,
        _ => Form::Relative,
    }
}

fn url(https: Option<bool>, rest: &[u8]) -> Form<'_> {
    let (authority, rest) = split_before(rest, b"/?#");
    Form::Url {
        https,
        authority,
        rest,
    }
}

/// Splits a scheme (RFC 3986 section 3.1) from what is behind its colon.
fn split_scheme(reference: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = reference.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = (&reference[..colon], &reference[colon + 1..]);
    let begins = scheme.first().is_some_and(u8::is_ascii_alphabetic);
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    (begins && scheme.iter().all(is_scheme)).then_some((scheme, rest))
}

/// Puts a path from the root, with query and fragment, under the prefix. The path may be empty.
fn put(site: &Site<'_>, rest: &[u8]) -> Vec<u8> {
    let (path, query) = split_before(rest, b"?#");
    let (path, empty) = match site.behind_prefix(path) {
        Some(path) => (path, &b""[..]),
        None => (path, &b"/"[..]),
    };
    let path = slashes(path);
    let root = path.strip_prefix(b"/").unwrap_or_default();
    let prefix = site.prefix.as_bytes();
    match behind_climbing(root, 0) {
        Some(rest) => [prefix, b"/", rest, query].concat(),
        None if path.is_empty() => [prefix, empty, query].concat(),
        None => [prefix, &path, query].concat(),
    }
}

/// Puts a relative path under the prefix where it would lead out of it.
fn put_relative(site: &Site<'_>, reference: &[u8]) -> Option<Vec<u8>> {
    let (path, query) = split_before(reference, b"?#");
    let path = slashes(path);
    let rest = match behind_climbing(&path, depth(site.path)) {
        Some(rest) => rest,
        None if site.bare => &path,
        None => return None,
    };
    Some([site.prefix.as_bytes(), b"/", rest, query].concat())
}

/// The part of a path behind its last segment that leads above the root, from a folder `depth` below it;
/// `None` when no segment does. That part begins at the root.
fn behind_climbing(path: &[u8], mut depth: usize) -> Option<&[u8]> {
    let (mut rest, mut behind) = (Some(path), None);
    while let Some(path) = rest {
        let end = path.iter().position(|byte| *byte == b'/');
        let segment = &path[..end.unwrap_or(path.len())];
        rest = end.map(|end| &path[end + 1..]);
        match dots(segment) {
            Some(2) if depth == 0 => behind = Some(rest.unwrap_or_default()),
            Some(2) => depth -= 1,
            Some(_) => {}
            None => depth += 1,
        }
    }
    behind
}

/// The depth of the folder that a path from the root lies in.
fn depth(path: &[u8]) -> usize {
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    let mut depth = 0_usize;
    while let Some(segment) = segments.next() {
        if segments.peek().is_none() {
            break;
        }
        depth = match dots(segment) {
            Some(2) => depth.saturating_sub(1),
            Some(_) => depth,
            None => depth + 1,
        };
    }
    depth
}

/// The number of dots of a dot segment, one or two; browsers also take `%2e` for a dot.
fn dots(segment: &[u8]) -> Option<usize> {
    let (mut rest, mut dots) = (segment, 0);
    while !rest.is_empty() && dots < 3 {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return None,
        };
        dots += 1;
    }
    (1..=2).contains(&dots).then_some(dots)
}

fn split_before<'a>(text: &'a [u8], ends: &[u8]) -> (&'a [u8], &'a [u8]) {
    let end = text.iter().position(|byte| ends.contains(byte));
    text.split_at(end.unwrap_or(text.len()))
}

fn slashes(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'\\') {
        return Cow::Borrowed(path);
    }
    let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    Cow::Owned(path.iter().map(slash).collect())
}

fn without_tabs(reference: &[u8]) -> Cow<'_, [u8]> {
    if !reference.contains(&b'\t') {
        return Cow::Borrowed(reference);
    }
    let kept = reference.iter().copied().filter(|byte| *byte != b'\t');
    Cow::Owned(kept.collect())
}

//! Puts cookies (RFC 6265) of an app under its path prefix: a browser sends them to that app alone, and
//! not to the other apps of the relay.
//!
//! * `Path=/x` becomes `Path=<prefix>/x`, and `Path=/` becomes the prefix without a slash behind it. That
//!   is also the default path of cookies from the app's root, so that `Path=/` still names the same
//!   cookie.
//! * A cookie without a path keeps its default path, which is below the prefix. The default path lies
//!   above the prefix only where the client left out the slash behind it; the prefix is added there.
//! * `Domain=localhost` goes, because a browser drops cookies for another host than that of the URL, and
//!   without the attribute the cookie belongs to the host that the client called. Other domains stay,
//!   and the browser decides.
//! * A cookie `__Host-…` is dropped: browsers take it only with `Path=/`, and so would send it to every app
//!   of the relay.
//! * Everything else stays as the app wrote it.

use super::site::Site;

/// The longest attribute that browsers read (RFC 6265bis section 5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// The change of a cookie.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    Kept,
    Changed(Vec<u8>),
    Dropped,
}

/// Puts a value of `Set-Cookie` under the prefix.
pub(super) fn under(site: &Site<'_>, value: &[u8]) -> Cookie {
    let mut parts: Vec<&[u8]> = value.split(|byte| *byte == b';').collect();
    let (name, _) = split_attribute(parts[0]);
    if starts_with_host(name) {
        return Cookie::Dropped;
    }
    let attributes = parts.split_off(1);
    // Only the last path counts (section 5.3), and clients that read another must not find one.
    let last = attributes.iter().rposition(|part| is(part, b"path"));
    let named = last.is_some_and(|last| split_attribute(attributes[last]).1.starts_with(b"/"));
    let add = site.bare && !named;
    let kept = last.filter(|_| !add);
    let mut out = parts[0].to_vec();
    for (at, part) in attributes.into_iter().enumerate() {
        let (_, value) = split_attribute(part);
        let is_path = is(part, b"path");
        let local = is(part, b"domain") && Site::is_local_domain(value);
        if local || (is_path && Some(at) != kept) {
            continue;
        }
        out.push(b';');
        match is_path.then(|| put_path(site, value)).flatten() {
            Some(path) => out.extend(replaced(part, value, &path)),
            None => out.extend_from_slice(part),
        }
    }
    if add {
        out.extend_from_slice(b"; Path=");
        out.extend_from_slice(site.prefix.as_bytes());
    }
    if out == value {
        Cookie::Kept
    } else {
        Cookie::Changed(out)
    }
}

/// Browsers compare the name's prefix without regard to capital letters (RFC 6265bis section 5.4).
fn starts_with_host(name: &[u8]) -> bool {
    let prefix = name.get(..b"__Host-".len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"__Host-"))
}

/// Puts a cookie's path under the prefix; `None` for a value that is no path. Browsers take no path in
/// quotes, but curl does.
fn put_path(site: &Site<'_>, value: &[u8]) -> Option<Vec<u8>> {
    let unquoted = value.strip_prefix(b"\"");
    let (path, quote) = match unquoted {
        Some(rest) => (rest.strip_suffix(b"\"").unwrap_or(rest), &b"\""[..]),
        None => (value, &b""[..]),
    };
    if !path.starts_with(b"/") || site.behind_prefix(path).is_some() {
        return None;
    }
    let path = if path == b"/" { b"" } else { path };
    let prefix = site.prefix.as_bytes();
    let fits = prefix.len() + path.len() <= ATTRIBUTE_BYTES_MAX;
    // A browser would ignore a longer path, and take the default.
    let path = if fits { path } else { b"" };
    Some([quote, prefix, path, quote].concat())
}

/// Replaces the value of an attribute, and keeps its name and blanks.
fn replaced(part: &[u8], value: &[u8], by: &[u8]) -> Vec<u8> {
    let equals = part.iter().position(|byte| *byte == b'=').unwrap_or(0);
    let blanks = part[equals + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let start = equals + 1 + blanks;
    [&part[..start], by, &part[start + value.len()..]].concat()
}

fn is(part: &[u8], name: &[u8]) -> bool {
    split_attribute(part).0.eq_ignore_ascii_case(name)
}

/// The name and the value of an attribute, without blanks around them.
fn split_attribute(part: &[u8]) -> (&[u8], &[u8]) {
    match part.iter().position(|byte| *byte == b'=') {
        Some(equals) => (part[..equals].trim_ascii(), part[equals + 1..].trim_ascii()),
        None => (part.trim_ascii(), b""),
    }
}

//! This module parses the `Forwarded` header (RFC 7239): elements separated by commas, each
//! `for=…;proto=…`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header::FORWARDED};

/// The statement of one proxy about the sender of a request: one element of the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    /// The address of the sender; `None` when it is hidden (`unknown`, `_name`) or malformed.
    pub(crate) sender: Option<IpAddr>,
    /// Whether the sender used https; `None` when the element has no known `proto`.
    pub(crate) https: Option<bool>,
}

/// Reads the hops of all `Forwarded` headers, beginning with the proxy nearest to this port. A
/// malformed header ends the list: the elements before it cannot be separated reliably.
pub(crate) fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED).iter().rev() {
        let elements = value.to_str().ok().and_then(elements);
        match elements {
            Some(elements) => hops.extend(elements.into_iter().rev()),
            None => {
                hops.push(Hop::default());
                break;
            }
        }
    }
    hops
}

/// The elements of one header, or `None` when a quoted string does not end.
fn elements(value: &str) -> Option<Vec<Hop>> {
    let elements = split(value, ',')?.into_iter();
    let elements = elements.filter(|element| !element.trim().is_empty());
    elements.map(hop).collect()
}

fn hop(element: &str) -> Option<Hop> {
    let mut hop = Hop::default();
    for pair in split(element, ';')? {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let value = unquoted(value.trim());
        if name.trim().eq_ignore_ascii_case("for") {
            hop.sender = address(&value);
        } else if name.trim().eq_ignore_ascii_case("proto") {
            hop.https = https(&value);
        }
    }
    Some(hop)
}

/// The parts of `text` between separators outside quoted strings; `None` when a quoted string does
/// not end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// The text of a token, or of a quoted string without its quotes and escapes.
fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut escaped = false;
    let kept = inner.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    kept.collect()
}

/// Whether a URI scheme, in any case, is encrypted; `None` for unknown schemes.
pub(crate) fn https(scheme: &str) -> Option<bool> {
    let scheme = scheme.trim();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match (is("https") || is("wss"), is("http") || is("ws")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Reads an IP address with or without a port: `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1`,
/// `[2001:db8::1]` or `[2001:db8::1]:5`.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let ip = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|at| at.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip = ip.or_else(with_port).or_else(bracketed)?;
    Some(IpAddr::to_canonical(&ip))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Vec<(Option<String>, Option<bool>)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        let hops = hops(&headers).into_iter();
        hops.map(|hop| (hop.sender.map(|ip| ip.to_string()), hop.https))
            .collect()
    }

    fn ip(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn elements_are_read_from_the_nearest_proxy() {
        let values = [
            "for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\";proto=HTTP",
            "for=198.51.100.17;by=203.0.113.60;proto=https;host=example.com",
        ];
        assert_eq!(
            read(&values),
            [
                (ip("198.51.100.17"), Some(true)),
                (ip("2001:db8:cafe::17"), Some(false)),
                (ip("192.0.2.43"), None),
            ]
        );
    }

    #[test]
    fn separators_in_quoted_strings_separate_nothing() {
        let tricky = r#"host="a,for=6.6.6.6;\",x";for="192.0.2.1", for=_hidden;proto=https"#;
        assert_eq!(
            read(&[tricky]),
            [(None, Some(true)), (ip("192.0.2.1"), None)]
        );
    }

    #[test]
    fn a_malformed_header_ends_the_list() {
        let values = ["for=192.0.2.1", "for=\"192.0.2.2", "for=192.0.2.3"];
        assert_eq!(read(&values), [(ip("192.0.2.3"), None), (None, None)]);
        assert_eq!(read(&["for=unknown", ""]), [(None, None)]);
    }

    proptest! {
        #[test]
        fn every_address_is_read_back(ip: IpAddr, https: bool, junk in "[a-z,;=\"\\\\ ]{0,20}") {
            let sender = if ip.is_ipv6() { format!("\"[{ip}]:7\"") } else { ip.to_string() };
            let proto = if https { "https" } else { "http" };
            let text = format!("host=\"{}\";for={sender};proto={proto}",
                junk.replace('\\', "\\\\").replace('"', "\\\""));
            let hop = elements(&text).unwrap();
            let expected = Hop { sender: Some(ip.to_canonical()), https: Some(https) };
            prop_assert_eq!(hop, vec![expected]);
        }

        #[test]
        fn arbitrary_text_is_an_answer(text in "[\\x20-\\x7e]{0,200}") {
            let _ = elements(&text);
        }
    }
}

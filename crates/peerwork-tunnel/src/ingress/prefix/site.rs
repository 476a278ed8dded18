//! `Site` is the place of an app among URLs, as its client and as the app itself see it.

/// The hosts by which an app knows its own machine. Some apps take the address that they listen on.
const LOCAL_HOSTS: [&[u8]; 5] = [b"localhost", b"127.0.0.1", b"[::1]", b"0.0.0.0", b"[::]"];

/// The place of an app in one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    /// The path prefix of the app at the client, with a slash before and none behind; empty at a port of
    /// the app's own.
    pub(super) prefix: &'a str,
    /// The authority that the client addressed, which the app gets as `X-Forwarded-Host`.
    pub(super) host: Option<&'a [u8]>,
    /// The app's port. The app gets `localhost` and this port as `Host`.
    pub(super) port: u16,
    /// Whether the client used https.
    pub(super) https: bool,
    /// The path that the app was asked for.
    pub(super) path: &'a [u8],
    /// Whether the client's path was the prefix without a slash behind it. Its relative references, and
    /// the default path of its cookies, lie beside the prefix and not below.
    pub(super) bare: bool,
}

/// The party that calls the app by an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// The client.
    Client,
    /// The app's own machine.
    App,
}

impl Site<'_> {
    /// Finds whether an authority of a URL is the app's. `https` is the URL's scheme, `None` where the URL
    /// has none.
    pub(super) fn named_by(&self, authority: &[u8], https: Option<bool>) -> Option<NamedBy> {
        let (host, port) = split_port(authority)?;
        let is = |other: &[u8], other_port| {
            host.eq_ignore_ascii_case(other) && is_same_port(port, other_port, https)
        };
        let asked = self.host.filter(|host| !host.is_empty());
        if asked
            .and_then(split_port)
            .is_some_and(|(host, port)| is(host, port))
        {
            return Some(NamedBy::Client);
        }
        let local = LOCAL_HOSTS.iter().any(|host| is(host, Some(self.port)));
        local.then_some(NamedBy::App)
    }

    /// Whether a cookie's `Domain` is the app's own machine, which is another host to the client.
    pub(super) fn is_local_domain(domain: &[u8]) -> bool {
        let domain = domain.strip_prefix(b".").unwrap_or(domain);
        let host = split_port(domain).map_or(domain, |(host, _)| host);
        LOCAL_HOSTS
            .iter()
            .any(|local| host.eq_ignore_ascii_case(local))
    }

    /// The part of a path behind the prefix, where the path is the prefix or below it.
    pub(super) fn behind_prefix<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.prefix.as_bytes())?;
        matches!(rest, [] | [b'/', ..]).then_some(rest)
    }
}

/// Splits `host[:port]`; `None` when the port is not a number.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let literal_end = authority.iter().rposition(|byte| *byte == b']');
    let colon = authority.iter().rposition(|byte| *byte == b':');
    match colon.filter(|colon| literal_end.is_none_or(|end| end < *colon)) {
        None => Some((authority, None)),
        Some(colon) => {
            let digits = &authority[colon + 1..];
            if digits.is_empty() {
                return Some((&authority[..colon], None));
            }
            let is_number = digits.iter().all(u8::is_ascii_digit);
            let port = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
            Some((&authority[..colon], Some(port.parse().ok()?)))
        }
    }
}

/// Whether two ports are the same under a URL's scheme, which names the port where none is written.
/// Without a scheme they need to be the same under http or under https.
fn is_same_port(one: Option<u16>, other: Option<u16>, https: Option<bool>) -> bool {
    let same = |https: bool| {
        let default = if https { 443 } else { 80 };
        one.unwrap_or(default) == other.unwrap_or(default)
    };
    match https {
        Some(https) => same(https),
        None => same(false) || same(true),
    }
}

//! Checks the host that a request names (RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use std::net::Ipv6Addr;

use http::{HeaderValue, Request, Version, header::HOST, uri::Authority};

use crate::problem::{Failure, Problem};

/// Refuses a request without a host, with two hosts, and with a malformed host, be it in `Host`, in the
/// authority of HTTP/2, or in the whole URL that a client of a proxy sends. Programs on the path that read
/// such requests differently can be led to different hosts.
///
/// # Errors
/// 400 with the mistake.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let authority = request.uri().authority().map(Authority::as_str);
    let mistake = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => "Host was sent more than once",
        (Some(host), None) if !is_valid(host.as_bytes()) => {
            "Host is not a host name or an IP address, with or without a port"
        }
        _ if !authority.is_none_or(|authority| is_valid(authority.as_bytes())) => {
            "the authority is not a host name or an IP address, with or without a port"
        }
        (Some(host), None) if is_another(host, request) => "Host and :authority differ",
        (Some(_), None) => return Ok(()),
        (None, _) if may_lack_host(request) => return Ok(()),
        (None, _) => "the request names no host: HTTP/1.1 demands the header Host",
    };
    Err(Problem::new(Failure::BadHost, mistake))
}

/// HTTP/1.0 has no `Host`, and HTTP/2 names the host in `:authority`.
fn may_lack_host<B>(request: &Request<B>) -> bool {
    match request.version() {
        Version::HTTP_09 | Version::HTTP_10 => true,
        Version::HTTP_11 => false,
        _ => request.uri().authority().is_some(),
    }
}

/// Whether `Host` differs from the authority of an HTTP/2 request. In HTTP/1.1 the authority of a whole URL
/// counts, whatever `Host` is (RFC 9112 section 3.2.2).
fn is_another<B>(host: &HeaderValue, request: &Request<B>) -> bool {
    let authority = request.uri().authority();
    let authority = authority.filter(|_| request.version() == Version::HTTP_2);
    authority.is_some_and(|own| {
        !host
            .as_bytes()
            .eq_ignore_ascii_case(own.as_str().as_bytes())
    })
}

/// Whether a value is empty, as RFC 9110 section 7.2 allows, or `host[:port]`.
fn is_valid(host: &[u8]) -> bool {
    if host.is_empty() {
        return true;
    }
    let Ok(authority) = Authority::try_from(host) else {
        return false;
    };
    let name = authority.host();
    let port = authority.as_str().strip_prefix(name);
    let port_is_valid = port.is_some_and(|port| match port.strip_prefix(':') {
        Some(digits) => {
            digits.is_empty() || digits.parse::<u16>().is_ok_and(|_| all_digits(digits))
        }
        None => port.is_empty(),
    });
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let name_is_valid = match literal {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && !name.contains(['[', ']', '@', ':']),
    };
    port_is_valid && name_is_valid
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "",
            "x",
            "relay.example:50005",
            "x:",
            "192.0.2.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "a_b.example",
            "xn--bcher-kva.example",
            "x:65535",
        ] {
            assert!(is_valid(host.as_bytes()), "{host:?}");
        }
        for host in [
            "a b", "a/b", "u@h", "x:y", "x:+1", "x:65536", "[::1", "::1", "[x]", ":80", "a?b",
            "a#b", "http://x", "x:80:80", "a\\b", "[::1]x",
        ] {
            assert!(!is_valid(host.as_bytes()), "{host:?}");
        }
    }
}

//! `Hosts` checks the `Host` of requests, which defeats DNS rebinding.
//!
//! A page of a stranger can point its own DNS name at an address of this machine; its requests then carry
//! that name. So the gateway answers to addresses, to names of loopback, and to names that its owner gave.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, Uri, Version, header, uri::Authority};

use super::problem::Problem;

/// The hosts that a gateway answers to.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// Whether the port is reached from this machine alone.
    loopback: bool,
    /// Names of the setting, in small letters.
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(bound: SocketAddr, names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self {
            loopback: bound.ip().is_loopback(),
            names: names.collect(),
        }
    }

    /// Checks a request and gives its host; `None` for HTTP/1.0, which may name none.
    pub(super) fn check(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        version: Version,
    ) -> Result<Option<Authority>, Problem> {
        let mut sent = headers.get_all(header::HOST).iter();
        let (first, second) = (sent.next(), sent.next());
        let bad = || Problem::bad("a request names one host, as `Host: name:port`");
        let parse = |text: &str| text.parse::<Authority>().map_err(|_| bad());
        let named = first.map(|host| host.to_str().map_err(|_| bad()).and_then(parse));
        let named = named.transpose()?;
        // The target's own host comes before the header (RFC 9112 section 3.2.2).
        let host = uri.authority().cloned().or(named.clone());
        if second.is_some() || (host.is_none() && version > Version::HTTP_10) {
            return Err(bad());
        }
        for host in [&host, &named].into_iter().flatten() {
            if host.as_str().contains('@') || !self.answers_to(host.host()) {
                let detail = format!(
                    "this gateway does not answer to the name {:?}: use its address, or add the name by \
                     the setting `gateway-name`",
                    host.host()
                );
                return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
            }
        }
        Ok(host)
    }

    fn answers_to(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(&host).parse::<IpAddr>() {
            return address.to_canonical().is_loopback() || !self.loopback;
        }
        let name = host.strip_suffix('.').unwrap_or(&host);
        name == "localhost"
            || name.ends_with(".localhost")
            || self.names.iter().any(|own| own == name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    fn check(hosts: &Hosts, host: &str) -> Option<u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let checked = hosts.check(&Uri::from_static("/x"), &headers, Version::HTTP_11);
        checked.err().map(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_gateway_on_loopback_answers_to_names_of_loopback_alone() {
        let hosts = Hosts::new("127.0.0.1:8480".parse().unwrap(), &["My.Name".into()]);
        for host in [
            "127.0.0.1:8480",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]:8480",
            "localhost:8480",
            "LOCALHOST",
            "a.localhost",
            "localhost.",
            "my.name:1",
            "MY.name",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(check(&hosts, host), None, "{host}");
        }
        for host in [
            "evil.example:8480",
            "10.0.0.1",
            "localhost.evil.example",
            "xlocalhost",
            "name",
            "127.0.0.1.evil.example",
            "[fe80::1]",
            "0.0.0.0",
        ] {
            assert_eq!(check(&hosts, host), Some(421), "{host}");
        }
        for host in ["a b", "", "a/b"] {
            assert_eq!(check(&hosts, host), Some(400), "{host:?}");
        }
        assert_eq!(check(&hosts, "x@127.0.0.1"), Some(421));
    }

    #[test]
    fn a_gateway_on_other_addresses_answers_to_addresses_but_not_to_strange_names() {
        let hosts = Hosts::new("0.0.0.0:8480".parse().unwrap(), &[]);
        assert_eq!(check(&hosts, "10.0.0.1:8480"), None);
        assert_eq!(check(&hosts, "[2001:db8::1]:8480"), None);
        assert_eq!(check(&hosts, "evil.example"), Some(421));
    }

    #[test]
    fn the_host_of_the_target_and_of_the_header_must_both_be_known() {
        let hosts = Hosts::new("127.0.0.1:8480".parse().unwrap(), &[]);
        let evil = Uri::from_static("http://evil.example/x");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        assert!(hosts.check(&evil, &headers, Version::HTTP_11).is_err());
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(
            hosts
                .check(&Uri::from_static("/x"), &headers, Version::HTTP_11)
                .is_err()
        );
        let none = HeaderMap::new();
        assert!(
            hosts
                .check(&Uri::from_static("/x"), &none, Version::HTTP_11)
                .is_err()
        );
        let old = hosts.check(&Uri::from_static("/x"), &none, Version::HTTP_10);
        assert_eq!(old.unwrap(), None);
    }
}

//! The address of a daemon's RPC API: a multiaddr or a URL.

use std::{fmt, str::FromStr};

use hyper::{
    Uri,
    http::uri::{Authority, PathAndQuery},
};
use multiaddr::{Multiaddr, Protocol};

/// The address of a daemon's RPC API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAddress {
    authority: Authority,
}

/// A text is not the address of an RPC API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the address of an RPC API; write a multiaddr as /ip4/127.0.0.1/tcp/5001 or /dns4/localhost/tcp/5001, or a URL as http://127.0.0.1:5001"
)]
pub struct AddressError(String);

impl FromStr for ApiAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let authority = match text.starts_with('/') {
            true => of_multiaddr(text),
            false => of_url(text),
        };
        let wrong = || AddressError(text.chars().take(128).collect());
        authority
            .map(|authority| Self { authority })
            .ok_or_else(wrong)
    }
}

fn of_multiaddr(text: &str) -> Option<Authority> {
    let address: Multiaddr = text.parse().ok()?;
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::Http), None) => format!("{host}:{port}").parse().ok(),
        _ => None,
    }
}

fn of_url(text: &str) -> Option<Authority> {
    let uri: Uri = text.parse().ok()?;
    let bare = matches!(
        uri.path_and_query().map(PathAndQuery::as_str),
        None | Some("/")
    );
    let authority = uri.authority()?;
    let plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
    if !plain || !bare || authority.host().is_empty() {
        return None;
    }
    match authority.port_u16() {
        Some(_) => Some(authority.clone()),
        None if authority.as_str() == authority.host() => {
            format!("{}:80", authority.host()).parse().ok()
        }
        None => None,
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn multiaddrs_and_urls_are_addresses() {
        let right = [
            ("/ip4/127.0.0.1/tcp/5001", "http://127.0.0.1:5001"),
            ("/ip6/::1/tcp/5001", "http://[::1]:5001"),
            ("/dns4/localhost/tcp/5001", "http://localhost:5001"),
            ("/dns/ipfs.example/tcp/80/http", "http://ipfs.example:80"),
            ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
            ("http://localhost:5001/", "http://localhost:5001"),
            ("http://ipfs.example", "http://ipfs.example:80"),
        ];
        for (text, url) in right {
            let address: ApiAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), url);
        }
        for text in [
            "",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/5001",
            "/ip4/127.0.0.1/tcp/5001/ws",
            "127.0.0.1:5001",
            "https://127.0.0.1:5001",
            "http://user:word@127.0.0.1:5001",
            "http://127.0.0.1:5001/api",
            "http://127.0.0.1:99999",
        ] {
            let refused = text.parse::<ApiAddress>();
            assert!(refused.is_err(), "{text}");
        }
    }
}

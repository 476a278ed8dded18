//! `IceServer` is a STUN or TURN server for the WebRTC connections of pages.
//!
//! Its text is the server's URL (RFC 7064, RFC 7065), and for TURN the credentials behind it:
//! `stun:HOST[:PORT]` or `turn:HOST[:PORT][?transport=udp|tcp];username=NAME;credential=TEXT`. The
//! text has no comma of its own, so that environment variables can list several servers.

use std::{net::Ipv6Addr, str::FromStr};

use serde::Serialize;

/// The longest URL of a server, in bytes.
pub const ICE_URL_BYTES_MAX: usize = 512;
/// The longest user name and the longest credential, in bytes (RFC 8489, section 14.3).
pub const ICE_CREDENTIAL_BYTES_MAX: usize = 508;
/// The longest DNS name.
const NAME_BYTES_MAX: usize = 253;

/// A STUN or TURN server, in the form of `RTCIceServer` in browsers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    urls: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// A text does not describe a STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IceServerError {
    /// The scheme is unknown.
    #[error("begin it with stun:, stuns:, turn: or turns:, like stun:stun.example.org:3478")]
    Scheme,
    /// A URL with slashes, as those of HTTP have.
    #[error("leave out the //: such a URL is written like stun:stun.example.org:3478")]
    Slashes,
    /// The host is missing or malformed.
    #[error("`{0}` is no host: write a DNS name, an IPv4 address, or an IPv6 address in brackets")]
    Host(String),
    /// The port is malformed.
    #[error("`{0}` is no port (1 to 65535)")]
    Port(String),
    /// Something follows the host and the port.
    #[error(
        "`?{0}` is not possible: a turn: or turns: URL may end with ?transport=udp or ?transport=tcp, and a stun: URL with nothing"
    )]
    Query(String),
    /// A TURN server without credentials, which browsers refuse.
    #[error("a TURN server needs credentials: append ;username=NAME;credential=TEXT")]
    NoCredentials,
    /// A STUN server with credentials.
    #[error("a STUN server takes no credentials: leave out ;username= and ;credential=")]
    Credentials,
    /// A text is too long or has characters that are not possible.
    #[error("the {0} has 1 to {1} visible ASCII characters")]
    Length(&'static str, usize),
}

impl FromStr for IceServer {
    type Err = IceServerError;

    fn from_str(text: &str) -> Result<Self, IceServerError> {
        let (text, credential) = split(text, ";credential=");
        let (url, username) = split(text, ";username=");
        bounded("URL", url, ICE_URL_BYTES_MAX)?;
        let turn = check_url(url)?;
        match (turn, username, credential) {
            (true, Some(username), Some(credential)) => {
                bounded("user name", username, ICE_CREDENTIAL_BYTES_MAX)?;
                bounded("credential", credential, ICE_CREDENTIAL_BYTES_MAX)?;
            }
            (true, _, _) => return Err(IceServerError::NoCredentials),
            (false, None, None) => {}
            (false, _, _) => return Err(IceServerError::Credentials),
        }
        Ok(Self {
            urls: url.to_owned(),
            username: username.map(str::to_owned),
            credential: credential.map(str::to_owned),
        })
    }
}

fn split<'a>(text: &'a str, mark: &str) -> (&'a str, Option<&'a str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn bounded(what: &'static str, text: &str, max: usize) -> Result<(), IceServerError> {
    let fits = (1..=max).contains(&text.len());
    match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(IceServerError::Length(what, max)),
    }
}

/// Checks a URL, and tells whether it is one of a TURN server.
fn check_url(url: &str) -> Result<bool, IceServerError> {
    let (scheme, rest) = url.split_once(':').ok_or(IceServerError::Scheme)?;
    let turn = match scheme.to_ascii_lowercase().as_str() {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return Err(IceServerError::Scheme),
    };
    if rest.starts_with("//") {
        return Err(IceServerError::Slashes);
    }
    let (authority, query) = split(rest, "?");
    match query {
        None => {}
        Some("transport=udp" | "transport=tcp") if turn => {}
        Some(query) => return Err(IceServerError::Query(query.to_owned())),
    }
    check_authority(authority)?;
    Ok(turn)
}

fn check_authority(authority: &str) -> Result<(), IceServerError> {
    let wrong = || IceServerError::Host(authority.to_owned());
    let (host_fits, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
            let port = after.strip_prefix(':');
            if port.is_none() && !after.is_empty() {
                return Err(wrong());
            }
            (host.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (host, port) = split(authority, ":");
            (is_name(host), port)
        }
    };
    if !host_fits {
        return Err(wrong());
    }
    let Some(port) = port else { return Ok(()) };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        _ => Err(IceServerError::Port(port.to_owned())),
    }
}

/// Whether a text is a DNS name or an IPv4 address.
fn is_name(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=NAME_BYTES_MAX).contains(&host.len()) && host.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<IceServer, IceServerError> {
        text.parse()
    }

    #[test]
    fn urls_of_stun_and_turn_servers_are_taken() {
        for url in [
            "stun:stun.example.org",
            "stun:stun.example.org:3478",
            "stuns:192.0.2.1:5349",
            "STUN:[2001:db8::1]:3478",
            "stun:[::1]",
        ] {
            assert_eq!(parse(url).map(|server| server.urls), Ok(url.to_owned()));
        }
        for url in [
            "turn:turn.example.org",
            "turns:t.example:5349?transport=tcp",
        ] {
            // The credential is everything after its mark, so it may contain any other mark.
            let text = format!("{url};username=1700:ada;credential=x=;username=/+");
            let server = IceServer {
                urls: url.to_owned(),
                username: Some("1700:ada".to_owned()),
                credential: Some("x=;username=/+".to_owned()),
            };
            assert_eq!(parse(&text), Ok(server));
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        use IceServerError as E;
        for (text, error) in [
            ("stun.example.org", E::Scheme),
            ("https://stun.example.org", E::Scheme),
            ("stun://stun.example.org", E::Slashes),
            ("stun:", E::Host(String::new())),
            ("stun:a b", E::Length("URL", ICE_URL_BYTES_MAX)),
            ("stun:2001:db8::1", E::Port("db8::1".to_owned())),
            ("stun:[::g]:1", E::Host("[::g]:1".to_owned())),
            ("stun:[::1]1", E::Host("[::1]1".to_owned())),
            ("stun:a.example:0", E::Port("0".to_owned())),
            ("stun:a.example:65536", E::Port("65536".to_owned())),
            ("stun:a.example:+1", E::Port("+1".to_owned())),
            (
                "stun:a.example?transport=udp",
                E::Query("transport=udp".to_owned()),
            ),
            (
                "turn:a.example?transport=sctp;username=u;credential=c",
                E::Query("transport=sctp".to_owned()),
            ),
            ("stun:a.example;username=u;credential=c", E::Credentials),
            ("turn:a.example", E::NoCredentials),
            ("turn:a.example;username=u", E::NoCredentials),
            ("turn:a.example;credential=c", E::NoCredentials),
            (
                "turn:a.example;username=;credential=c",
                E::Length("user name", ICE_CREDENTIAL_BYTES_MAX),
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let url = |bytes: usize| format!("stun:[::1]:{}1", "0".repeat(bytes - 12));
        let name = |bytes: usize| format!("stun:{}", "a".repeat(bytes));
        let credential = |bytes: usize| {
            parse(&format!(
                "turn:a;username=u;credential={}",
                "c".repeat(bytes)
            ))
            .is_ok()
        };
        assert_eq!(url(ICE_URL_BYTES_MAX).len(), ICE_URL_BYTES_MAX);
        assert!(parse(&url(ICE_URL_BYTES_MAX)).is_ok());
        assert!(parse(&url(ICE_URL_BYTES_MAX + 1)).is_err());
        assert!(parse(&name(NAME_BYTES_MAX)).is_ok());
        assert!(parse(&name(NAME_BYTES_MAX + 1)).is_err());
        assert!(credential(ICE_CREDENTIAL_BYTES_MAX));
        assert!(!credential(ICE_CREDENTIAL_BYTES_MAX + 1));
    }
}

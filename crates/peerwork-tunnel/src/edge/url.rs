//! Parses the URL of the app behind one port, and checks that its host is this machine.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs as _, UdpSocket},
    path::PathBuf,
};

use http::uri;

/// The host that means this machine: its IPv4 loopback address, and then its IPv6 one, because some
/// apps listen on only one of them. The name is not looked up.
pub const THIS_MACHINE: &str = "localhost";
/// The schemes and how URLs are written, for messages.
const HOW: &str = "write it like http://localhost:3000, https://localhost:8443, \
                   h2c://localhost:50051 or unix:/run/app.sock";

/// The URL of the app behind one port: a protocol, and a place on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppUrl {
    /// `http://`: the app takes HTTP/1.1, or any other bytes, by TCP.
    Http(Authority),
    /// `https://`: the app takes HTTP/1.1 within TLS, by TCP.
    Https(Authority),
    /// `h2c://`: the app takes HTTP/2 with prior knowledge and without TLS, by TCP, as gRPC servers do.
    H2c(Authority),
    /// `unix:`: the app takes HTTP/1.1, or any other bytes, by a Unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
}

/// The host and the port of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port, never 0.
    pub port: u16,
}

/// The reason why a URL names no app of this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text has no scheme of those in [`AppUrl`].
    #[error("`{0}` is no URL of an app: {HOW}")]
    Scheme(String),
    /// The text between scheme and end is no host with an optional port.
    #[error("`{0}` is no host with an optional port: {HOW}")]
    Host(String),
    /// The URL has a path, a query or a fragment.
    #[error("leave out `{0}`: the path comes from each call")]
    Path(String),
    /// The URL has a user name.
    #[error("leave out the user name: the edge does not log in to the app")]
    User,
    /// The path of the Unix socket is relative, too long, or unknown to this system.
    #[error("`{path}` is no path of a Unix socket: {reason}")]
    Socket {
        /// The path as it was written.
        path: String,
        /// The mistake in the path.
        reason: String,
    },
    /// The host has no address.
    #[error("the host {host} has no address: {source}")]
    Unknown {
        /// The host as it was written.
        host: String,
        /// The error of the look-up.
        source: io::Error,
    },
    /// The host is another machine.
    #[error(
        "the host {host} is not this machine, which has no address {address}: an edge speaks to the \
         apps of its own machine; run an edge on the machine of the app"
    )]
    Elsewhere {
        /// The host as it was written.
        host: String,
        /// The address that is not this machine's.
        address: IpAddr,
    },
}

impl AppUrl {
    /// Parses a URL. `port` is the port at which the edge offers the app: a URL without a port means
    /// the same one.
    ///
    /// # Errors
    /// [`UrlError`] says how a URL is written. The host is not looked up: see [`AppUrl::check_host`].
    pub fn parse(text: &str, port: u16) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket(path);
        }
        let unknown = || UrlError::Scheme(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(unknown)?;
        let make = match scheme.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "https" => Self::Https,
            "h2c" => Self::H2c,
            _ => return Err(unknown()),
        };
        authority(rest, port).map(make)
    }

    /// Checks that the host is this machine. A name other than `localhost` is looked up, and blocks the
    /// thread meanwhile.
    ///
    /// # Errors
    /// [`UrlError::Elsewhere`] and [`UrlError::Unknown`].
    pub fn check_host(&self) -> Result<(), UrlError> {
        let at = match self {
            Self::Http(at) | Self::Https(at) | Self::H2c(at) => at,
            #[cfg(unix)]
            Self::Unix(_) => return Ok(()),
        };
        if is_localhost(&at.host) {
            return Ok(());
        }
        let found = (at.host.as_str(), at.port).to_socket_addrs();
        let found = found.map_err(|source| UrlError::Unknown {
            host: at.host.clone(),
            source,
        })?;
        let mut elsewhere = found.map(|at| at.ip()).filter(|ip| !is_own(*ip));
        match elsewhere.next() {
            None => Ok(()),
            Some(address) => Err(UrlError::Elsewhere {
                host: at.host.clone(),
                address,
            }),
        }
    }
}

impl fmt::Display for AppUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(at) => write!(f, "http://{at}"),
            Self::Https(at) => write!(f, "https://{at}"),
            Self::H2c(at) => write!(f, "h2c://{at}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn authority(text: &str, port: u16) -> Result<Authority, UrlError> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if let Some(path) = text.find(['/', '?', '#']) {
        return Err(UrlError::Path(text[path..].to_owned()));
    }
    if text.contains('@') {
        return Err(UrlError::User);
    }
    let wrong = || UrlError::Host(text.to_owned());
    let parsed: uri::Authority = text.parse().map_err(|_| wrong())?;
    let port = match parsed.as_str().strip_prefix(parsed.host()) {
        Some("") => port,
        Some(_) => parsed.port_u16().filter(|p| *p != 0).ok_or_else(wrong)?,
        None => return Err(wrong()),
    };
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(wrong());
    }
    Ok(Authority {
        host: host.to_owned(),
        port,
    })
}

/// Parses the path of a Unix socket, with or without the slashes of an empty host.
#[cfg(unix)]
fn socket(path: &str) -> Result<AppUrl, UrlError> {
    let wrong = |reason: String| UrlError::Socket {
        path: path.to_owned(),
        reason,
    };
    let plain = path.strip_prefix("//").unwrap_or(path);
    if !plain.starts_with('/') {
        return Err(wrong("write the whole path, which begins with /".into()));
    }
    let address = std::os::unix::net::SocketAddr::from_pathname(plain);
    address.map_err(|error| wrong(error.to_string()))?;
    Ok(AppUrl::Unix(plain.into()))
}

#[cfg(not(unix))]
fn socket(path: &str) -> Result<AppUrl, UrlError> {
    Err(UrlError::Socket {
        path: path.to_owned(),
        reason: "this program has no Unix sockets on this system; use http://localhost:PORT".into(),
    })
}

/// Whether a name means the loopback addresses without a look-up (RFC 6761 section 6.3).
pub(super) fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == THIS_MACHINE || host.ends_with(".localhost")
}

/// Whether an address is a loopback address or one of this machine's interfaces: the system binds
/// sockets to no other address.
pub(super) fn is_own(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return true;
    }
    let many = ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    !many && UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shown(text: &str) -> String {
        AppUrl::parse(text, 7).unwrap().to_string()
    }

    fn refused(text: &str) -> String {
        AppUrl::parse(text, 7).unwrap_err().to_string()
    }

    #[test]
    fn an_url_without_a_port_means_the_port_at_which_it_is_offered() {
        assert_eq!(shown("http://localhost"), "http://localhost:7");
        assert_eq!(shown("http://127.0.0.1:3000/"), "http://127.0.0.1:3000");
        assert_eq!(shown("HTTPS://[::1]:8443"), "https://[::1]:8443");
        assert_eq!(shown("https://[::1]"), "https://[::1]:7");
        assert_eq!(shown("h2c://app.localhost:1"), "h2c://app.localhost:1");
        assert_eq!(shown("h2c://localhost:65535"), "h2c://localhost:65535");
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_has_an_absolute_path_of_bounded_length() {
        assert_eq!(shown("unix:/run/app.sock"), "unix:/run/app.sock");
        assert_eq!(shown("unix:///run/app.sock"), "unix:/run/app.sock");
        for relative in ["unix:", "unix:app.sock", "unix://host/app.sock", "unix:@x"] {
            assert!(refused(relative).contains("begins with /"), "{relative}");
        }
        // The system's own bound is 108 bytes on Linux and less elsewhere, the end included.
        let path = |bytes: usize| format!("unix:/{}", "x".repeat(bytes - 1));
        assert!(AppUrl::parse(&path(103), 7).is_ok());
        #[cfg(target_os = "linux")]
        assert!(AppUrl::parse(&path(107), 7).is_ok());
        assert!(AppUrl::parse(&path(108), 7).is_err());
    }

    #[test]
    fn each_refusal_says_what_to_write() {
        for (text, part) in [
            ("localhost:3000", "h2c://localhost:50051"),
            ("ftp://localhost", "h2c://localhost:50051"),
            ("", "unix:/run/app.sock"),
            ("http://", "is no host"),
            ("http://:3000", "is no host"),
            ("http://localhost:", "is no host"),
            ("http://localhost:0", "is no host"),
            ("http://localhost:65536", "is no host"),
            ("http://two words", "is no host"),
            ("http://localhost/path", "leave out `/path`"),
            ("http://localhost?x=1", "leave out `?x=1`"),
            ("https://user@localhost", "leave out the user name"),
        ] {
            let error = refused(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn only_hosts_that_mean_this_machine_pass() {
        let check = |text: &str| AppUrl::parse(text, 7).unwrap().check_host();
        for own in [
            "http://localhost",
            "https://LOCALHOST.",
            "h2c://app.localhost",
            "http://127.0.0.1",
            "http://127.9.9.9",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(check(own).is_ok(), "{own}");
        }
        // The address of the interface to other machines, where there is one. No datagram is sent.
        let probe = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
        if probe.connect(("192.0.2.1", 9)).is_ok() {
            let own = probe.local_addr().unwrap().ip();
            assert!(check(&format!("http://{own}")).is_ok(), "{own}");
        }
        // Addresses for documentation, which no machine has, and addresses of many machines.
        for other in [
            "http://192.0.2.1",
            "https://[2001:db8::1]",
            "h2c://0.0.0.0",
            "http://[::]",
            "http://224.0.0.1",
            "http://255.255.255.255",
        ] {
            let error = check(other).unwrap_err();
            assert!(matches!(error, UrlError::Elsewhere { .. }), "{error}");
        }
        let error = check("http://no.such.invalid").unwrap_err();
        assert!(matches!(error, UrlError::Unknown { .. }), "{error}");
    }
}

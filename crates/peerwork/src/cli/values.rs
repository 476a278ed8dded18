//! Parsers of the values of flags. Each error says how the value is written.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::LazyLock,
    time::Duration,
};

use ipnet::IpNet;
use multiaddr::{Multiaddr, Protocol};
use peerwork_listener::HeaderCase;
use peerwork_tunnel::ingress::AppPaths;

/// A listen address, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// The address to listen on; port 0 takes a free port.
    At(SocketAddr),
    /// No listener.
    Off,
}

impl Listen {
    /// The address; `None` when the listener is off.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::Off => None,
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        socket_address(text).map(Self::At)
    }
}

/// Parses `host:port` where the host is an IPv4 address, an IPv6 address in brackets, `localhost`, or
/// missing; the last two mean 127.0.0.1.
///
/// # Errors
/// A text that says how an address is written.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let how = || "write it like 127.0.0.1:50001 or [::1]:50001".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(how)?;
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{port}` is no port (0 to 65535)"))?;
    let host: IpAddr = match host {
        "" | "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(host) => IpAddr::V6(host.parse().map_err(|_| how())?),
            None => IpAddr::V4(host.parse().map_err(|_| how())?),
        },
    };
    Ok(SocketAddr::new(host, port))
}

/// The DNS name under which other nodes reach this machine: `/dns4/example.org`, or a bare name for
/// `/dns/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsName(pub(crate) Protocol<'static>);

impl FromStr for DnsName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.trim_start_matches('/').split_once('/') {
            Some((kind, name)) => (kind, name),
            None => ("dns", text),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || name.len() > 253 || !name.chars().all(fits) {
            return Err("write it like example.org or dns4/example.org".into());
        }
        let name = name.to_owned().into();
        match kind {
            "dns" => Ok(Self(Protocol::Dns(name))),
            "dns4" => Ok(Self(Protocol::Dns4(name))),
            "dns6" => Ok(Self(Protocol::Dns6(name))),
            _ => Err(format!("`{kind}` is none of dns, dns4 and dns6")),
        }
    }
}

/// Parses a DNS name, such as `example.org`.
///
/// # Errors
/// A text that says what a name is.
pub(crate) fn dns_name(text: &str) -> Result<String, String> {
    let how = || "write it like example.org, without a scheme and a port".to_owned();
    match text.contains('/') {
        true => Err(how()),
        false => text
            .parse::<DnsName>()
            .map_err(|_| how())
            .map(|_| text.to_owned()),
    }
}

/// Parses the base URL of the local web app, `http://host`, and returns the host.
///
/// # Errors
/// A text that says which URL is not possible, and why.
pub(crate) fn app_host(text: &str) -> Result<String, String> {
    let how = "write it like http://127.0.0.1";
    let host = match text.split_once("://") {
        Some(("http", host)) => host.trim_end_matches('/'),
        Some(("https" | "h2c", _)) => {
            return Err(
                "this flag takes http alone: name other apps with their ports, like \
                 --app-port 8443=https://localhost (--edge-port of `peerwork node`)"
                    .into(),
            );
        }
        Some((scheme, _)) => return Err(format!("`{scheme}` is not http: {how}")),
        None => return Err(how.into()),
    };
    let authority: hyper::http::uri::Authority = host
        .parse()
        .map_err(|_| format!("`{host}` is no host: {how}"))?;
    if authority.port().is_some() {
        return Err("leave out the port: each call names one of --app-port".into());
    }
    if host.contains('@') {
        return Err("a user name has no meaning here".into());
    }
    let host = authority.host();
    Ok(host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned())
}

/// Parses a duration that is not zero.
///
/// # Errors
/// The errors of [`duration`], and a duration of zero.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    let some = |duration: &Duration| !duration.is_zero();
    let none = || "it has to be longer than nothing".to_owned();
    Some(duration(text)?).filter(some).ok_or_else(none)
}

/// Parses a duration: a number with `s`, `m`, `h` or `d`.
///
/// # Errors
/// A text that says how a duration is written.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let how = || "write it like 90s, 15m, 12h or 30d".to_owned();
    let split = text.len().checked_sub(1).ok_or_else(how)?;
    let (number, unit) = text.split_at_checked(split).ok_or_else(how)?;
    let number: u64 = number.parse().map_err(|_| how())?;
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = seconds.ok_or_else(how)?;
    // The bound is a thousand years: dates far beyond it cannot be computed.
    const SECONDS_MAX: u64 = 1000 * 366 * 86_400;
    number
        .checked_mul(seconds)
        .filter(|total| *total <= SECONDS_MAX)
        .map(Duration::from_secs)
        .ok_or_else(|| "that is more than a thousand years".to_owned())
}

/// The ingress' default deadline of an app's response, in the format of [`duration`].
pub(crate) fn response_timeout() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let timeout = peerwork_tunnel::ingress::Deadlines::default().response;
        format!("{}s", timeout.as_secs())
    });
    &TEXT
}

/// The letters of header names, from the flag that keeps them.
pub(crate) fn header_case(keep: bool) -> HeaderCase {
    if keep {
        HeaderCase::Kept
    } else {
        HeaderCase::Lower
    }
}

/// The paths in answers of apps, from the flag that keeps them.
pub(crate) fn app_paths(keep: bool) -> AppPaths {
    if keep {
        AppPaths::Kept
    } else {
        AppPaths::UnderPrefix
    }
}

/// Converts a default bound of a part to the number type of flags.
pub(crate) fn bound(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Converts the number of a flag to a bound.
pub(crate) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Parses a multiaddress to listen on or to announce.
///
/// # Errors
/// A text that says how a multiaddress is written.
pub(crate) fn multiaddress(text: &str) -> Result<Multiaddr, String> {
    text.parse()
        .map_err(|error| format!("{error}: write it like /ip4/127.0.0.1/tcp/50001"))
}

/// Parses an IP address, or a network of IP addresses.
///
/// # Errors
/// A text that says how a network is written.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let one = |ip: IpAddr| IpNet::from(ip);
    let network = text.parse().or_else(|_| text.parse().map(one));
    network.map_err(|_: std::net::AddrParseError| "write it like 10.0.0.1 or 10.0.0.0/8".to_owned())
}

/// The level of detail of a node's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogLevel(pub(crate) &'static str);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
        let text = text.to_ascii_lowercase();
        let level = LEVELS.iter().find(|level| **level == text);
        let level = level.ok_or_else(|| format!("the levels are {}", LEVELS.join(", ")))?;
        Ok(Self(level))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_listen_address_may_be_ipv4_ipv6_without_host_or_off() {
        let at = |text: &str| text.parse::<Listen>().unwrap().address();
        assert_eq!(at("0.0.0.0:50001"), Some("0.0.0.0:50001".parse().unwrap()));
        assert_eq!(at("[::1]:0"), Some("[::1]:0".parse().unwrap()));
        assert_eq!(at(":7"), Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!(at("localhost:7"), Some("127.0.0.1:7".parse().unwrap()));
        assert_eq!(at("off"), None);
        for wrong in ["", "7", "::1:7", "host:7", "1.2.3.4:65536", "1.2.3.4:"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_dns_name_may_name_its_protocol() {
        let shown = |text: &str| text.parse::<DnsName>().map(|name| name.0.to_string());
        assert_eq!(shown("example.org").unwrap(), "/dns/example.org");
        assert_eq!(shown("dns4/example.org").unwrap(), "/dns4/example.org");
        assert_eq!(shown("/dns6/example.org").unwrap(), "/dns6/example.org");
        assert!(shown("dns5/example.org").is_err());
        assert!(shown("dns4/").is_err());
        assert!(shown("two words").is_err());
    }

    #[test]
    fn the_app_url_is_http_and_a_host() {
        assert_eq!(app_host("http://127.0.0.1").unwrap(), "127.0.0.1");
        assert_eq!(app_host("http://127.0.0.1/").unwrap(), "127.0.0.1");
        assert_eq!(app_host("http://[::1]").unwrap(), "::1");
        assert_eq!(app_host("http://app.internal").unwrap(), "app.internal");
        for wrong in [
            "127.0.0.1",
            "https://x",
            "http://x:80",
            "http://x/path",
            "http://u@x",
            "http://",
        ] {
            assert!(app_host(wrong).is_err(), "{wrong}");
        }
        let error = app_host("h2c://localhost").unwrap_err();
        assert!(error.contains("--app-port 8443=https://localhost"));
    }

    #[test]
    fn a_duration_has_a_unit_and_a_bound() {
        assert_eq!(duration("30d").unwrap(), Duration::from_secs(30 * 86_400));
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        for wrong in [
            "",
            "d",
            "30",
            "-1d",
            "1.5h",
            "99999999999999d",
            "366001d",
            "3é",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_log_level_is_read_in_any_case() {
        assert_eq!("INFO".parse::<LogLevel>().unwrap().0, "info");
        assert!("loud".parse::<LogLevel>().is_err());
    }
}

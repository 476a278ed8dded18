//! Connects to the app of a tunnel: by TCP at each address of its host in turn, with TLS on top, or by a
//! Unix socket.

use std::{
    fmt::Write as _,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    shared::Shared,
    socket::Socket,
    url::{AppUrl, Authority, UrlError, is_localhost, is_own},
};
use crate::wire::{Head, Kind, Reason, Refusal, Speaks};

/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;
/// The pause before a Unix socket is tried again whose queue is full.
#[cfg(unix)]
const QUEUE_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// The connection to an app, and the HTTP that the app speaks on it.
pub(super) struct Connected {
    pub(super) socket: Socket,
    pub(super) speaks: Speaks,
}

/// Connects to the app that a head asks for.
///
/// The bytes of a raw tunnel ([`Kind::Tcp`]) go to the app's socket as they are: its caller speaks the
/// app's own protocol, TLS included.
///
/// # Errors
/// The refusal for the caller, which names the addresses that were tried, each with its error.
pub(super) async fn connect(shared: &Shared, head: &Head) -> Result<Connected, Refusal> {
    let config = &shared.config;
    let deadline = Instant::now() + head.open_deadline;
    let mut speaks = Speaks::Http1;
    let socket = match config.apps.get(&head.port) {
        None => Socket::Tcp(tcp((&config.app_host, head.port), Hosts::Any, deadline).await?),
        Some(AppUrl::Http(at)) => own(at, deadline).await?,
        Some(url @ AppUrl::Https(at)) => match (head.kind, &shared.tls) {
            (Kind::Http, Some(connector)) => tls(connector, at, url, deadline).await?,
            _ => own(at, deadline).await?,
        },
        Some(url @ AppUrl::H2c(at)) => {
            if head.kind == Kind::Http {
                check_opener(head, url)?;
                speaks = Speaks::Http2;
            }
            own(at, deadline).await?
        }
        #[cfg(unix)]
        Some(url @ AppUrl::Unix(path)) => unix(path, url, deadline).await?,
    };
    Ok(Connected { socket, speaks })
}

/// Refuses openers of a version that does not know that apps may speak HTTP/2: they would send HTTP/1.1.
fn check_opener(head: &Head, url: &AppUrl) -> Result<(), Refusal> {
    if head.http2 {
        return Ok(());
    }
    let detail = format!(
        "the app at {url} speaks HTTP/2 alone, and the calling relay speaks HTTP/1.1 alone to apps: \
         call by a relay with a newer version"
    );
    Err(unreachable(detail))
}

/// The hosts that an app may be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hosts {
    /// Any machine: the owner named the host for all ports.
    Any,
    /// This machine alone; the addresses of a name are checked each time.
    ThisMachine,
}

async fn own(at: &Authority, deadline: Instant) -> Result<Socket, Refusal> {
    let stream = tcp((&at.host, at.port), Hosts::ThisMachine, deadline).await?;
    Ok(Socket::Tcp(stream))
}

/// Connects to a port of the app's host.
async fn tcp(
    (host, port): (&str, u16),
    hosts: Hosts,
    deadline: Instant,
) -> Result<TcpStream, Refusal> {
    let mut tried = String::new();
    let connected = timeout_at(deadline, first((host, port), hosts, &mut tried)).await;
    match connected {
        Ok(Ok(app)) => {
            peerwork_listener::prepare(&app);
            Ok(app)
        }
        Ok(Err(error)) if tried.is_empty() => Err(unreachable(format!(
            "the app's host {host} has no address: {error}"
        ))),
        Ok(Err(_)) => Err(unreachable(tried)),
        Err(_) => Err(late(format!(
            "{host} took no connection on port {port} in time"
        ))),
    }
}

/// Connects to the first address that accepts; adds the others to `tried`.
async fn first(at: (&str, u16), hosts: Hosts, tried: &mut String) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses(at).await? {
        let connected = match hosts == Hosts::Any || is_own(address.ip()) {
            true => TcpStream::connect(address).await,
            false => Err(io::Error::other(UrlError::Elsewhere {
                host: at.0.to_owned(),
                address: address.ip(),
            })),
        };
        match connected {
            Ok(app) => return Ok(app),
            Err(error) => {
                let separator = if tried.is_empty() { "" } else { "; " };
                // Writing to a string cannot fail.
                let _ = write!(tried, "{separator}{address}: {error}");
                last = error;
            }
        }
    }
    Err(last)
}

async fn addresses((host, port): (&str, u16)) -> io::Result<Vec<SocketAddr>> {
    if is_localhost(host) {
        return Ok(vec![
            (Ipv4Addr::LOCALHOST, port).into(),
            (Ipv6Addr::LOCALHOST, port).into(),
        ]);
    }
    let found = lookup_host((host, port)).await?;
    Ok(found.take(ADDRESSES_MAX).collect())
}

/// Connects by TCP and shakes hands by TLS.
async fn tls(
    connector: &TlsConnector,
    at: &Authority,
    url: &AppUrl,
    deadline: Instant,
) -> Result<Socket, Refusal> {
    let stream = tcp((&at.host, at.port), Hosts::ThisMachine, deadline).await?;
    let address = stream.peer_addr().map(|address| address.to_string());
    let tried = format!("{url} at {}", address.as_deref().unwrap_or("its address"));
    let name = ServerName::try_from(at.host.clone());
    let name = name.map_err(|error| unreachable(format!("{url}: {error}")))?;
    match timeout_at(deadline, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Socket::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(unreachable(format!("{tried}: no TLS: {error}"))),
        Err(_) => Err(late(format!("{tried}: no TLS in time"))),
    }
}

/// Connects by a Unix socket. The system refuses a connection at once while the app's queue is full, so
/// the connection is tried again until the deadline, as TCP does by itself.
#[cfg(unix)]
async fn unix(path: &std::path::Path, url: &AppUrl, deadline: Instant) -> Result<Socket, Refusal> {
    let connect = async {
        loop {
            match tokio::net::UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(QUEUE_PAUSE).await;
                }
                connected => break connected,
            }
        }
    };
    match timeout_at(deadline, connect).await {
        Ok(Ok(stream)) => Ok(Socket::Unix(stream)),
        Ok(Err(error)) => Err(unreachable(format!("{url}: {error}"))),
        Err(_) => Err(late(format!("{url} took no connection in time"))),
    }
}

fn unreachable(detail: String) -> Refusal {
    let reason = Reason::AppUnreachable;
    Refusal { reason, detail }
}

fn late(detail: String) -> Refusal {
    let reason = Reason::AppTimeout;
    Refusal { reason, detail }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use peerwork_testkit::ClosedPort;
    use tokio::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn an_app_of_this_machine_is_found_on_either_loopback_address() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let app = TcpListener::bind(address).await.unwrap();
            let at = app.local_addr().unwrap();
            for host in ["LocalHost", "app.localhost"] {
                let connected = tcp((host, at.port()), Hosts::ThisMachine, soon()).await;
                assert_eq!(connected.unwrap().peer_addr().unwrap(), at);
            }
        }
    }

    #[tokio::test]
    async fn a_refusal_names_each_address_with_its_error() {
        let closed = ClosedPort::bind().unwrap();
        let port = closed.address().port();
        let refusal = tcp(("127.0.0.1", port), Hosts::Any, soon()).await;
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.reason, Reason::AppUnreachable);
        let address = format!("127.0.0.1:{port}: ");
        assert!(refusal.detail.starts_with(&address), "{refusal:?}");
        let refusal = tcp(("no.such.invalid", 80), Hosts::Any, soon()).await;
        let refusal = refusal.unwrap_err();
        let start = "the app's host no.such.invalid has no address: ";
        assert!(refusal.detail.starts_with(start), "{refusal:?}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_not_dialled() {
        // An address for documentation: a dial would time out, and the refusal comes at once.
        let refusal = tcp(("192.0.2.1", 80), Hosts::ThisMachine, soon()).await;
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.reason, Reason::AppUnreachable);
        assert!(refusal.detail.contains("not this machine"), "{refusal:?}");
    }
}

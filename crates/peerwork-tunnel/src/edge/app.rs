//! Connects to the app of a tunnel, at each address of its host in turn.

use std::{
    fmt::Write as _,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use crate::wire::{Reason, Refusal};

/// The host that means this machine: its IPv4 loopback address, and then its IPv6 one, because some
/// apps listen on only one of them. The name is not looked up.
pub const THIS_MACHINE: &str = "localhost";
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Connects to a port of the app's host.
///
/// # Errors
/// The refusal for the caller, which names the addresses that were tried, each with its error.
pub(super) async fn connect(
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<TcpStream, Refusal> {
    let mut tried = String::new();
    let connected = timeout_at(deadline, first(host, port, &mut tried)).await;
    let (reason, detail) = match connected {
        Ok(Ok(app)) => {
            peerwork_listener::prepare(&app);
            return Ok(app);
        }
        Ok(Err(error)) if tried.is_empty() => (
            Reason::AppUnreachable,
            format!("the app's host {host} has no address: {error}"),
        ),
        Ok(Err(_)) => (Reason::AppUnreachable, tried),
        Err(_) => (
            Reason::AppTimeout,
            format!("{host} took no connection on port {port} in time"),
        ),
    };
    Err(Refusal { reason, detail })
}

/// Connects to the first address that accepts; adds the others to `tried`.
async fn first(host: &str, port: u16, tried: &mut String) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses(host, port).await? {
        match TcpStream::connect(address).await {
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

async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.eq_ignore_ascii_case(THIS_MACHINE) {
        return Ok(vec![
            (Ipv4Addr::LOCALHOST, port).into(),
            (Ipv6Addr::LOCALHOST, port).into(),
        ]);
    }
    let found = lookup_host((host, port)).await?;
    Ok(found.take(ADDRESSES_MAX).collect())
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
            let stream = connect("LocalHost", at.port(), soon()).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), at);
        }
    }

    #[tokio::test]
    async fn a_refusal_names_each_address_with_its_error() {
        let closed = ClosedPort::bind().unwrap();
        let port = closed.address().port();
        let refusal = connect("127.0.0.1", port, soon()).await.unwrap_err();
        assert_eq!(refusal.reason, Reason::AppUnreachable);
        let address = format!("127.0.0.1:{port}: ");
        assert!(refusal.detail.starts_with(&address), "{refusal:?}");
        let refusal = connect("no.such.invalid", 80, soon()).await.unwrap_err();
        let start = "the app's host no.such.invalid has no address: ";
        assert!(refusal.detail.starts_with(start), "{refusal:?}");
    }
}

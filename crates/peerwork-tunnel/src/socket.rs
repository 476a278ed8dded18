//! What all plain TCP connections of a tunnel have in common.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the other side is asked whether it is still there, and the pause between
/// further questions.
const ASK_AFTER: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// Sends small pieces at once, and notices when the other side has vanished without a word.
///
/// Where the system refuses either, the connection works without it.
pub(crate) fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(ASK_AFTER)
        .with_interval(ASK_AGAIN);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

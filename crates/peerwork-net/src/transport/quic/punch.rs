//! Opens the way for a node behind a NAT that dials this node at the same moment: packets to its address
//! make this node's NAT let its packets in (libp2p specification, `relay/DCUtR.md`).

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of each packet; they are random, so that no protocol takes them for its own.
const PACKET_BYTES: usize = 64;
/// The time between packets is random within these bounds, in milliseconds.
const BETWEEN_MS: std::ops::Range<u64> = 10..200;

/// Sends packets until the future is dropped, or the socket fails.
pub(super) async fn send(socket: UdpSocket, to: SocketAddr) -> io::Result<Infallible> {
    let random = SystemRandom::new();
    loop {
        let mut packet = [0; PACKET_BYTES];
        let filled = random.fill(&mut packet);
        filled.map_err(|_| io::Error::other("the system has no random numbers"))?;
        match socket.send_to(&packet, to) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        let steps = BETWEEN_MS.end - BETWEEN_MS.start;
        let step = u64::from(packet[0]) * steps / u64::from(u8::MAX);
        tokio::time::sleep(Duration::from_millis(BETWEEN_MS.start + step)).await;
    }
}

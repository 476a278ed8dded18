//! One UDP port: which datagram is for which connection, and which begins one.
//!
//! Nothing here grows with what strangers send: greetings are answered without being remembered, but for
//! the last names, and a connection begins with DTLS, as many at once as there are places.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{MissedTickBehavior, interval},
};

use super::{
    driver::{DATAGRAMS_MAX, Inbound},
    greeting,
};

/// Connections of a port in their handshake at once, of 20 to 60 KiB each; whoever comes then is not
/// answered, and tries again.
const HANDSHAKES_MAX: usize = 256;
/// Connections that wait for the swarm.
const WAITING_MAX: usize = 64;
/// Names remembered until their connection begins, and as many of connections that are no more.
const NAMES_MAX: usize = 1024;
/// Addresses of one connection: a dialler tries from each that its machine has.
const ADDRESSES_MAX: usize = 8;
/// The pause between two looks for connections that ended.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of a datagram; diallers send no larger ones.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// A connection that begins.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) remote: SocketAddr,
    pub(super) inbound: mpsc::Receiver<Inbound>,
    /// Given back when the handshake is over.
    pub(super) place: OwnedSemaphorePermit,
}

/// Where the datagrams of a connection go.
#[derive(Debug, Clone)]
struct Route {
    sender: mpsc::Sender<Inbound>,
    addresses: Arc<AtomicUsize>,
}

impl Route {
    /// Full means lost: it is UDP.
    fn send(&self, inbound: Inbound) {
        let _ = self.sender.try_send(inbound);
    }
}

/// A map that forgets its oldest entry for a new one.
#[derive(Debug)]
struct Latest<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V> Latest<K, V> {
    fn new() -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

/// The state of a port.
pub(super) struct Port {
    socket: Arc<UdpSocket>,
    begun: mpsc::Sender<Begun>,
    places: Arc<Semaphore>,
    by_address: HashMap<SocketAddr, Route>,
    by_name: HashMap<String, Route>,
    /// Names by the address they were last heard from.
    names: Latest<SocketAddr, String>,
    /// Names of connections that this node does not have: their diallers are to find out.
    lost: Latest<String, ()>,
}

impl Port {
    /// A port, and what comes in there.
    pub(super) fn new(socket: Arc<UdpSocket>) -> (Self, mpsc::Receiver<Begun>) {
        let (begun, receiver) = mpsc::channel(WAITING_MAX);
        let port = Self {
            socket,
            begun,
            places: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            by_address: HashMap::new(),
            by_name: HashMap::new(),
            names: Latest::new(),
            lost: Latest::new(),
        };
        (port, receiver)
    }

    /// Serves until nobody wants what comes in.
    pub(super) async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let mut sweep = interval(SWEEP_PAUSE);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.begun.closed() => return,
                _ = sweep.tick() => self.sweep(),
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.on_datagram(&buffer[..length], from),
                    // An answer to an earlier datagram that could not be delivered.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                    Err(error) => tracing::warn!(%error, "a WebRTC port failed to receive"),
                },
            }
        }
    }

    fn sweep(&mut self) {
        let lives = |route: &Route| !route.sender.is_closed();
        self.by_address.retain(|_, route| lives(route));
        self.by_name.retain(|_, route| lives(route));
    }

    /// The kind is in the first byte (RFC 7983).
    fn on_datagram(&mut self, datagram: &[u8], from: SocketAddr) {
        match datagram.first() {
            Some(0..=3) => self.on_greeting(datagram, from),
            Some(20..=63) => self.on_dtls(datagram, from),
            _ => {}
        }
    }

    fn on_greeting(&mut self, datagram: &[u8], from: SocketAddr) {
        let Some(greeting) = greeting::read(datagram, from) else {
            return;
        };
        if self.lost.entries.contains_key(&greeting.name) {
            return;
        }
        let route = self.by_name.get(&greeting.name);
        match route.filter(|route| !route.sender.is_closed()) {
            Some(route) => {
                route.send(Inbound::Alive);
                let known = self.by_address.contains_key(&from);
                if !known && route.addresses.fetch_add(1, Ordering::Relaxed) < ADDRESSES_MAX {
                    self.by_address.insert(from, route.clone());
                }
            }
            None => self.names.insert(from, greeting.name),
        }
        // Lost like any other datagram when there is no room: diallers ask again.
        let _ = self.socket.try_send_to(&greeting.answer, from);
    }

    fn on_dtls(&mut self, datagram: &[u8], from: SocketAddr) {
        let route = self.by_address.get(&from);
        if let Some(route) = route.filter(|route| !route.sender.is_closed()) {
            let datagram = Bytes::copy_from_slice(datagram);
            route.send(Inbound::Datagram(from, datagram));
        } else if is_client_hello(datagram) {
            self.begin(datagram, from);
        } else if let Some(name) = self.names.entries.get(&from) {
            // From before this node's start, or of a connection that ended here.
            self.lost.insert(name.clone(), ());
        }
    }

    fn begin(&mut self, datagram: &[u8], from: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::debug!(remote = %from, "too many WebRTC handshakes");
            return;
        };
        let (sender, inbound) = mpsc::channel(DATAGRAMS_MAX);
        let route = Route {
            sender,
            addresses: Arc::new(AtomicUsize::new(1)),
        };
        route.send(Inbound::Datagram(from, Bytes::copy_from_slice(datagram)));
        let begun = Begun {
            remote: from,
            inbound,
            place,
        };
        if self.begun.try_send(begun).is_ok() {
            if let Some(name) = self.names.entries.get(&from) {
                self.by_name.insert(name.clone(), route.clone());
            }
            self.by_address.insert(from, route);
        }
    }
}

/// Whether a record is the first of a handshake: of type 22, unencrypted, with a message of type 1.
fn is_client_hello(datagram: &[u8]) -> bool {
    matches!(datagram, [22, _, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HELLO: [u8; 14] = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    const DATA: [u8; 14] = [23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7];

    async fn port() -> (Port, mpsc::Receiver<Begun>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.writable().await.unwrap();
        Port::new(Arc::new(socket))
    }

    fn from(n: usize) -> SocketAddr {
        let port = u16::try_from(n + 1).unwrap();
        ([192, 0, 2, 1], port).into()
    }

    fn greeting(name: &str) -> Vec<u8> {
        greeting::tests::request(name, name)
    }

    #[tokio::test]
    async fn as_many_connections_begin_as_there_are_places() {
        let (mut port, mut begun) = port().await;
        let mut held = Vec::new();
        for n in 0..=HANDSHAKES_MAX {
            port.on_datagram(&HELLO, from(n));
            held.extend(begun.try_recv().ok());
        }
        assert_eq!(held.len(), HANDSHAKES_MAX);
        held.pop();
        port.on_datagram(&HELLO, from(HANDSHAKES_MAX));
        assert!(begun.try_recv().is_ok(), "a place was given back");
        drop(held);
        port.sweep();
        assert!(port.by_address.is_empty());
    }

    #[tokio::test]
    async fn greetings_of_strangers_are_answered_and_the_oldest_forgotten() {
        let (mut port, mut begun) = port().await;
        for n in 0..=NAMES_MAX {
            let name = format!("libp2p+webrtc+v1/{n}");
            port.on_datagram(&greeting(&name), from(n));
        }
        assert_eq!(port.names.entries.len(), NAMES_MAX);
        assert!(!port.names.entries.contains_key(&from(0)));
        assert!(port.by_address.is_empty() && begun.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_dialler_from_before_a_restart_is_no_longer_answered() {
        let (mut port, mut begun) = port().await;
        let dialler = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = dialler.local_addr().unwrap();
        let name = "libp2p+webrtc+v1/old";
        let mut answer = [0; 256];
        port.on_datagram(&greeting(name), at);
        dialler.recv(&mut answer).await.unwrap();
        port.on_datagram(&DATA, at);
        assert!(begun.try_recv().is_err());
        port.on_datagram(&greeting(name), at);
        port.on_datagram(&greeting("libp2p+webrtc+v1/new"), at);
        let length = dialler.recv(&mut answer).await.unwrap();
        let answer = is::stun::StunMessage::parse(&answer[..length]).unwrap();
        assert!(greeting::tests::is_signed(&answer, "libp2p+webrtc+v1/new"));
    }

    #[tokio::test]
    async fn a_connection_has_a_few_addresses_and_not_more() {
        let (mut port, mut begun) = port().await;
        let name = "libp2p+webrtc+v1/many";
        port.on_datagram(&greeting(name), from(0));
        port.on_datagram(&HELLO, from(0));
        for n in 1..2 * ADDRESSES_MAX {
            port.on_datagram(&greeting(name), from(n));
        }
        assert_eq!(port.by_address.len(), ADDRESSES_MAX);
        let mut begun = begun.try_recv().unwrap();
        assert_eq!(begun.remote, from(0));
        port.on_datagram(&DATA, from(3));
        let mut last = None;
        while let Ok(inbound) = begun.inbound.try_recv() {
            last = Some(inbound);
        }
        assert!(matches!(last, Some(Inbound::Datagram(at, _)) if at == from(3)));
    }
}

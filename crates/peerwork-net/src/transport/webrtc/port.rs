//! One UDP port: finds the connection that a datagram is for, and begins a connection for a new sender.
//!
//! ```text
//!  hello ─▶ unproven: the last 1024 that began ─ answers the handshake ─▶ proven: 256 places ─▶ swarm
//!                └─ 1024 others began after it: dropped
//! ```
//! No state of a port grows with the datagrams of strangers. Greetings are answered without state,
//! except for the last names. Any host can send the first datagram of a handshake from a forged
//! address, so that handshakes whose sender has not answered live in a pool of their own, where the
//! oldest makes room.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    net::UdpSocket,
    sync::{Semaphore, mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    accept::Acceptor,
    begun::{Begun, Unproven},
    driver::{DATAGRAMS_MAX, Inbound},
    greeting,
};

/// Handshakes of a port at once whose sender has not proven its address, of about 20 KiB each; the
/// oldest makes room for a new one. A genuine node leaves this pool after two round trips.
const UNPROVEN_MAX: usize = 1024;
/// Handshakes of a port at once whose sender has proven its address, of 20 to 60 KiB each; a further one is
/// refused.
const HANDSHAKES_MAX: usize = 256;
/// Connections that wait for the swarm.
const WAITING_MAX: usize = 64;
/// Names remembered until their connection begins, and as many of connections that are no more.
const NAMES_MAX: usize = 1024;
/// Addresses of one connection: a dialler tries from each address that its machine has.
const ADDRESSES_MAX: usize = 8;
/// The pause between two looks for connections that ended.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of a datagram; diallers send no larger ones.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// Passes datagrams to the task of a connection.
#[derive(Debug, Clone)]
struct Route {
    sender: mpsc::Sender<Inbound>,
    state: Arc<RouteState>,
}

#[derive(Debug)]
struct RouteState {
    /// The remote addresses of the connection, at most [`ADDRESSES_MAX`].
    addresses: Mutex<Vec<SocketAddr>>,
    name: Option<String>,
    proven: Arc<AtomicBool>,
}

impl Route {
    /// Passes an event to the task. A full queue drops the event, like any datagram.
    fn send(&self, inbound: Inbound) {
        let _ = self.sender.try_send(inbound);
    }

    fn is(&self, other: &Self) -> bool {
        self.sender.same_channel(&other.sender)
    }

    /// Adds an address of the connection; false when it has as many as it may.
    fn add(&self, address: SocketAddr) -> bool {
        let mut addresses = self.state.addresses.lock();
        let room = addresses.len() < ADDRESSES_MAX;
        if room {
            addresses.push(address);
        }
        room
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
    acceptor: Arc<Acceptor>,
    begun: mpsc::Sender<Begun>,
    /// Places of proven handshakes.
    places: Arc<Semaphore>,
    /// The last handshakes that began, the oldest first. Dropping a sender ends an unproven one.
    unproven: VecDeque<(Route, oneshot::Sender<()>)>,
    by_address: HashMap<SocketAddr, Route>,
    by_name: HashMap<String, Route>,
    /// Names by the address that sent them last.
    names: Latest<SocketAddr, String>,
    /// Names of connections that this node does not have: requests with these names stay unanswered, so
    /// that the diallers notice.
    lost: Latest<String, ()>,
}

impl Port {
    /// A port, and its proven connections.
    pub(super) fn new(
        socket: Arc<UdpSocket>,
        acceptor: Arc<Acceptor>,
    ) -> (Self, mpsc::Receiver<Begun>) {
        let (begun, receiver) = mpsc::channel(WAITING_MAX);
        let port = Self {
            socket,
            acceptor,
            begun,
            places: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            unproven: VecDeque::new(),
            by_address: HashMap::new(),
            by_name: HashMap::new(),
            names: Latest::new(),
            lost: Latest::new(),
        };
        (port, receiver)
    }

    /// Receives datagrams until the receiver of connections is dropped.
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
                    // The system reports that an earlier datagram could not be delivered.
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

    /// Dispatches a datagram by its first byte, which tells the protocol (RFC 7983).
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
                if !self.by_address.contains_key(&from) && route.add(from) {
                    self.by_address.insert(from, route.clone());
                }
            }
            None => self.names.insert(from, greeting.name),
        }
        // A socket without room drops the answer, like any datagram; diallers ask again.
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
            // The record belongs to a connection from before this node's start, or to one that ended
            // here.
            self.lost.insert(name.clone(), ());
        }
    }

    fn begin(&mut self, datagram: &[u8], from: SocketAddr) {
        let (sender, inbound) = mpsc::channel(DATAGRAMS_MAX);
        let proven = Arc::new(AtomicBool::new(false));
        let name = self.names.entries.get(&from).cloned();
        let route = Route {
            sender,
            state: Arc::new(RouteState {
                addresses: Mutex::new(vec![from]),
                name: name.clone(),
                proven: Arc::clone(&proven),
            }),
        };
        route.send(Inbound::Datagram(from, Bytes::copy_from_slice(datagram)));
        let evicted = self.keep_unproven(&route);
        let unproven = Unproven {
            evicted,
            proven,
            places: Arc::clone(&self.places),
            begun: self.begun.clone(),
        };
        let socket = Arc::clone(&self.socket);
        self.acceptor.begin(socket, from, inbound, unproven);
        if let Some(name) = name {
            self.by_name.insert(name, route.clone());
        }
        self.by_address.insert(from, route);
    }

    /// Puts a handshake into the pool of unproven ones, in place of the oldest when the pool is full.
    fn keep_unproven(&mut self, route: &Route) -> oneshot::Receiver<()> {
        if self.unproven.len() >= UNPROVEN_MAX
            && let Some((oldest, _)) = self.unproven.pop_front()
            && !oldest.state.proven.load(Ordering::Relaxed)
        {
            self.forget(&oldest);
        }
        let (keep, evicted) = oneshot::channel();
        self.unproven.push_back((route.clone(), keep));
        evicted
    }

    fn forget(&mut self, route: &Route) {
        for address in &*route.state.addresses.lock() {
            if self.by_address.get(address).is_some_and(|r| r.is(route)) {
                self.by_address.remove(address);
            }
        }
        if let Some(name) = &route.state.name
            && self.by_name.get(name).is_some_and(|r| r.is(route))
        {
            self.by_name.remove(name);
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
        let acceptor = Acceptor::for_tests(tokio_util::task::TaskTracker::new());
        Port::new(Arc::new(socket), Arc::new(acceptor))
    }

    fn from(n: usize) -> SocketAddr {
        let port = u16::try_from(n + 1).unwrap();
        ([192, 0, 2, 1], port).into()
    }

    fn greeting(name: &str) -> Vec<u8> {
        greeting::tests::request(name, name)
    }

    #[tokio::test]
    async fn the_oldest_unproven_handshake_makes_room_for_a_new_one() {
        let (mut port, mut begun) = port().await;
        for n in 0..UNPROVEN_MAX {
            port.on_datagram(&HELLO, from(n));
        }
        assert_eq!(port.by_address.len(), UNPROVEN_MAX);
        assert!(port.by_address.contains_key(&from(0)));
        port.on_datagram(&HELLO, from(UNPROVEN_MAX));
        assert_eq!(port.unproven.len(), UNPROVEN_MAX);
        assert_eq!(port.by_address.len(), UNPROVEN_MAX);
        assert!(!port.by_address.contains_key(&from(0)));
        assert!(port.by_address.contains_key(&from(UNPROVEN_MAX)));
        assert!(begun.try_recv().is_err(), "the swarm knows of none");
    }

    #[tokio::test]
    async fn a_dropped_handshake_leaves_no_address_and_no_name() {
        let (mut port, _begun) = port().await;
        let name = "libp2p+webrtc+v1/first";
        for n in 0..3 {
            port.on_datagram(&greeting(name), from(n));
            port.on_datagram(&HELLO, from(0));
        }
        assert_eq!((port.by_address.len(), port.by_name.len()), (3, 1));
        for n in 0..UNPROVEN_MAX {
            port.on_datagram(&HELLO, from(100 + n));
        }
        assert_eq!(port.by_address.len(), UNPROVEN_MAX);
        assert!(port.by_name.is_empty());
    }

    #[tokio::test]
    async fn a_proven_handshake_stays_when_others_begin() {
        let (mut port, _begun) = port().await;
        port.on_datagram(&HELLO, from(0));
        let proven = &port.by_address[&from(0)].state.proven;
        proven.store(true, Ordering::Relaxed);
        for n in 1..=UNPROVEN_MAX {
            port.on_datagram(&HELLO, from(n));
        }
        assert!(port.by_address.contains_key(&from(0)));
        assert_eq!(port.by_address.len(), UNPROVEN_MAX + 1);
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
        let (mut port, _begun) = port().await;
        let name = "libp2p+webrtc+v1/many";
        port.on_datagram(&greeting(name), from(0));
        port.on_datagram(&HELLO, from(0));
        for n in 1..2 * ADDRESSES_MAX {
            port.on_datagram(&greeting(name), from(n));
        }
        assert_eq!(port.by_address.len(), ADDRESSES_MAX);
        let first = &port.by_address[&from(0)];
        assert!(port.by_address[&from(3)].is(first));
        assert!(!port.by_address.contains_key(&from(ADDRESSES_MAX)));
    }
}

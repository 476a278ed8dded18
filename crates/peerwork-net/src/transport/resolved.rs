//! Resolves DNS names before a dial, and lets the gate check the addresses of names from other nodes.
//!
//! ```text
//!  dial /dns4/… ─▶ name from the operator? ─ yes ─▶ resolver ──────────▶ inner transport
//!                                          └─ no ─▶ resolver ─▶ gate ─▶ inner transport
//! ```
//! The check stands behind the resolver because a public name may point to a private address, and may
//! point elsewhere at each query.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    dns,
};
use multiaddr::Multiaddr;
use parking_lot::Mutex;

use super::{
    gate::{self, Gate, Gated},
    name_servers::{NameServers, Settings},
};

type Direct<T> = dns::tokio::Transport<Shared<T>>;
type Checked<T> = dns::tokio::Transport<Gated<Shared<T>>>;

/// A transport that dials DNS names.
pub(super) struct Resolved<T> {
    inner: Shared<T>,
    gate: Gate,
    names: NameServers,
    /// The version of the name servers that both resolvers ask.
    version: u64,
    /// Dials IP addresses and names from the operator; it also listens.
    direct: Direct<T>,
    /// Dials all other names.
    checked: Checked<T>,
}

impl<T> Resolved<T> {
    /// Resolves names at `names`.
    pub(super) fn new(inner: T, gate: Gate, names: NameServers) -> Self {
        let inner = Shared(Arc::new(Mutex::new(inner)));
        let (version, settings) = names.current();
        let (direct, checked) = resolvers(&inner, &gate, settings);
        Self {
            inner,
            gate,
            names,
            version,
            direct,
            checked,
        }
    }

    /// Makes new resolvers when the name servers have changed. Dials under way keep theirs.
    fn refresh(&mut self) {
        if let Some((version, settings)) = self.names.newer_than(self.version) {
            self.version = version;
            (self.direct, self.checked) = resolvers(&self.inner, &self.gate, settings);
        }
    }
}

fn resolvers<T>(
    inner: &Shared<T>,
    gate: &Gate,
    (config, options): Settings,
) -> (Direct<T>, Checked<T>) {
    let gated = Gated::new(inner.clone(), gate.clone());
    (
        dns::tokio::Transport::custom(inner.clone(), config.clone(), options.clone()),
        dns::tokio::Transport::custom(gated, config, options),
    )
}

impl<T> Transport for Resolved<T>
where
    T: Transport<Error = io::Error, Dial: Send> + Send + Unpin + 'static,
{
    type Output = T::Output;
    type Error = dns::Error<io::Error>;
    type ListenerUpgrade = <Direct<T> as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, Self::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.direct.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.direct.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        if gate::has_name(&address) {
            self.refresh();
        }
        if self.gate.trusts_name_of(&address) {
            Ok(self.direct.dial(address, options)?.boxed())
        } else {
            Ok(self.checked.dial(address, options)?.boxed())
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.direct).poll(cx)
    }
}

/// One transport behind two resolvers, so that both dial from the sockets that listen.
pub(super) struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Transport + Unpin> Transport for Shared<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<T::Error>> {
        self.0.lock().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.lock().remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<T::Dial, TransportError<T::Error>> {
        self.0.lock().dial(address, options)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut *self.0.lock()).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        future::{Ready, ready},
        net::Ipv4Addr,
        path::{Path, PathBuf},
    };

    use hickory_resolver::{
        config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
        proto::{
            op::{Message, MessageType, ResponseCode},
            rr::{RData, Record, RecordType, rdata},
        },
    };
    use libp2p::core::{Endpoint, transport::PortUse};
    use tokio::net::UdpSocket;

    use super::*;

    const RELAY: &str = "/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    /// A name server with a few names below `example`.
    async fn answer(socket: UdpSocket) {
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let query = question.queries[0].clone();
            let name = query.name().to_ascii();
            let data = match (name.as_str(), query.query_type()) {
                ("public.example.", RecordType::A) => vec![a("203.0.113.7")],
                ("private.example.", RecordType::A) => vec![a("10.0.0.1")],
                ("loopback.example.", RecordType::A) => vec![a("127.0.0.1")],
                ("metadata.example.", RecordType::A) => vec![a("169.254.169.254")],
                ("mixed.example.", RecordType::A) => vec![a("192.168.1.1"), a("203.0.113.8")],
                ("turned.example.", RecordType::A) => vec![a("203.0.113.8"), a("192.168.1.1")],
                ("public.example.", RecordType::AAAA) => vec![aaaa("2001:db8::7")],
                ("private.example.", RecordType::AAAA) => vec![aaaa("fd00::1")],
                ("_dnsaddr.list.example.", RecordType::TXT) => {
                    let text = format!("dnsaddr=/dns4/private.example/tcp/1{RELAY}");
                    vec![RData::TXT(rdata::TXT::new(vec![text]))]
                }
                _ => Vec::new(),
            };
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            answer.metadata.message_type = MessageType::Response;
            answer.metadata.recursion_available = true;
            if data.is_empty() {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            answer.add_query(query.clone());
            for data in data {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
            socket
                .send_to(&answer.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    }

    fn a(ip: &str) -> RData {
        RData::A(rdata::A(ip.parse().unwrap()))
    }

    fn aaaa(ip: &str) -> RData {
        RData::AAAA(rdata::AAAA(ip.parse().unwrap()))
    }

    /// Starts a name server on loopback, and returns its port as text.
    async fn start_name_server() -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::spawn(answer(socket));
        port.to_string()
    }

    /// Settings with the name server on loopback whose port the file holds.
    fn by_port(file: &Path) -> io::Result<Settings> {
        let mut udp = ConnectionConfig::udp();
        let port = std::fs::read_to_string(file)?;
        udp.port = port.parse().map_err(io::Error::other)?;
        let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![udp]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        Ok((config, ResolverOpts::default()))
    }

    /// A transport that connects to nothing and remembers what it dialled.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<String>>>);

    impl Transport for Recorder {
        type Output = ();
        type Error = io::Error;
        type ListenerUpgrade = Ready<io::Result<()>>;
        type Dial = Ready<io::Result<()>>;

        fn listen_on(
            &mut self,
            _: ListenerId,
            address: Multiaddr,
        ) -> Result<(), TransportError<io::Error>> {
            Err(TransportError::MultiaddrNotSupported(address))
        }

        fn remove_listener(&mut self, _: ListenerId) -> bool {
            false
        }

        fn dial(
            &mut self,
            address: Multiaddr,
            _: DialOpts,
        ) -> Result<Self::Dial, TransportError<io::Error>> {
            self.0.lock().push(address.to_string());
            Ok(ready(Ok(())))
        }

        fn poll(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
            Poll::Pending
        }
    }

    /// The gate, in front of the resolver and behind it, over a [`Recorder`].
    struct Node {
        gate: Gate,
        transport: Gated<libp2p::core::transport::Boxed<()>>,
        dialled: Recorder,
        /// The file with the port of the name server.
        file: PathBuf,
        _folder: tempfile::TempDir,
    }

    impl Node {
        async fn new(allow_private: bool) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("name-server");
            std::fs::write(&file, start_name_server().await).unwrap();
            let gate = Gate::new(allow_private);
            let dialled = Recorder::default();
            let names = NameServers::read_by(by_port, file.clone());
            let resolved = Resolved::new(dialled.clone(), gate.clone(), names);
            let transport = Gated::new(resolved.boxed(), gate.clone());
            Self {
                gate,
                transport,
                dialled,
                file,
                _folder: folder,
            }
        }

        /// The addresses that a dial to `address` reaches.
        async fn dial(&mut self, address: &str) -> Vec<String> {
            let options = DialOpts {
                role: Endpoint::Dialer,
                port_use: PortUse::New,
            };
            if let Ok(dial) = self.transport.dial(address.parse().unwrap(), options) {
                // An error means that no address was left.
                let _ = dial.await;
            }
            std::mem::take(&mut *self.dialled.0.lock())
        }
    }

    #[tokio::test]
    async fn a_learned_name_of_a_private_address_is_not_dialled_on_a_public_network() {
        let mut node = Node::new(false).await;
        for learned in [
            "/dns4/private.example/tcp/1",
            "/dns/private.example/tcp/1",
            "/dns6/private.example/tcp/1",
            "/dns4/loopback.example/udp/1/quic-v1",
            "/dns4/metadata.example/tcp/80",
            "/dns4/localhost/tcp/1",
            "/dnsaddr/list.example",
        ] {
            assert!(node.dial(learned).await.is_empty(), "{learned}");
            let circuit = format!("{learned}{RELAY}/p2p-circuit");
            assert!(node.dial(&circuit).await.is_empty(), "{circuit}");
        }
    }

    #[tokio::test]
    async fn a_name_that_a_service_checked_as_a_name_is_checked_again_when_it_is_resolved() {
        let mut node = Node::new(false).await;
        let learned = "/dns4/private.example/tcp/1";
        node.gate.vouch(&learned.parse().unwrap());
        assert!(node.dial(learned).await.is_empty());
    }

    #[tokio::test]
    async fn public_results_of_a_learned_name_are_dialled_and_private_ones_beside_them_are_not() {
        let mut node = Node::new(false).await;
        for (learned, dialled) in [
            ("/dns4/public.example/tcp/1", "/ip4/203.0.113.7/tcp/1"),
            ("/dns6/public.example/tcp/1", "/ip6/2001:db8::7/tcp/1"),
            ("/dns4/mixed.example/tcp/1", "/ip4/203.0.113.8/tcp/1"),
            ("/dns4/turned.example/tcp/1", "/ip4/203.0.113.8/tcp/1"),
        ] {
            assert_eq!(node.dial(learned).await, [dialled], "{learned}");
        }
    }

    #[tokio::test]
    async fn names_from_the_operator_are_dialled_wherever_they_point() {
        let mut node = Node::new(false).await;
        for (named, dialled) in [
            (
                "/dns4/private.example/tcp/1",
                "/ip4/10.0.0.1/tcp/1".to_owned(),
            ),
            (
                "/dnsaddr/list.example",
                format!("/ip4/10.0.0.1/tcp/1{RELAY}"),
            ),
        ] {
            let named: Multiaddr = named.parse().unwrap();
            node.gate.vouch(&named);
            node.gate.trust(&named);
            assert_eq!(node.dial(&named.to_string()).await, [dialled], "{named}");
        }
        let other_port = "/dns4/private.example/tcp/22";
        assert!(node.dial(other_port).await.is_empty(), "a learned port");
    }

    #[tokio::test]
    async fn a_private_network_follows_names_to_private_addresses_but_not_to_metadata_services() {
        let mut node = Node::new(true).await;
        let private = node.dial("/dns4/private.example/tcp/1").await;
        assert_eq!(private, ["/ip4/10.0.0.1/tcp/1"]);
        assert!(node.dial("/dns4/metadata.example/tcp/80").await.is_empty());
    }

    #[tokio::test]
    async fn names_are_asked_at_the_name_servers_that_the_system_has_at_the_dial() {
        let mut node = Node::new(false).await;
        let named = "/dns4/public.example/tcp/1";
        // Nothing listens on port 0.
        std::fs::write(&node.file, "0").unwrap();
        assert!(node.dial(named).await.is_empty(), "no name server");
        std::fs::write(&node.file, start_name_server().await).unwrap();
        assert_eq!(node.dial(named).await, ["/ip4/203.0.113.7/tcp/1"]);
    }
}

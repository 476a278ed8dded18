//! Streams that break off, over each transport: the other side sees an error and never an end.

use std::io::ErrorKind;

use peerwork_net::{
    Incoming, Network, Protocol, Stream,
    relay::{Reservation, circuit_address},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::node::{
    address, behind_nat_config, config, connect, relay_config, soon, start, streams,
};

static BYTES: Protocol = Protocol::answered("/test/bytes/1");

/// The transport between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Tcp,
    Quic,
    WebSocket,
    Circuit,
    /// A circuit whose two connections are QUIC.
    CircuitByQuic,
}

const ALL: [Over; 5] = [
    Over::Tcp,
    Over::Quic,
    Over::WebSocket,
    Over::Circuit,
    Over::CircuitByQuic,
];

/// Two connected nodes, the second of which serves [`BYTES`].
struct Pair {
    client: Network,
    server: Network,
    incoming: Incoming,
    /// The relay of a circuit, and the server's reservation there.
    _between: Option<(Network, Reservation)>,
}

impl Over {
    fn listen(self) -> &'static str {
        match self {
            Self::Tcp | Self::Circuit => "/ip4/127.0.0.1/tcp/0",
            Self::Quic | Self::CircuitByQuic => "/ip4/127.0.0.1/udp/0/quic-v1",
            Self::WebSocket => "/ip4/127.0.0.1/tcp/0/ws",
        }
    }

    async fn pair(self) -> Pair {
        if matches!(self, Self::Circuit | Self::CircuitByQuic) {
            return self.pair_by_circuit().await;
        }
        let mut settings = config();
        settings.listen = vec![self.listen().parse().unwrap()];
        let (server, client) = (start(settings).await, start(config()).await);
        let incoming = server.serve(BYTES.clone(), streams(64)).unwrap();
        connect(&client, &server).await;
        Pair {
            client,
            server,
            incoming,
            _between: None,
        }
    }

    async fn pair_by_circuit(self) -> Pair {
        let mut settings = relay_config();
        settings.listen = vec![self.listen().parse().unwrap()];
        let relay = start(settings).await;
        let without_punching = || {
            let mut settings = behind_nat_config();
            settings.hole_punching = false;
            settings
        };
        let server = start(without_punching()).await;
        let client = start(without_punching()).await;
        let incoming = server.serve(BYTES.clone(), streams(64)).unwrap();
        let place = server.reserve(&address(&relay), soon()).await.unwrap();
        let via = circuit_address(&address(&relay));
        let dialled = client.dial(server.node_id(), vec![via], soon()).await;
        dialled.unwrap();
        Pair {
            client,
            server,
            incoming,
            _between: Some((relay, place)),
        }
    }
}

impl Pair {
    /// Both ends of a stream on which both sides have sent something.
    async fn stream(&mut self) -> (Stream, Stream) {
        let node = self.server.node_id();
        let mut near = self.client.open(node, &BYTES, soon()).await.unwrap();
        let mut far = self.incoming.next().await.unwrap().stream;
        for (from, to) in [(&mut near, &mut far)] {
            from.write_all(b"there").await.unwrap();
            to.read_exact(&mut [0; 5]).await.unwrap();
            to.write_all(b"back").await.unwrap();
            from.read_exact(&mut [0; 4]).await.unwrap();
        }
        (near, far)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_is_an_error_at_the_other_side_over_each_transport() {
    for over in ALL {
        let mut pair = over.pair().await;
        for (opener_drops, other_ended) in
            [(true, false), (false, false), (true, true), (false, true)]
        {
            let case = format!("{over:?}, {opener_drops}, {other_ended}");
            let (near, far) = pair.stream().await;
            let (mut dropped, mut kept) = if opener_drops {
                (near, far)
            } else {
                (far, near)
            };
            if other_ended {
                kept.shutdown().await.unwrap();
                assert_eq!(dropped.read(&mut [0]).await.unwrap(), 0, "{case}");
            }
            drop(dropped);
            let end = tokio::time::timeout_at(soon(), kept.read(&mut [0])).await;
            let end = end.unwrap().map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_an_end_with_all_bytes_when_the_stream_is_dropped_afterwards() {
    const LENGTH: usize = 100_000;
    for over in ALL {
        let mut pair = over.pair().await;
        for other_ended in [false, true] {
            let (mut near, mut far) = pair.stream().await;
            if other_ended {
                far.shutdown().await.unwrap();
                assert_eq!(near.read(&mut [0]).await.unwrap(), 0, "{over:?}");
            }
            near.write_all(&vec![7; LENGTH]).await.unwrap();
            near.shutdown().await.unwrap();
            drop(near);
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), LENGTH, "{over:?} {other_ended}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_a_lost_connection_is_an_error_also_after_its_reader_has_ended() {
    for over in ALL {
        for ended in [false, true] {
            let mut pair = over.pair().await;
            let (mut near, mut far) = pair.stream().await;
            if ended {
                near.shutdown().await.unwrap();
                assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "{over:?}");
            }
            let disconnected = pair.server.disconnect(pair.client.node_id(), soon());
            disconnected.await.unwrap();
            let end = tokio::time::timeout_at(soon(), near.read(&mut [0])).await;
            assert!(end.unwrap().is_err(), "{over:?} {ended}");
        }
    }
}

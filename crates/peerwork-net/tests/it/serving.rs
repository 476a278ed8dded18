//! Bounds of protocols that are served, and the end of their answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use multiaddr::Multiaddr;
use peerwork_limits::Bounds;
use peerwork_net::{Config, InboundStream, Limits, Network, Protocol, Stream, error::OpenError};
use peerwork_testkit::{Door, HeldLink, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::node::{config, connect, relay_config, soon, start};

const ASK: Protocol = Protocol::answered("/test/ask/1");

fn limits(all: usize, per_key: usize, per_origin: usize) -> Limits {
    Limits::new(Bounds {
        all,
        per_key,
        per_origin,
    })
}

/// The address at which clients dial a door.
pub(crate) fn dialled(door: SocketAddr) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{}", door.port())
        .parse()
        .unwrap()
}

/// The listen address of the handed-over streams of a door.
pub(crate) fn handed(door: SocketAddr) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{}/ws", door.port())
        .parse()
        .unwrap()
}

/// A node with doors; connections through the nth come from 192.0.2.n.
async fn with_doors(mut settings: Config, doors: Vec<Door>) -> (Network, Vec<Multiaddr>) {
    let addresses: Vec<SocketAddr> = doors.iter().map(Door::address).collect();
    settings.handed = addresses.iter().copied().map(handed).collect();
    let network = start(settings).await;
    for (nth, door) in (0_u8..).zip(doors) {
        let (network, listener) = (network.clone(), handed(door.address()));
        let remote = SocketAddr::from(([192, 0, 2, nth], 4001));
        door.open(move |stream| {
            let _ = network.hand_over(stream, listener.clone(), remote);
        });
    }
    (network, addresses.into_iter().map(dialled).collect())
}

/// A new node that is connected to `server` at an address.
async fn client_at(server: &Network, address: &Multiaddr) -> Network {
    let client = start(config()).await;
    let dialled = client.dial(server.node_id(), vec![address.clone()], soon());
    dialled.await.unwrap();
    client
}

async fn open(client: &Network, server: &Network) -> Result<Stream, OpenError> {
    client.open(server.node_id(), &ASK, soon()).await
}

/// Answers with one byte and holds the stream until its other side ends.
async fn hold(mut inbound: InboundStream) {
    let _ = inbound.stream.write_all(b"!").await;
    let _ = inbound.stream.read(&mut [0]).await;
}

/// A client of a server, over a link that can be closed.
async fn over_a_link() -> (Network, Network, HeldLink) {
    let door = Door::bind().await;
    let (address, listener) = (dialled(door.address()), handed(door.address()));
    let mut settings = config();
    settings.handed = vec![listener.clone()];
    let server = start(settings).await;
    let link = HeldLink::default();
    let (handing, slow) = (server.clone(), link.clone());
    door.open(move |stream| {
        let remote = SocketAddr::from(([192, 0, 2, 1], 4001));
        let _ = handing.hand_over(slow.before(stream), listener.clone(), remote);
    });
    let client = client_at(&server, &address).await;
    let connected = || server.path(client.node_id());
    eventually("the connection at the server", connected).await;
    (server, client, link)
}

/// Opens so many streams at once, and counts the accepted and the busy ones.
async fn open_all(from: Network, to: Network, count: usize) -> (usize, usize) {
    let opened = join_all((0..count).map(|_| open(&from, &to))).await;
    let other = |o: &&Result<_, _>| !matches!(o, Ok(_) | Err(OpenError::Busy));
    let other = opened.iter().find(other);
    assert!(other.is_none(), "{other:?}");
    let accepted = opened.iter().filter(|opened| opened.is_ok()).count();
    (accepted, count - accepted)
}

#[tokio::test]
async fn two_nodes_that_open_300_streams_to_each_other_over_a_slow_link_get_an_answer_for_each() {
    let (server, client, link) = over_a_link().await;
    let few = limits(256, 256, 256);
    let _incoming = [&server, &client].map(|node| node.serve(ASK, few).unwrap());
    // Both nodes send as much as they may before either sees a request of the other.
    link.set_open(false);
    let there = tokio::spawn(open_all(client.clone(), server.clone(), 300));
    let back = tokio::spawn(open_all(server.clone(), client.clone(), 300));
    link.settles().await;
    link.set_open(true);
    assert_eq!(there.await.unwrap(), (256, 44));
    assert_eq!(back.await.unwrap(), (256, 44));
}

#[tokio::test]
async fn a_thousand_opens_over_a_slow_link_wait_for_each_other_and_get_an_answer_each() {
    let (server, client, link) = over_a_link().await;
    let _incoming = server.serve(ASK, limits(256, 256, 256)).unwrap();
    link.set_open(false);
    let opening = tokio::spawn(open_all(client, server, 1000));
    tokio::task::yield_now().await;
    link.set_open(true);
    assert_eq!(opening.await.unwrap(), (256, 744));
}

#[tokio::test]
async fn a_node_has_its_share_of_a_protocol_and_gets_busy_past_it() {
    let (server, greedy, other) = (
        start(config()).await,
        start(config()).await,
        start(config()).await,
    );
    let _served = server.serve_each(ASK, limits(4, 3, 4), hold).unwrap();
    connect(&greedy, &server).await;
    connect(&other, &server).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(&greedy, &server).await.unwrap());
    }
    assert_eq!(open(&greedy, &server).await.unwrap_err(), OpenError::Busy);
    let last = open(&other, &server).await.unwrap();
    assert_eq!(open(&other, &server).await.unwrap_err(), OpenError::Busy);
    drop(last);
    peerwork_testkit::eventually_async("a free place", || async {
        open(&other, &server).await.ok()
    })
    .await;
}

#[tokio::test]
async fn node_ids_of_one_address_share_its_places_and_other_addresses_have_theirs() {
    let doors = vec![Door::bind().await, Door::bind().await];
    let (server, addresses) = with_doors(config(), doors).await;
    let _served = server.serve_each(ASK, limits(64, 2, 6), hold).unwrap();
    let mut held = Vec::new();
    let mut busy = 0;
    for _ in 0..16 {
        let client = client_at(&server, &addresses[0]).await;
        for _ in 0..2 {
            match open(&client, &server).await {
                Ok(stream) => held.push((client.clone(), stream)),
                Err(error) => {
                    assert_eq!(error, OpenError::Busy);
                    busy += 1;
                }
            }
        }
    }
    assert_eq!((held.len(), busy), (6, 26));
    let elsewhere = client_at(&server, &addresses[1]).await;
    open(&elsewhere, &server).await.unwrap();
}

#[tokio::test]
async fn node_ids_behind_one_relay_share_its_places_and_direct_ones_have_theirs() {
    let relay = start(relay_config()).await;
    let server = start(config()).await;
    let relay_address = crate::node::address(&relay);
    let reserved = server.reserve(&relay_address, crate::node::soon()).await;
    let reserved = reserved.unwrap();
    let _served = server.serve_each(ASK, limits(64, 2, 3), hold).unwrap();
    let mut held = Vec::new();
    let mut busy = 0;
    for _ in 0..4 {
        let mut settings = config();
        settings.hole_punching = false;
        let client = start(settings).await;
        let circuit = vec![reserved.address()];
        client
            .dial(server.node_id(), circuit, soon())
            .await
            .unwrap();
        match open(&client, &server).await {
            Ok(stream) => held.push((client, stream)),
            Err(error) => {
                assert_eq!(error, OpenError::Busy);
                busy += 1;
            }
        }
    }
    assert_eq!((held.len(), busy), (3, 1));
    let direct = start(config()).await;
    connect(&direct, &server).await;
    open(&direct, &server).await.unwrap();
    connect(&relay, &server).await;
    open(&relay, &server).await.unwrap();
}

#[tokio::test]
async fn an_answer_ends_at_its_deadline_and_gives_its_place_back() {
    let (server, client) = (start(config()).await, start(config()).await);
    let short = limits(1, 1, 1).with_deadline(Some(Duration::from_secs(1)));
    let served = server.serve_each(ASK, short, hold).unwrap();
    connect(&client, &server).await;
    let mut cut_off = open(&client, &server).await.unwrap();
    let mut received = Vec::new();
    let ended = cut_off.read_to_end(&mut received).await;
    assert!(ended.is_err(), "{received:?}");
    eventually("the place", || (served.streams() == 0).then_some(())).await;
    open(&client, &server).await.unwrap();
}

/// Counts the answers that are under way.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server that holds one stream of a client, and the count of its answers.
async fn holding() -> (
    Network,
    Network,
    peerwork_net::Served,
    Stream,
    Arc<AtomicUsize>,
) {
    let (server, client) = (start(config()).await, start(config()).await);
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let limits = limits(8, 8, 8).with_deadline(None);
    let answer = move |inbound| {
        let under_way = UnderWay::begin(&counting);
        async move {
            hold(inbound).await;
            drop(under_way);
        }
    };
    let served = server.serve_each(ASK, limits, answer).unwrap();
    connect(&client, &server).await;
    let mut stream = open(&client, &server).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'!');
    assert_eq!(count.load(Ordering::SeqCst), 1);
    (server, client, served, stream, count)
}

#[tokio::test]
async fn a_served_protocol_that_stops_cancels_its_answers_and_can_be_served_again() {
    let (server, client, served, mut stream, count) = holding().await;
    served.stop(soon()).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert!(stream.read_u8().await.is_err());
    let opened = open(&client, &server).await.unwrap_err();
    assert_eq!(opened, OpenError::Unsupported);
    let _again = server.serve_each(ASK, Limits::default(), hold).unwrap();
}

#[tokio::test]
async fn a_served_protocol_that_drains_lets_its_answers_end() {
    let (server, _client, served, stream, count) = holding().await;
    assert!(
        !served.drain(Instant::now()).await,
        "the stream is still held"
    );
    eventually("the protocol to be free again", || {
        server.serve(ASK, Limits::default()).ok()
    })
    .await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    drop(stream);
    assert!(served.drain(soon()).await);
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_served_protocol_that_is_dropped_ends_its_answers() {
    let (_server, _client, served, mut stream, count) = holding().await;
    drop(served);
    assert!(stream.read_u8().await.is_err());
    eventually("the answer's end", || {
        (count.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_network_that_stops_has_ended_the_answers_of_its_protocols() {
    let (server, _client, served, _stream, count) = holding().await;
    server.stop().await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(served);
}

#[tokio::test]
async fn an_answer_that_panics_ends_its_own_stream_only() {
    let (server, client) = (start(config()).await, start(config()).await);
    let answer = |mut inbound: InboundStream| async move {
        let request = inbound.stream.read_u8().await.unwrap();
        assert_ne!(request, 0, "the test wants this answer to panic");
        hold(inbound).await;
    };
    let served = server.serve_each(ASK, Limits::default(), answer).unwrap();
    connect(&client, &server).await;
    let mut panicking = open(&client, &server).await.unwrap();
    panicking.write_all(&[0]).await.unwrap();
    assert!(panicking.read_u8().await.is_err());
    let mut other = open(&client, &server).await.unwrap();
    other.write_all(&[1]).await.unwrap();
    assert_eq!(other.read_u8().await.unwrap(), b'!');
    eventually("the place", || (served.streams() == 1).then_some(())).await;
}

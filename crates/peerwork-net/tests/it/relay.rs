//! Reservations and circuits.

use std::{collections::HashSet, time::Duration};

use peerwork_net::{
    Event, Network, Path, Protocol,
    config::RelayServer,
    error::ReserveError,
    relay::{CircuitRefusal, circuit_address},
};
use peerwork_testkit::{eventually, eventually_async};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{
    address, behind_nat_config, config, connect, relay_config, soon, start, streams,
};

const TIMEOUT: Duration = Duration::from_secs(20);
const PROTOCOL: Protocol = Protocol::answered("/test/circuit/1");

/// Waits until the relay lists the node as a holder; the relay answers a request before it does.
async fn holds_a_place(node: &Network, relay: &Network) {
    eventually("the relay to list the holder", || {
        relay.peer(node.node_id())?.reserved.then_some(())
    })
    .await;
}

async fn reach_through(relay: &Network, edge: &Network, caller: &Network) {
    let via = circuit_address(&address(relay));
    caller
        .dial(edge.node_id(), vec![via], soon())
        .await
        .unwrap();
    let mut incoming = edge.serve(PROTOCOL, streams(8)).unwrap();
    let mut stream = caller
        .open(edge.node_id(), &PROTOCOL, soon())
        .await
        .unwrap();
    let mut inbound = incoming.next().await.unwrap();
    assert_eq!(inbound.node, caller.node_id());
    stream.write_all(b"through").await.unwrap();
    let mut read = [0; 7];
    inbound.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"through");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_listens_nowhere_is_reached_over_a_circuit() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let reservation = edge.reserve(&address(&relay), soon()).await.unwrap();
    assert_eq!(reservation.address(), circuit_address(&address(&relay)));
    assert!(
        edge.listen_addresses()
            .borrow()
            .contains(&reservation.address())
    );
    holds_a_place(&edge, &relay).await;
    let caller = start(behind_nat_config()).await;
    reach_through(&relay, &edge, &caller).await;
    assert_eq!(caller.path(edge.node_id()), Some(Path::Relayed));
    let traffic = caller.traffic(edge.node_id()).unwrap();
    assert!(traffic.relayed_sent_bytes > 0);
    assert_eq!(traffic.direct_sent_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_connection_is_preferred_over_a_circuit() {
    let (relay, edge) = (start(relay_config()).await, start(config()).await);
    let _reservation = edge.reserve(&address(&relay), soon()).await.unwrap();
    let mut settings = behind_nat_config();
    settings.hole_punching = false;
    let caller = start(settings).await;
    let via = circuit_address(&address(&relay));
    caller
        .dial(edge.node_id(), vec![via], soon())
        .await
        .unwrap();
    assert_eq!(caller.path(edge.node_id()), Some(Path::Relayed));
    let direct = vec![address(&edge).transport];
    let relayed = caller.peer(edge.node_id()).unwrap().connections.clone();
    caller
        .dial_beyond(edge.node_id(), direct, relayed, soon())
        .await
        .unwrap();
    assert_eq!(caller.path(edge.node_id()), Some(Path::Direct));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_relay_is_noticed_and_can_be_reserved_again() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let mut reservation = edge.reserve(&address(&relay), soon()).await.unwrap();
    let at = address(&relay);
    relay.stop().await;
    let reason = tokio::time::timeout(TIMEOUT, reservation.lost()).await;
    assert!(!reason.unwrap().is_empty());
    let again = edge.reserve(&at, soon()).await;
    assert!(matches!(again, Err(ReserveError::Refused(_))), "{again:?}");
    eventually("the address to go", || {
        edge.listen_addresses().borrow().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_reservation_gives_it_back() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let reservation = edge.reserve(&address(&relay), soon()).await.unwrap();
    let twice = edge.reserve(&address(&relay), soon()).await;
    assert_eq!(twice.unwrap_err(), ReserveError::Exists);
    drop(reservation);
    eventually("the address to go", || {
        edge.listen_addresses().borrow().is_empty().then_some(())
    })
    .await;
    edge.reserve(&address(&relay), soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_no_relay_grants_nothing() {
    let (plain, edge) = (start(config()).await, start(behind_nat_config()).await);
    let refused = edge.reserve(&address(&plain), soon()).await;
    assert!(
        matches!(refused, Err(ReserveError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_relay_refuses_and_a_place_is_free_again_when_its_holder_is_gone() {
    let mut settings = relay_config();
    if let Some(server) = &mut settings.relay_server {
        server.reservations_max = 1;
    }
    let relay = start(settings).await;
    let (first, second) = (
        start(behind_nat_config()).await,
        start(behind_nat_config()).await,
    );
    let _held = first.reserve(&address(&relay), soon()).await.unwrap();
    let refused = second.reserve(&address(&relay), soon()).await;
    assert!(
        matches!(refused, Err(ReserveError::Refused(_))),
        "{refused:?}"
    );
    first.stop().await;
    eventually("the relay to notice", || {
        relay.peer(first.node_id()).is_none().then_some(())
    })
    .await;
    second.reserve(&address(&relay), soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_edges_behind_one_address_all_get_a_reservation() {
    let relay = start(relay_config()).await;
    let at = address(&relay);
    let mut held = Vec::new();
    for _ in 0..100 {
        let edge = start(behind_nat_config()).await;
        let reservation = edge.reserve(&at, soon()).await.unwrap();
        held.push((edge, reservation));
    }
    eventually("the relay to list all holders", || {
        let peers = relay.peers();
        let reserved = peers.iter().filter(|peer| peer.reserved).count();
        (reserved == 100).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_renewed_before_it_ends_also_when_the_relay_is_full() {
    let mut settings = relay_config();
    if let Some(server) = &mut settings.relay_server {
        server.reservations_max = 1;
        // The client renews after three quarters.
        server.reservation_duration = Duration::from_secs(10);
    }
    let (relay, edge) = (start(settings).await, start(behind_nat_config()).await);
    let mut events = relay.events();
    let mut reservation = edge.reserve(&address(&relay), soon()).await.unwrap();
    let renewals = async {
        let mut seen = 0;
        while seen < 2 {
            if let Ok(peerwork_net::Event::Reserved(_)) = events.recv().await {
                seen += 1;
            }
        }
    };
    tokio::select! {
        reason = reservation.lost() => panic!("lost: {reason}"),
        done = tokio::time::timeout(TIMEOUT, renewals) => done.unwrap(),
    }
    connect(&edge, &relay).await;
    holds_a_place(&edge, &relay).await;
}

/// Encodes circuit relay v2 by hand, as its specification numbers the fields, because another
/// implementation could send such messages.
pub(crate) mod hop {
    use peerwork_net::{Network, Protocol, Stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::node::soon;

    const HOP: Protocol = Protocol::bare("/libp2p/circuit/relay/0.2.0/hop");
    pub(crate) const RESERVE: &[u8] = &[2, 8, 0];

    pub(crate) fn connect(to: &Network) -> Vec<u8> {
        let id = to.node_id().as_peer_id().to_bytes();
        let length = |of: usize| u8::try_from(of).unwrap();
        let mut message = vec![length(id.len() + 6), 8, 1, 0x12, length(id.len() + 2), 0x0a];
        message.push(length(id.len()));
        message.extend(id);
        message
    }

    /// Opens a request that stays unfinished.
    pub(crate) async fn unfinished(from: &Network, relay: &Network) -> Stream {
        let opened = from.open(relay.node_id(), &HOP, soon()).await;
        let mut stream = opened.unwrap();
        stream.write_all(&[2]).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }

    /// Sends one request; returns the status of the answer and the stream, or `None` without an answer.
    pub(crate) async fn ask(
        from: &Network,
        relay: &Network,
        request: &[u8],
    ) -> Option<(u16, Stream)> {
        let (answer, stream) = ask_for_bytes(from, relay, request).await?;
        // The last field of every answer: its status, a number of two bytes or one.
        let at = answer.iter().rposition(|byte| *byte == 0x28)?;
        let status = match answer.get(at + 1..)? {
            [low, high] => u16::from(low & 0x7f) | u16::from(*high) << 7,
            [low] => u16::from(*low),
            _ => return None,
        };
        Some((status, stream))
    }

    /// As [`ask`], with the bytes of the answer.
    pub(crate) async fn ask_for_bytes(
        from: &Network,
        relay: &Network,
        request: &[u8],
    ) -> Option<(Vec<u8>, Stream)> {
        let mut stream = from.open(relay.node_id(), &HOP, soon()).await.ok()?;
        stream.write_all(request).await.ok()?;
        stream.flush().await.ok()?;
        let length = stream.read_u8().await.ok()?;
        let length = match length < 0x80 {
            true => usize::from(length),
            false => usize::from(length & 0x7f) | usize::from(stream.read_u8().await.ok()?) << 7,
        };
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.ok()?;
        Some((answer, stream))
    }
}

async fn connected(relay: &Network) -> Network {
    let node = start(behind_nat_config()).await;
    connect(&node, relay).await;
    node
}

#[tokio::test]
async fn a_node_with_512_unfinished_requests_is_refused_the_next() {
    let relay = start(relay_config()).await;
    let (greedy, other) = (connected(&relay).await, connected(&relay).await);
    let mut held = Vec::new();
    // The relay waits ten seconds for the rest of a request, so the requests begin at once.
    let unfinished = (0..511).map(|_| hop::unfinished(&greedy, &relay));
    held.extend(futures::future::join_all(unfinished).await);
    let status = async |from: &Network| hop::ask(from, &relay, hop::RESERVE).await.unwrap().0;
    assert_eq!(status(&greedy).await, 100, "the last place");
    held.push(hop::unfinished(&greedy, &relay).await);
    eventually_async("the status of a full relay", || async {
        (status(&greedy).await == 201).then_some(())
    })
    .await;
    assert_eq!(status(&other).await, 100);
}

#[tokio::test]
async fn the_share_of_one_address_is_at_most_all_reservations() {
    let with_share = async |share| {
        let mut settings = relay_config();
        let server = settings.relay_server.as_mut().unwrap();
        server.reservations_max = 4;
        server.reservations_per_address_max = Some(share);
        Network::start(settings, &mut Registry::default()).await
    };
    assert!(with_share(4).await.is_ok());
    let error = with_share(5).await.unwrap_err().to_string();
    assert!(error.contains("reservations_per_address_max"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_of_the_relay_has_the_status_of_the_specification() {
    let relay = start(relay_config()).await;
    let (caller, other) = (connected(&relay).await, connected(&relay).await);
    let status = async |request: &[u8]| hop::ask(&caller, &relay, request).await.unwrap().0;
    assert_eq!(status(hop::RESERVE).await, 100);
    assert_eq!(status(&hop::connect(&other)).await, 204, "no reservation");
    assert_eq!(status(&[2, 8, 1]).await, 400, "no peer");
    assert_eq!(
        status(&[6, 8, 1, 0x12, 2, 0x0a, 0]).await,
        400,
        "a peer without a name"
    );
    assert_eq!(status(&[2, 0x0f, 0xff]).await, 400, "no message");
    assert_eq!(
        status(&[0xff, 0xff, 0xff, 0xff, 7]).await,
        400,
        "a length beyond all bounds"
    );
    assert_eq!(status(&[2, 8, 2]).await, 401, "an answer");
    assert_eq!(status(&[2, 8, 9]).await, 401, "an unknown type");
    let settings = |change: fn(&mut RelayServer)| {
        let mut settings = relay_config();
        change(settings.relay_server.as_mut().unwrap());
        settings
    };
    let refusing = [
        (
            settings(|server| server.allowed = Some(HashSet::new())),
            202,
            "members only",
        ),
        (
            settings(|server| server.reservations_max = 0),
            200,
            "no place",
        ),
    ];
    for (settings, refusal, why) in refusing {
        let relay = start(settings).await;
        let caller = connected(&relay).await;
        let answer = hop::ask(&caller, &relay, hop::RESERVE).await;
        assert_eq!(answer.unwrap().0, refusal, "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circuits_that_arrive_at_once_are_all_opened() {
    let (relay, edge) = (
        start(relay_config()).await,
        start(behind_nat_config()).await,
    );
    let _held = edge.reserve(&address(&relay), soon()).await.unwrap();
    let caller = connected(&relay).await;
    let request = hop::connect(&edge);
    let answers = (0..100).map(|_| hop::ask(&caller, &relay, &request));
    let answers = futures::future::join_all(answers).await;
    let status = |answer: &Option<(u16, _)>| answer.as_ref().map(|(status, _)| *status);
    let statuses: Vec<_> = answers.iter().map(status).collect();
    assert_eq!(statuses, vec![Some(100); 100]);
    assert_eq!(relay.relay_status().circuits.len(), 100);
    drop(answers);
    eventually("the circuits to end", || {
        (relay.relay_in_use().1 == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circuits_above_what_a_node_may_have_are_refused_and_counted() {
    let mut settings = relay_config();
    if let Some(server) = &mut settings.relay_server {
        server.circuits_per_peer_max = 3;
    }
    let (relay, edge) = (start(settings).await, start(behind_nat_config()).await);
    let _held = edge.reserve(&address(&relay), soon()).await.unwrap();
    let caller = connected(&relay).await;
    let request = hop::connect(&edge);
    let mut open = Vec::new();
    for _ in 0..3 {
        let (status, stream) = hop::ask(&caller, &relay, &request).await.unwrap();
        assert_eq!(status, 100);
        open.push(stream);
    }
    let (status, _) = hop::ask(&caller, &relay, &request).await.unwrap();
    assert_eq!(status, 201);
    let counts = relay.relay_status().counts;
    assert!(
        counts.circuits_refused.contains(&(CircuitRefusal::Node, 1)),
        "{counts:?}"
    );
    assert_eq!(counts.circuits_opened, 3);
    open.pop();
    eventually("the circuit to end", || {
        (relay.relay_in_use().1 == 2).then_some(())
    })
    .await;
    let (status, _) = hop::ask(&caller, &relay, &request).await.unwrap();
    assert_eq!(status, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caller_learns_that_a_holder_does_not_answer() {
    let relay = start(relay_config()).await;
    let (holder, caller) = (connected(&relay).await, connected(&relay).await);
    // The node holds a place that libp2p's client does not know, so that the client declines every
    // circuit.
    assert_eq!(
        hop::ask(&holder, &relay, hop::RESERVE).await.unwrap().0,
        100
    );
    let (status, _) = hop::ask(&caller, &relay, &hop::connect(&holder))
        .await
        .unwrap();
    assert!((200..300).contains(&status), "{status}");
    assert_eq!(relay.relay_in_use(), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_nobody_renews_ends_while_its_holder_stays_connected() {
    let mut settings = relay_config();
    if let Some(server) = &mut settings.relay_server {
        server.reservation_duration = Duration::from_secs(5);
    }
    let relay = start(settings).await;
    let mut events = relay.events();
    let holder = connected(&relay).await;
    let (status, _) = hop::ask(&holder, &relay, hop::RESERVE).await.unwrap();
    assert_eq!((status, relay.relay_in_use().0), (100, 1));
    let ended = async { while !matches!(events.recv().await, Ok(Event::ReservationEnded(_))) {} };
    tokio::time::timeout(TIMEOUT, ended).await.unwrap();
    assert_eq!(relay.relay_in_use().0, 0);
    eventually("the relay to list the node without a place", || {
        (!relay.peer(holder.node_id())?.reserved).then_some(())
    })
    .await;
}

//! Networks with a secret: members meet, strangers get nothing but a refusal, guests get the protocols
//! for guests.

use std::time::Duration;

use libp2p::swarm::SwarmEvent;
use peerwork_identity::NetworkSecret;
use peerwork_net::{
    Config, Network, Protocol,
    error::{DialError, OpenError, Refusal, StartError},
    gossip::{Mode, Verdict},
    peers::{CloseReason, ConnectionEvent, ConnectionEvents},
};
use peerwork_testkit::{
    eventually,
    link::{Conditions, Links},
    node::key,
};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    node::{address, behind_nat_config, config, connect, relay_config, soon, start, streams},
    rust,
};

mod attacks;
mod raw;
mod silent;

static ECHO: Protocol = Protocol::answered("/test/echo/1");
static WELCOME: Protocol = Protocol::answered("/test/welcome/1").for_guests();

fn secret() -> NetworkSecret {
    NetworkSecret::generate()
}

fn with(mut settings: Config, secrets: &[&NetworkSecret]) -> Config {
    settings.membership.secrets = secrets.iter().map(|&secret| secret.clone()).collect();
    settings.membership.entries = true;
    settings
}

/// Echoes the bytes of each stream of a protocol.
fn serve(network: &Network, protocol: &Protocol) {
    let mut incoming = network.serve(protocol.clone(), streams(16)).unwrap();
    tokio::spawn(async move {
        while let Some(inbound) = incoming.next().await {
            let (mut read, mut write) = tokio::io::split(inbound.stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        }
    });
}

async fn echo(from: &Network, to: &Network, protocol: &Protocol) -> Result<(), OpenError> {
    let mut stream = from.open(to.node_id(), protocol, soon()).await?;
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"hello");
    Ok(())
}

async fn dial(from: &Network, to: &Network) -> Result<(), DialError> {
    let to = address(to);
    from.dial(to.node, vec![to.transport], soon()).await
}

async fn events(network: &Network) -> ConnectionEvents {
    network.connection_events(64, soon()).await.unwrap()
}

/// Waits until a connection is closed, and gives the reason.
async fn closed(mut events: ConnectionEvents) -> CloseReason {
    loop {
        let event = tokio::time::timeout_at(soon(), events.next()).await;
        if let ConnectionEvent::Closed(_, reason) = event.unwrap().unwrap().unwrap() {
            return reason;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_meet_over_each_transport_and_over_a_circuit() {
    let shared = secret();
    let mut settings = with(relay_config(), &[&shared]);
    settings.listen = [
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip4/127.0.0.1/tcp/0/ws",
    ]
    .map(|address| address.parse().unwrap())
    .into();
    let relay = start(settings).await;
    serve(&relay, &ECHO);
    let listen = relay.listen_addresses().borrow().clone();
    assert_eq!(listen.len(), 3);
    for transport in listen {
        let node = start(with(behind_nat_config(), &[&shared])).await;
        let dialled = node.dial(relay.node_id(), vec![transport.clone()], soon());
        dialled
            .await
            .unwrap_or_else(|error| panic!("{transport}: {error}"));
        echo(&node, &relay, &ECHO).await.unwrap();
    }
    let holder = start(with(behind_nat_config(), &[&shared])).await;
    serve(&holder, &ECHO);
    let _place = holder.reserve(&address(&relay), soon()).await.unwrap();
    let caller = start(with(behind_nat_config(), &[&shared])).await;
    let circuit = format!("{}/p2p-circuit", address(&relay));
    let dialled = caller.dial(holder.node_id(), vec![circuit.parse().unwrap()], soon());
    dialled.await.unwrap();
    echo(&caller, &holder, &ECHO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_other_secrets_refuse_each_other_and_no_service_hears_of_it() {
    let relay = start(with(relay_config(), &[&secret()])).await;
    let mut events = events(&relay).await;
    let stranger = start(with(config(), &[&secret()])).await;
    assert_eq!(stranger.refusal(relay.node_id()), None);
    let refused = dial(&stranger, &relay).await.unwrap_err();
    let expected = [Refusal::OtherSecret, Refusal::ByOther, Refusal::Lost];
    assert!(
        matches!(refused, DialError::Refused(why) if expected.contains(&why)),
        "{refused:?}"
    );
    let told = stranger.refusal(relay.node_id());
    // A connection that was lost during the proof is no refusal.
    let lost = matches!(refused, DialError::Refused(Refusal::Lost));
    assert!(
        lost || told.is_some_and(|why| expected.contains(&why)),
        "{told:?}"
    );
    assert!(stranger.peers().is_empty());
    assert!(relay.peers().is_empty());
    relay.stop().await;
    let event = tokio::time::timeout_at(soon(), events.next())
        .await
        .unwrap();
    assert!(!matches!(event, Some(Ok(_))), "{event:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_secret_learns_why_it_gets_nothing() {
    let relay = start(with(relay_config(), &[&secret()])).await;
    serve(&relay, &ECHO);
    let judge = |_: &peerwork_net::gossip::Message| Verdict::Accept;
    let mut heard = relay
        .topic("test", Mode::Subscribe, judge, soon())
        .await
        .unwrap();
    let stranger = start(config()).await;
    let said = stranger
        .topic("test", Mode::Subscribe, judge, soon())
        .await
        .unwrap();
    let closing = closed(events(&stranger).await);
    let attempts = async {
        // The stranger holds nothing back, so its dial succeeds; everything after it fails.
        let _ = dial(&stranger, &relay).await;
        let opened = stranger.open(relay.node_id(), &ECHO, soon()).await;
        assert!(opened.is_err());
        let place = stranger.reserve(&address(&relay), soon()).await;
        assert!(place.is_err());
        let publisher = said.publisher();
        assert!(publisher.publish(b"hello".to_vec(), soon()).await.is_err());
    };
    let (reason, ()) = tokio::join!(closing, attempts);
    assert_eq!(reason, CloseReason::Refused(Refusal::ByOther));
    assert!(reason.to_string().contains("peerwork join"));
    assert_eq!(relay.relay_in_use(), (0, 0));
    assert!(relay.peers().is_empty());
    relay.stop().await;
    assert!(heard.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_reaches_a_network_without_a_secret_says_so() {
    let relay = start(with(relay_config(), &[])).await;
    let node = start(with(config(), &[&secret()])).await;
    let refused = dial(&node, &relay).await;
    assert_eq!(refused, Err(DialError::Refused(Refusal::WithoutSecret)));
    eventually("the relay forgets the node", || {
        relay.peers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_rust_libp2p_gets_neither_identify_nor_a_place() {
    let relay = start(with(relay_config(), &[&secret()])).await;
    let mut client = rust::client();
    let place = rust::at(&relay, "/tcp/").with(libp2p::multiaddr::Protocol::P2pCircuit);
    client.listen_on(place).unwrap();
    rust::until(&mut client, |event| match event {
        SwarmEvent::Behaviour(rust::BehaviourEvent::Identify(
            libp2p::identify::Event::Received { info, .. },
        )) => panic!("the relay told a stranger about itself: {info:?}"),
        SwarmEvent::Behaviour(rust::BehaviourEvent::Relay(granted)) => {
            panic!("the relay gave a place to a stranger: {granted:?}")
        }
        SwarmEvent::ConnectionClosed { .. } => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(relay.relay_in_use(), (0, 0));
    assert!(relay.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_gets_the_protocols_for_guests_alone_and_for_a_bounded_time() {
    let mut settings = with(relay_config(), &[&secret()]);
    settings.limits.handshake_timeout = Duration::from_secs(1);
    let relay = start(settings).await;
    serve(&relay, &ECHO);
    serve(&relay, &WELCOME);
    let mut settings = config();
    settings.membership.guest = true;
    let guest = start(settings).await;
    dial(&guest, &relay).await.unwrap();
    echo(&guest, &relay, &WELCOME).await.unwrap();
    let refused = echo(&guest, &relay, &ECHO).await;
    assert_eq!(refused, Err(OpenError::Unsupported));
    assert!(guest.reserve(&address(&relay), soon()).await.is_err());
    let peer = guest.peer(relay.node_id());
    assert_eq!(peer.and_then(|peer| peer.agent.clone()), None);
    assert!(relay.peers().is_empty());
    echo(&guest, &relay, &WELCOME).await.unwrap();
    eventually("the end of the guest's time", || {
        guest.peers().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_changed_in_a_running_network() {
    let (old, new) = (secret(), secret());
    let relay = start(with(relay_config(), &[&old])).await;
    let node = start(with(config(), &[&old])).await;
    serve(&relay, &ECHO);
    connect(&node, &relay).await;
    // The relay takes both; the node, which knows only the old one, stays connected and can come again.
    let both = vec![new.clone(), old.clone()];
    relay.change_secrets(both.clone(), soon()).await.unwrap();
    echo(&node, &relay, &ECHO).await.unwrap();
    let late = start(with(config(), &[&old])).await;
    connect(&late, &relay).await;
    let newcomer = start(with(config(), &[&new])).await;
    connect(&newcomer, &relay).await;
    // The node learns the new secret, and then the old one is dropped everywhere.
    node.change_secrets(both, soon()).await.unwrap();
    echo(&node, &relay, &ECHO).await.unwrap();
    let closing = closed(events(&late).await);
    let change = relay.change_secrets(vec![new.clone()], soon());
    let (reason, changed) = tokio::join!(closing, change);
    changed.unwrap();
    assert!(
        matches!(reason, CloseReason::Lost(_) | CloseReason::Refused(_)),
        "{reason:?}"
    );
    echo(&newcomer, &relay, &ECHO).await.unwrap();
    let refused = dial(&late, &relay).await;
    assert!(matches!(refused, Err(DialError::Refused(_))), "{refused:?}");
    // The node's connection was proven by the old secret alone, so it ends; a new one takes the new secret.
    eventually("the node's connection to end", || {
        node.peers().is_empty().then_some(())
    })
    .await;
    node.change_secrets(vec![new], soon()).await.unwrap();
    connect(&node, &relay).await;
    echo(&node, &relay, &ECHO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_gets_a_secret_and_loses_it_while_it_runs() {
    let shared = secret();
    let relay = start(with(relay_config(), &[])).await;
    let node = start(with(config(), &[])).await;
    connect(&node, &relay).await;
    eventually("the relay knows the node", || relay.peer(node.node_id())).await;
    let closing = closed(events(&relay).await);
    let change = relay.change_secrets(vec![shared.clone()], soon());
    let (reason, changed) = tokio::join!(closing, change);
    changed.unwrap();
    assert_eq!(reason, CloseReason::Refused(Refusal::Changed));
    node.change_secrets(vec![shared], soon()).await.unwrap();
    eventually("the connection to end", || {
        node.peers().is_empty().then_some(())
    })
    .await;
    connect(&node, &relay).await;
    for network in [&relay, &node] {
        network.change_secrets(Vec::new(), soon()).await.unwrap();
    }
    let stranger = start(config()).await;
    connect(&stranger, &relay).await;
    eventually("both nodes at the relay", || {
        (relay.peers().len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_third_secret_is_refused_at_the_start_and_left_out_later() {
    let secrets = [(); 3].map(|()| secret());
    let [a, b, c] = &secrets;
    let started = Network::start(with(config(), &[a, b, c]), &mut Registry::default()).await;
    let setting = started.map(drop).unwrap_err();
    assert!(matches!(
        setting,
        StartError::Setting {
            setting: "membership.secrets",
            ..
        }
    ));
    let relay = start(with(config(), &[a, b])).await;
    relay
        .change_secrets(secrets.to_vec(), soon())
        .await
        .unwrap();
    let (second, third) = (
        start(with(config(), &[b])).await,
        start(with(config(), &[c])).await,
    );
    connect(&second, &relay).await;
    assert!(matches!(
        dial(&third, &relay).await,
        Err(DialError::Refused(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_members_connect_at_once() {
    let shared = secret();
    let relay = start(with(relay_config(), &[&shared])).await;
    serve(&relay, &ECHO);
    let nodes =
        futures::future::join_all((0..40).map(|_| start(with(behind_nat_config(), &[&shared]))))
            .await;
    let dials = nodes.iter().map(|node| dial(node, &relay));
    for dialled in futures::future::join_all(dials).await {
        dialled.unwrap();
    }
    for node in &nodes {
        echo(node, &relay, &ECHO).await.unwrap();
    }
    eventually("all nodes in the table", || {
        (relay.peers().len() == nodes.len()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_keeps_its_proof_back_is_given_up() {
    let mut settings = with(relay_config(), &[&secret()]);
    settings.limits.handshake_timeout = Duration::from_millis(300);
    let relay = start(settings).await;
    let mut client = silent::client();
    client.dial(rust::at(&relay, "/tcp/")).unwrap();
    silent::until_closed(&mut client).await;
    assert!(client.behaviour().challenged);
    assert!(relay.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_leaves_the_table_with_its_last_open_connection_while_another_is_held_back() {
    let shared = secret();
    let key = key();
    let relay = start(with(relay_config(), &[&shared])).await;
    let mut settings = with(behind_nat_config(), &[&shared]);
    settings.keypair = key.clone();
    let node = start(settings).await;
    connect(&node, &relay).await;
    // A second program with the node's key keeps its proof back, so that its connection is held back.
    let mut twin = silent::client_of(&key);
    twin.dial(rust::at(&relay, "/tcp/")).unwrap();
    silent::until_challenged(&mut twin).await;
    node.stop().await;
    let gone = eventually("the node leaves the table", || {
        relay.peers().is_empty().then_some(())
    });
    tokio::select! {
        () = gone => {}
        () = silent::until_closed(&mut twin) => panic!("the twin was to be held back meanwhile"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_meet_over_a_link_by_satellite_and_a_stranger_reads_its_refusal_there() {
    let links = Links::default();
    links.set_all(Conditions {
        delay: Duration::from_millis(1100),
        ..Conditions::default()
    });
    let on_link = |mut settings: Config| {
        settings.link = Some(links.of(settings.keypair.node_id()));
        settings
    };
    let shared = secret();
    let relay = start(on_link(with(relay_config(), &[&shared]))).await;
    let member = start(on_link(with(config(), &[&shared]))).await;
    let stranger = start(on_link(config())).await;
    let closing = closed(events(&stranger).await);
    let (met, _, reason) = tokio::join!(dial(&member, &relay), dial(&stranger, &relay), closing);
    met.unwrap();
    assert_eq!(reason, CloseReason::Refused(Refusal::ByOther));
}

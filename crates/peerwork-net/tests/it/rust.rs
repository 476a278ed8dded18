//! Clients of plain rust-libp2p at this project's relay: a reservation, a circuit and a ping through it.
//!
//! Nodes of this crate are built on rust-libp2p with parts of their own, among them QUIC, the relay's
//! server and the gossip codec; these clients have none of the parts.

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    multiaddr::Protocol as Part,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp,
};
use libp2p_yamux as yamux;
use peerwork_net::Network;
use tokio::time::timeout_at;

use crate::node::{relay_config, soon, start};

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

pub(crate) fn client() -> Swarm<Behaviour> {
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_quic();
    builder
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Behaviour {
            relay,
            identify: identify::Behaviour::new(identify::Config::new(
                "/test/1".to_owned(),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
        })
        .unwrap()
        .build()
}

/// Runs the swarm until an event for which `pick` returns a value.
pub(crate) async fn until<T>(
    swarm: &mut Swarm<Behaviour>,
    mut pick: impl FnMut(SwarmEvent<BehaviourEvent>) -> Option<T>,
) -> T {
    let wanted = async {
        loop {
            if let Some(value) = pick(swarm.select_next_some().await) {
                return value;
            }
        }
    };
    timeout_at(soon(), wanted).await.unwrap()
}

/// Runs both swarms until `caller` has pinged `holder`.
async fn pinged(caller: &mut Swarm<Behaviour>, holder: &mut Swarm<Behaviour>) {
    let peer = *holder.local_peer_id();
    let answered = until(caller, |event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) if ping.peer == peer => Some(ping.result),
        _ => None,
    });
    let serving = until(holder, |_| None::<()>);
    tokio::select! {
        result = answered => drop(result.unwrap()),
        () = serving => {}
    }
}

/// The relay's address over a transport, with its id.
pub(crate) fn at(relay: &Network, transport: &str) -> Multiaddr {
    let listen = relay.listen_addresses();
    let listen = listen.borrow();
    let mut addresses = listen.iter();
    let address = addresses.find(|at| at.to_string().contains(transport));
    let peer: PeerId = *relay.node_id().as_peer_id();
    address.unwrap().clone().with(Part::P2p(peer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_rust_libp2p_reserve_and_ping_over_circuits_by_tcp_and_quic() {
    let mut settings = relay_config();
    settings.listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]
        .map(|address| address.parse().unwrap())
        .into();
    let relay = start(settings).await;
    for (holds, calls) in [("/tcp/", "/quic-v1"), ("/quic-v1", "/tcp/")] {
        let (mut holder, mut caller) = (client(), client());
        let place = at(&relay, holds).with(Part::P2pCircuit);
        holder.listen_on(place).unwrap();
        until(&mut holder, |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Relay(
                relay::client::Event::ReservationReqAccepted { .. },
            )) => Some(()),
            _ => None,
        })
        .await;
        let circuit = at(&relay, calls).with(Part::P2pCircuit);
        let circuit = circuit.with(Part::P2p(*holder.local_peer_id()));
        caller.dial(circuit).unwrap();
        pinged(&mut caller, &mut holder).await;
    }
}

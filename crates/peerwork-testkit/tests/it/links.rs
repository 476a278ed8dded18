//! These tests set delay, loss, rate and cuts of the links between nodes, and check the order in which
//! bytes arrive. Unit tests of the pure schedule check the length of the delays.

use std::time::Duration;

use peerwork_net::{
    Limits, Network, Path, Protocol, Stream, config::RelayServer, relay::circuit_address,
};
use peerwork_testkit::{
    DEADLINE, Mesh, eventually,
    link::{Conditions, Cut},
    node::soon,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

static TEST: Protocol = Protocol::answered("/test/links/1");

const FAR: Conditions = Conditions {
    delay: Duration::from_secs(3600),
    ..Conditions::CLEAR
};

/// Sends each byte that streams bring to `network` into a channel.
fn receive(network: &Network) -> mpsc::UnboundedReceiver<u8> {
    let mut incoming = network.serve(TEST.clone(), Limits::default()).unwrap();
    let (sender, bytes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(mut inbound) = incoming.next().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Ok(byte) = inbound.stream.read_u8().await {
                    let _ = sender.send(byte);
                }
            });
        }
    });
    bytes
}

async fn open(mesh: &Mesh, from: usize, to: usize) -> Stream {
    mesh[from].open(mesh.id(to), &TEST, soon()).await.unwrap()
}

async fn send(stream: &mut Stream, byte: u8) {
    stream.write_u8(byte).await.unwrap();
    stream.flush().await.unwrap();
}

async fn next(bytes: &mut mpsc::UnboundedReceiver<u8>) -> u8 {
    timeout(DEADLINE, bytes.recv()).await.unwrap().unwrap()
}

/// A star of two senders around a receiver, with an open stream each.
async fn senders() -> (Mesh, [Stream; 2], mpsc::UnboundedReceiver<u8>) {
    // Pings are rare, because a ping would end a connection whose answers take hours.
    let mesh = Mesh::star(3).configure(|_, config| config.ping_interval = FAR.delay);
    let mesh = mesh.start().await;
    let bytes = receive(&mesh[0]);
    let streams = [open(&mesh, 1, 0).await, open(&mesh, 2, 0).await];
    (mesh, streams, bytes)
}

#[tokio::test]
async fn a_delayed_byte_arrives_after_later_ones_of_other_links_and_when_the_delay_ends() {
    let (mesh, [mut far, mut near], mut bytes) = senders().await;
    mesh.links().set(mesh.id(0), mesh.id(1), FAR);
    send(&mut far, 1).await;
    for byte in 2..5 {
        send(&mut near, byte).await;
        assert_eq!(next(&mut bytes).await, byte);
    }
    mesh.links().set_all(Conditions::CLEAR);
    assert_eq!(next(&mut bytes).await, 1);
}

#[tokio::test]
async fn a_slow_link_holds_back_what_a_fast_one_delivers_and_its_rate_can_be_raised() {
    let (mesh, [mut slow, mut fast], mut bytes) = senders().await;
    let bytes_per_second = Some(1);
    mesh.links().set(
        mesh.id(0),
        mesh.id(1),
        Conditions {
            bytes_per_second,
            ..Conditions::CLEAR
        },
    );
    // Some kilobytes take hours at this rate.
    slow.write_all(&[1; 10_000]).await.unwrap();
    slow.flush().await.unwrap();
    fast.write_all(&[2; 10_000]).await.unwrap();
    fast.flush().await.unwrap();
    for _ in 0..10_000 {
        assert_eq!(next(&mut bytes).await, 2);
    }
    mesh.links().set_all(Conditions::CLEAR);
    for _ in 0..10_000 {
        assert_eq!(next(&mut bytes).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_over_a_lossy_slow_link_arrive_whole_and_in_order() {
    let mesh = Mesh::line(2).start().await;
    mesh.links().set_all(Conditions {
        delay: Duration::from_millis(5),
        lost_per_thousand: 100,
        retransmission: Duration::from_millis(20),
        bytes_per_second: Some(1 << 20),
    });
    let mut bytes = receive(&mesh[1]);
    let mut stream = open(&mesh, 0, 1).await;
    let sent: Vec<u8> = (0..100_000).map(|at| (at % 251) as u8).collect();
    stream.write_all(&sent).await.unwrap();
    stream.flush().await.unwrap();
    for byte in sent {
        assert_eq!(next(&mut bytes).await, byte);
    }
}

#[tokio::test]
async fn a_round_trip_takes_at_least_twice_the_delay() {
    let delay = Duration::from_millis(300);
    let mesh = Mesh::line(2).configure(|_, config| {
        config.ping_interval = Duration::from_secs(2);
    });
    let mesh = mesh.start().await;
    let conditions = Conditions {
        delay,
        ..Conditions::CLEAR
    };
    mesh.links().set_all(conditions);
    eventually("a round-trip time of the slow link", || {
        let rtt = mesh[0].peer(mesh.id(1))?.rtt?;
        (rtt >= 2 * delay).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stalled_link_delivers_when_it_opens_again_and_a_broken_one_ends_its_streams() {
    let (mesh, [mut stalled, mut near], mut bytes) = senders().await;
    let (receiver, sender) = (mesh.id(0), mesh.id(1));
    mesh.links().cut(receiver, sender, Cut::Stalled);
    send(&mut stalled, 1).await;
    for byte in 2..5 {
        send(&mut near, byte).await;
        assert_eq!(next(&mut bytes).await, byte);
    }
    mesh.links().cut(receiver, sender, Cut::Open);
    assert_eq!(next(&mut bytes).await, 1);
    mesh.links().cut(receiver, sender, Cut::Broken);
    let read = timeout(DEADLINE, stalled.read_u8()).await;
    read.unwrap().unwrap_err();
    send(&mut near, 5).await;
    assert_eq!(next(&mut bytes).await, 5);
}

#[tokio::test]
async fn a_circuit_passes_where_the_link_between_its_ends_is_cut() {
    let mesh = Mesh::star(3).configure(|i, config| {
        config.relay_server = (i == 0).then(RelayServer::default);
    });
    let mesh = mesh.start().await;
    let (relay, holder) = (mesh.address(0), mesh.id(2));
    mesh.links().cut(mesh.id(1), holder, Cut::Broken);
    let _place = mesh[2].reserve(&relay, soon()).await.unwrap();
    let circuit = vec![circuit_address(&relay)];
    mesh[1].dial(holder, circuit, soon()).await.unwrap();
    assert_eq!(mesh[1].path(holder), Some(Path::Relayed));
    // A circuit is cut together with a connection that carries it.
    mesh.partition(&[&[1]]).await;
}

//! Shapes, partitions and ends of nodes.

use std::time::Duration;

use multiaddr::Multiaddr;
use peerwork_net::{
    Event,
    gossip::{Mode, Topic, Verdict},
};
use peerwork_testkit::{DEADLINE, Mesh, Plan, eventually, node::soon};
use tokio::time::timeout;

/// How long a message may take before the next one is sent.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The connected pairs of a mesh, the smaller number first.
fn connections(mesh: &Mesh) -> Vec<(usize, usize)> {
    let pairs = mesh.alive().flat_map(|i| mesh.alive().map(move |j| (i, j)));
    let pairs = pairs.filter(|(i, j)| i < j && mesh.is_connected(*i, *j));
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_shape_has_exactly_its_connections() {
    let shapes: [(Plan, &[(usize, usize)]); 5] = [
        (Mesh::line(4), &[(0, 1), (1, 2), (2, 3)]),
        (Mesh::ring(4), &[(0, 1), (0, 3), (1, 2), (2, 3)]),
        (Mesh::star(4), &[(0, 1), (0, 2), (0, 3)]),
        (Mesh::full(3), &[(0, 1), (0, 2), (1, 2)]),
        (Mesh::apart(3), &[]),
    ];
    for (plan, expected) in shapes {
        let what = format!("{plan:?}");
        let mesh = plan.start().await;
        assert_eq!(connections(&mesh), expected, "{what}");
        let peers: usize = mesh.alive().map(|i| mesh[i].peer_count()).sum();
        assert_eq!(peers, 2 * expected.len(), "{what}");
        mesh.stop().await;
    }
}

#[tokio::test]
async fn each_node_has_the_settings_that_its_number_was_given() {
    let named = Mesh::line(2).configure(|i, config| config.agent = format!("node {i}"));
    let mesh = named.start().await;
    eventually("node 1 to be identified", || {
        let peer = mesh[0].peer(mesh.id(1))?;
        (peer.agent.as_deref()? == "node 1").then_some(())
    })
    .await;
}

async fn join(mesh: &Mesh) -> Vec<Topic> {
    let mut topics = Vec::new();
    for i in mesh.alive() {
        let accept = |_: &peerwork_net::gossip::Message| Verdict::Accept;
        topics.push(
            mesh[i]
                .topic("test", Mode::Subscribe, accept, soon())
                .await
                .unwrap(),
        );
    }
    topics
}

/// Publishes at one node until another one receives a message with the same beginning, and returns all
/// messages that the other one received. Gossip reaches the nodes whose subscription is known, so the
/// first messages after a connection may be lost.
async fn hear(topics: &mut [Topic], from: usize, to: usize, beginning: &str) -> Vec<String> {
    let publisher = topics[from].publisher();
    let mut heard = Vec::new();
    let hear = async {
        for number in 0_u32.. {
            let text = format!("{beginning} {number} from {from}");
            let _ = publisher.publish(text.into_bytes(), soon()).await;
            while let Ok(Some(message)) = timeout(RETRY_AFTER, topics[to].next()).await {
                heard.push(String::from_utf8(message.data.to_vec()).unwrap());
                if message.data.starts_with(beginning.as_bytes()) {
                    return;
                }
            }
        }
    };
    timeout(DEADLINE, hear).await.unwrap();
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_stay_in_their_group_until_the_partition_heals() {
    let mesh = Mesh::ring(4).start().await;
    let mut topics = join(&mesh).await;
    mesh.partition(&[&[0, 1], &[2, 3]]).await;
    assert_eq!(connections(&mesh), [(0, 1), (2, 3)]);
    for (group, [one, other]) in [("left", [0, 1]), ("right", [2, 3]), ("left", [0, 1])] {
        let mut heard = hear(&mut topics, one, other, group).await;
        heard.extend(hear(&mut topics, other, one, group).await);
        assert!(
            heard.iter().all(|text| text.starts_with(group)),
            "{heard:?}"
        );
    }
    let to = mesh.address(2);
    let dialled = mesh[1].dial(to.node, vec![to.transport], soon()).await;
    dialled.unwrap_err();
    mesh.heal();
    mesh.connect_all().await;
    mesh.all_connected().await;
    assert_eq!(connections(&mesh), [(0, 1), (0, 3), (1, 2), (2, 3)]);
    hear(&mut topics, 1, 2, "again").await;
    hear(&mut topics, 3, 0, "again").await;
}

#[tokio::test]
async fn nodes_in_no_group_of_a_partition_stay_together() {
    let mesh = Mesh::full(4).start().await;
    mesh.partition(&[&[1]]).await;
    assert_eq!(connections(&mesh), [(0, 2), (0, 3), (2, 3)]);
}

#[tokio::test]
async fn a_killed_node_is_noticed_and_stays_away() {
    let mut mesh = Mesh::star(3).start().await;
    let mut events = mesh[1].events();
    mesh.kill(0).await;
    let gone = async { while events.recv().await.unwrap() != Event::Disconnected(mesh.id(0)) {} };
    timeout(DEADLINE, gone).await.unwrap();
    mesh.disconnected(2, 0).await;
    mesh.heal();
    mesh.connect_all().await;
    assert_eq!(connections(&mesh), []);
    assert_eq!(mesh.alive().collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_stalled_link_is_noticed_by_its_silence() {
    // A ping may take as long, also on a busy machine.
    let short = Duration::from_secs(1);
    let mesh = Mesh::line(2).configure(move |_, config| config.ping_interval = short);
    let mesh = mesh.start().await;
    mesh.stall(&[&[0]]);
    mesh.disconnected(0, 1).await;
    mesh.heal();
    mesh.connect_all().await;
    mesh.connected(0, 1).await;
}

#[tokio::test]
#[should_panic(expected = "links condition TCP only")]
async fn a_mesh_over_a_transport_without_links_is_refused() {
    let quic: Multiaddr = "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap();
    let mesh = Mesh::apart(1).configure(move |_, config| config.listen = vec![quic.clone()]);
    mesh.start().await;
}

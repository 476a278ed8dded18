//! A hub forwards the topics of its clients, also those that one of its own services joins and leaves.

use std::time::Duration;

use peerwork_net::{
    Network,
    config::Hub,
    gossip::{Mode, Topic, TopicInfo, Verdict},
};
use peerwork_testkit::{eventually, eventually_async};

use crate::node::{config, connect, soon, start};

const ROOM: &str = "room";

async fn start_hub() -> Network {
    let mut settings = config();
    settings.gossip.hub = Some(Hub::default());
    start(settings).await
}

async fn join(network: &Network, mode: Mode) -> Topic {
    network
        .topic(ROOM, mode, |_| Verdict::Accept, soon())
        .await
        .unwrap()
}

/// A node that subscribes to the room and knows the hub alone.
async fn client(hub: &Network) -> (Network, Topic) {
    let client = start(config()).await;
    let topic = join(&client, Mode::Subscribe).await;
    connect(&client, hub).await;
    (client, topic)
}

fn room(hub: &Network) -> Option<TopicInfo> {
    let topics = hub.forwarded_topics();
    topics.iter().find(|topic| topic.name == ROOM).cloned()
}

/// Publishes until the other client receives the text. The hub may not know the subscription yet.
async fn hears(from: &Topic, to: &mut Topic, text: &str) {
    let publisher = from.publisher();
    let heard = async {
        loop {
            let _ = publisher.publish(text.as_bytes().to_vec(), soon()).await;
            let next = tokio::time::timeout(Duration::from_millis(100), to.next());
            if let Ok(message) = next.await
                && *message.unwrap().data == *text.as_bytes()
            {
                return;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(20), heard).await;
    assert!(heard.is_ok(), "not heard: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_hear_each_other_after_a_service_of_the_hub_left_their_topic() {
    let hub = start_hub().await;
    let service = join(&hub, Mode::Subscribe).await;
    let ((_a, ta), (_b, mut tb)) = (client(&hub).await, client(&hub).await);
    hears(&ta, &mut tb, "while the service is there").await;
    drop(service);
    eventually("the hub to forward the topic for its clients", || {
        room(&hub).filter(|room| room.subscribers == 2)
    })
    .await;
    hears(&ta, &mut tb, "after the service left").await;
}

#[tokio::test]
async fn clients_hear_each_other_after_a_service_joined_their_topic_and_left_it() {
    let hub = start_hub().await;
    let ((_a, ta), (b, mut tb)) = (client(&hub).await, client(&hub).await);
    eventually("the hub to follow the topic", || {
        room(&hub).filter(|room| room.subscribers == 2)
    })
    .await;
    let service = join(&hub, Mode::Subscribe).await;
    hears(&ta, &mut tb, "while the service is there").await;
    drop(service);
    // The hub counts only the messages that it forwards itself, which begins once the service has left.
    let counted = room(&hub).map(|room| room.counts.messages);
    let publisher = ta.publisher();
    let mut nth = 0u32;
    eventually_async("a message that the hub forwards itself", || {
        nth += 1;
        let published = publisher.publish(nth.to_be_bytes().to_vec(), soon());
        let forwarded = room(&hub).map(|room| room.counts.messages) > counted;
        async move { (published.await.is_ok() && forwarded).then_some(()) }
    })
    .await;
    hears(&ta, &mut tb, "after the service left").await;
    // The hub leaves the topic with its last client.
    drop((ta, tb));
    b.stop().await;
    eventually("the hub to leave the topic", || {
        room(&hub).is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_hear_each_other_on_a_topic_that_the_hub_only_publishes_on() {
    let hub = start_hub().await;
    let service = join(&hub, Mode::PublishOnly).await;
    let ((_a, ta), (_b, mut tb)) = (client(&hub).await, client(&hub).await);
    eventually("the hub to follow the topic", || {
        room(&hub).filter(|room| room.subscribers == 2)
    })
    .await;
    hears(&ta, &mut tb, "beside the service").await;
    hears(&service, &mut tb, "from the service").await;
}

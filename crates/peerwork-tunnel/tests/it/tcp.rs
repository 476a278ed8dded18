//! Raw TCP connections through a forwarder and an edge.

use std::sync::Arc;

use peerwork_testkit::RawApp;
use peerwork_tunnel::{Forwarder, KeyStore, NewKey, forward::Target, routes::Routes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::world::{SOON, World};

/// Starts an app that reads to the end and then answers with the number of bytes.
async fn counting() -> RawApp {
    RawApp::start(|mut stream, _| async move {
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        let _ = stream
            .write_all(received.len().to_string().as_bytes())
            .await;
    })
    .await
}

async fn forwarder(world: &World, port: u16, key: Option<String>) -> Forwarder {
    let to = Target {
        node: world.node(),
        port,
        key,
    };
    let routes: Arc<dyn Routes> = Arc::clone(&world.known) as _;
    let local = ([127, 0, 0, 1], 0).into();
    Forwarder::start(local, to, world.relay_network.clone(), routes)
        .await
        .unwrap()
}

async fn count(forwarder: &Forwarder, bytes: usize) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(forwarder.address()).await?;
    stream.write_all(&vec![0; bytes]).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

#[tokio::test]
async fn plain_tcp_is_carried_with_half_close() {
    let app = counting().await;
    let port = app.address().port();
    let world = World::with(|setup| setup.edge.ports = [port].into()).await;
    let forwarder = forwarder(&world, port, None).await;
    for bytes in [0, 1, 5_000_000] {
        assert_eq!(count(&forwarder, bytes).await.unwrap(), bytes.to_string());
    }
    timeout(SOON, forwarder.stop()).await.unwrap();
}

#[tokio::test]
async fn a_tcp_connection_that_the_edge_refuses_is_closed() {
    let app = counting().await;
    let world = World::start().await;
    let forwarder = forwarder(&world, app.address().port(), None).await;
    assert_ne!(count(&forwarder, 10).await.ok().as_deref(), Some("10"));
    assert_eq!(app.accepted(), 0);
}

#[tokio::test]
async fn tcp_needs_the_edges_key_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(&folder.path().join("keys.json")).unwrap();
    let app = counting().await;
    let port = app.address().port();
    let world = World::with(|setup| {
        setup.edge.ports = [port].into();
        setup.edge.auth = Some(store.clone());
    })
    .await;
    let without = forwarder(&world, port, None).await;
    assert!(count(&without, 10).await.is_err());
    let key = store.create(NewKey::default()).unwrap().secret;
    let with = forwarder(&world, port, Some(key)).await;
    assert_eq!(count(&with, 10).await.unwrap(), "10");
}

//! Raw TCP connections through a forwarder and an edge.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use peerwork_testkit::RawApp;
use peerwork_tunnel::{Forwarder, KeyStore, NewKey, forward::Target, routes::Routes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::world::{Over, SOON, World};

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
    let world = World::before(&app, |_| ()).await;
    let forwarder = forwarder(&world, world.port, None).await;
    for bytes in [0, 1, 5_000_000] {
        assert_eq!(count(&forwarder, bytes).await.unwrap(), bytes.to_string());
    }
    timeout(SOON, forwarder.stop()).await.unwrap();
}

/// Makes the drop of a socket a reset.
fn reset_when_dropped(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_reset_of_the_app_or_of_the_client_is_a_reset_at_the_other_end() {
    for (over, by_app) in Over::ALL
        .into_iter()
        .flat_map(|over| [(over, true), (over, false)])
    {
        let (ends, mut seen) = mpsc::channel(1);
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let app = RawApp::start(move |mut stream, _| {
            let (wait, ends) = (wait.clone(), ends.clone());
            async move {
                stream.read_exact(&mut [0; 4]).await.unwrap();
                stream.write_all(b"back").await.unwrap();
                if by_app {
                    wait.notified().await;
                    reset_when_dropped(&stream);
                } else {
                    let _ = ends.send(stream.read(&mut [0]).await).await;
                }
            }
        })
        .await;
        let world = World::before(&app, |setup| setup.over = over).await;
        let forwarder = forwarder(&world, world.port, None).await;
        let mut client = TcpStream::connect(forwarder.address()).await.unwrap();
        client.write_all(b"send").await.unwrap();
        client.read_exact(&mut [0; 4]).await.unwrap();
        let end = if by_app {
            go.notify_one();
            timeout(SOON, client.read(&mut [0])).await.unwrap()
        } else {
            reset_when_dropped(&client);
            drop(client);
            timeout(SOON, seen.recv()).await.unwrap().unwrap()
        };
        let end = end.map_err(|error| error.kind());
        assert_eq!(
            end,
            Err(ErrorKind::ConnectionReset),
            "{over:?}, by the app: {by_app}"
        );
    }
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
    let world = World::before(&app, |setup| setup.edge.auth = Some(store.clone())).await;
    let port = world.port;
    let without = forwarder(&world, port, None).await;
    assert!(count(&without, 10).await.is_err());
    let key = store.create(NewKey::default()).unwrap().secret;
    let with = forwarder(&world, port, Some(key)).await;
    assert_eq!(count(&with, 10).await.unwrap(), "10");
}

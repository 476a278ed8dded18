//! WebSocket over HTTP/2 (RFC 8441).

use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2::SendRequest, ext::Protocol};
use hyper_util::rt::TokioIo;
use peerwork_testkit::{RawApp, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::world::{Body, SOON, World, http2, none, problem};

async fn connect(world: &World) -> SendRequest<Body> {
    let mut sender = http2(world.address()).await;
    // Behind an answer the client knows from the server's settings that it may ask.
    let root = Request::get("http://relay.test/").body(none()).unwrap();
    let sent = sender.send_request(root);
    assert_eq!(timeout(SOON, sent).await.unwrap().unwrap().status(), 200);
    sender
}

async fn ask(
    sender: &mut SendRequest<Body>,
    protocol: &'static str,
    path: &str,
) -> Response<Incoming> {
    let request = Request::connect(format!("http://relay.test{path}"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13");
    let sent = sender.send_request(request.body(none()).unwrap());
    timeout(SOON, sent).await.unwrap().unwrap()
}

#[tokio::test]
async fn websockets_pass_over_http2_several_on_one_connection() {
    let world = World::start().await;
    let mut sender = connect(&world).await;
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let response = ask(&mut sender, "websocket", &world.path("/websocket")).await;
        assert_eq!(response.status(), 200);
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(!response.headers().contains_key(name), "{name}");
        }
        let upgraded = timeout(SOON, hyper::upgrade::on(response))
            .await
            .unwrap()
            .unwrap();
        let io = TokioIo::new(upgraded);
        sockets.push(WebSocketStream::from_raw_socket(io, Role::Client, None).await);
    }
    for socket in &mut sockets {
        for text in ["one", "two"] {
            socket.send(Message::text(text)).await.unwrap();
            let echoed = timeout(SOON, socket.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(echoed.into_text().unwrap(), text);
        }
    }
    assert_eq!(world.app.waiting(), 2);
    drop(sockets);
    eventually("the app to see the end", || {
        (world.app.waiting() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn refusals_of_the_app_and_other_protocols_are_answered() {
    let world = World::start().await;
    let mut sender = connect(&world).await;
    let response = ask(&mut sender, "connect-udp", &world.path("/websocket")).await;
    problem(response, 501, "connect-not-offered", "client").await;
    // This path of the app answers 200 to a plain request.
    let response = ask(&mut sender, "websocket", &world.path("/echo")).await;
    problem(response, 502, "app-broken", "app").await;
    let response = ask(&mut sender, "websocket", "/nothing").await;
    problem(response, 404, "not-found", "client").await;
}

#[tokio::test]
async fn an_app_that_switches_without_the_right_proof_is_a_502() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            upgrade: websocket\r\nsec-websocket-accept: of-somebody-else\r\n\r\n";
        let _ = stream.write_all(answer).await;
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    let port = app.address().port();
    let world = World::with(|setup| setup.edge.ports = [port].into()).await;
    let mut sender = connect(&world).await;
    let path = format!("/edge/{}/{port}/", world.node());
    let response = ask(&mut sender, "websocket", &path).await;
    problem(response, 502, "app-broken", "app").await;
}

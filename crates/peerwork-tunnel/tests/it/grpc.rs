//! Apps that speak HTTP/2 with prior knowledge: gRPC by tonic's server and client, trailers, and clients
//! of HTTP/1.1.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, Uri, Version, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use peerwork_net::Stream;
use peerwork_testkit::{RawApp, eventually, node::soon};
use peerwork_tunnel::{
    edge::Trust,
    wire::{Answer, Head, Kind, PROTOCOL, Reason, RequestId, Speaks, decode_answer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Code, transport::Endpoint};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_check_response, health_client::HealthClient},
    server::HealthReporter,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    apps::{OFFERED, calling, reset_when_dropped},
    world::{SOON, World, full, http2, none, problem, text},
};

pub(crate) const SERVING: health_check_response::ServingStatus =
    health_check_response::ServingStatus::Serving;

/// Starts a gRPC server with the services of health and reflection; gives its port.
pub(crate) async fn grpc_app() -> (u16, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tonic::transport::Server::builder()
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    (port, reporter)
}

/// The ingress as a gRPC client takes it: the address to connect to, and the prefix of all paths.
async fn channel(world: &World) -> (tonic::transport::Channel, Uri) {
    let origin = format!("http://{}", world.address());
    let endpoint = Endpoint::from_shared(origin.clone()).unwrap();
    let prefix = format!("{origin}{}", world.path("")).parse().unwrap();
    (endpoint.connect().await.unwrap(), prefix)
}

pub(crate) fn asked(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
    }
}

#[tokio::test]
async fn grpc_passes_unary_and_streaming_with_its_trailers() {
    let (port, reporter) = grpc_app().await;
    let world = calling(&format!("h2c://localhost:{port}"), Trust::default()).await;
    let (channel, prefix) = channel(&world).await;
    let mut health = HealthClient::with_origin(channel.clone(), prefix.clone());
    // A unary call, and one whose status comes without a message.
    let answer = timeout(SOON, health.check(asked("")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.into_inner().status(), SERVING);
    let status = health.check(asked("no.such.Service")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    // A stream of answers; each comes before the next event.
    reporter
        .set_service_status("app", ServingStatus::Serving)
        .await;
    let mut watch = health.watch(asked("app")).await.unwrap().into_inner();
    let first = timeout(SOON, watch.message()).await.unwrap().unwrap();
    assert_eq!(first.unwrap().status(), SERVING);
    reporter
        .set_service_status("app", ServingStatus::NotServing)
        .await;
    let second = timeout(SOON, watch.message()).await.unwrap().unwrap();
    let not_serving = health_check_response::ServingStatus::NotServing;
    assert_eq!(second.unwrap().status(), not_serving);
    // Streams in both directions: each question is asked after the answer to the one before.
    let (questions, asking) = mpsc::channel(1);
    let asking = tokio_stream::wrappers::ReceiverStream::new(asking);
    let mut reflection = ServerReflectionClient::with_origin(channel, prefix);
    let question = |text: &str| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(text.into())),
    };
    questions
        .send(question("grpc.health.v1.Health"))
        .await
        .unwrap();
    let answers = timeout(SOON, reflection.server_reflection_info(asking)).await;
    let mut answers = answers.unwrap().unwrap().into_inner();
    for _ in 0..3 {
        let answer = timeout(SOON, answers.message()).await.unwrap().unwrap();
        let answer = answer.unwrap().message_response.unwrap();
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)));
        questions
            .send(question("grpc.health.v1.Health"))
            .await
            .unwrap();
    }
    drop(questions);
    while timeout(SOON, answers.next())
        .await
        .unwrap()
        .transpose()
        .unwrap()
        .is_some()
    {}
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
}

#[tokio::test]
async fn calls_of_grpc_share_kept_connections_and_pass_at_the_same_time() {
    let (port, _reporter) = grpc_app().await;
    let world = calling(&format!("h2c://localhost:{port}"), Trust::default()).await;
    let (channel, prefix) = channel(&world).await;
    let mut health = HealthClient::with_origin(channel, prefix);
    for _ in 0..20 {
        timeout(SOON, health.check(asked("")))
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(world.metric("peerwork_ingress_tunnels_opened_total"), 1.0);
    let calls = (0..50).map(|_| {
        let mut health = health.clone();
        tokio::spawn(async move { health.check(asked("")).await.map(drop) })
    });
    for call in futures::future::join_all(calls).await {
        call.unwrap().unwrap();
    }
}

/// The parts of a request that an app received.
#[derive(Debug)]
struct Received {
    version: Version,
    uri: Uri,
    headers: HeaderMap,
    trailers: Option<HeaderMap>,
}

/// Serves HTTP/2 with prior knowledge on each connection of an app.
async fn serving<F, S, B>(answer: S) -> RawApp
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    RawApp::start(move |stream, _| {
        let service = service_fn(answer.clone());
        async move {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

/// Starts an app that speaks HTTP/2 alone, tells what it received, and answers `ok` with a trailer.
async fn http2_app() -> (RawApp, mpsc::UnboundedReceiver<Received>) {
    let (told, received) = mpsc::unbounded_channel();
    let app = serving(move |request| {
        let told = told.clone();
        async move {
            let (parts, body) = request.into_parts();
            let trailers = body.collect().await.unwrap().trailers().cloned();
            let _ = told.send(Received {
                version: parts.version,
                uri: parts.uri,
                headers: parts.headers,
                trailers,
            });
            let mut trailers = HeaderMap::new();
            trailers.insert("app-trailer", "2".parse().unwrap());
            let body = Full::new(Bytes::from("ok"));
            let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
            Ok(Response::new(body))
        }
    })
    .await;
    (app, received)
}

#[tokio::test]
async fn trailers_and_te_pass_in_both_directions() {
    let (app, mut received) = http2_app().await;
    let url = format!("h2c://127.0.0.1:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let mut sender = http2(world.address()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("client-trailer", "1".parse().unwrap());
    let body = Full::new(Bytes::from("hello"));
    let body = body.with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let request = Request::post(format!("http://relay.test{}", world.path("/a/b?c=d")))
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = timeout(SOON, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status(), 200);
    let answer = timeout(SOON, response.into_body().collect())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.trailers().unwrap()["app-trailer"], "2");
    assert_eq!(answer.to_bytes(), "ok");
    let received = received.recv().await.unwrap();
    assert_eq!(received.version, Version::HTTP_2);
    assert_eq!(
        received.uri.to_string(),
        format!("http://localhost:{OFFERED}/a/b?c=d")
    );
    assert_eq!(received.headers["te"], "trailers");
    assert_eq!(received.headers["x-forwarded-host"], "relay.test");
    for absent in ["connection", "host", "transfer-encoding"] {
        assert!(!received.headers.contains_key(absent), "{received:?}");
    }
    assert_eq!(received.trailers.unwrap()["client-trailer"], "1");
}

#[tokio::test]
async fn clients_of_http_1_call_an_app_that_speaks_http_2_alone() {
    let (app, mut received) = http2_app().await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    assert_eq!(text(world.get("/x").await).await, "ok");
    let request = world.request("POST", "/y").body(full("hello")).unwrap();
    assert_eq!(text(world.send(request).await).await, "ok");
    // HTTP/2 has no upgrades: the app answers a plain request.
    let request = world
        .request("GET", "/z")
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let response = world.send(request.body(none()).unwrap()).await;
    assert_eq!(response.status(), 200);
    for path in ["/x", "/y", "/z"] {
        let received = received.recv().await.unwrap();
        assert_eq!(received.uri.path(), path);
        assert!(!received.headers.contains_key("upgrade"), "{received:?}");
    }
}

#[tokio::test]
async fn an_app_that_breaks_off_over_http_2_is_an_error_at_the_client() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let app = RawApp::start(move |stream, _| {
        let wait = Arc::clone(&wait);
        async move {
            let service = service_fn(|_| async {
                let part = futures::stream::iter([Ok::<_, Infallible>(hyper::body::Frame::data(
                    Bytes::from("part"),
                ))]);
                let body = http_body_util::StreamBody::new(futures::StreamExt::chain(
                    part,
                    futures::stream::pending(),
                ));
                Ok::<_, Infallible>(Response::new(body))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let connection = server.serve_connection(TokioIo::new(stream), service);
            tokio::select! { _ = connection => {}, () = wait.notified() => {} }
        }
    })
    .await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let mut response = world.get("/").await;
    let first = timeout(SOON, response.frame()).await.unwrap();
    assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "part");
    go.notify_one();
    let rest = timeout(SOON, response.into_body().collect()).await.unwrap();
    assert!(rest.is_err());
    // A client that leaves frees the edge and the app.
    let (path, tunnels) = (world.path("/"), world.edge.counter());
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut client = world.raw(&request).await;
    client.read_u8().await.unwrap();
    assert_eq!(tunnels(), 1);
    reset_when_dropped(&client);
    drop(client);
    eventually("the tunnel to end", || (tunnels() == 0).then_some(())).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_an_error_at_an_app_over_http_2() {
    let (ends, mut ended) = mpsc::unbounded_channel();
    let app = serving(move |request| {
        let ends = ends.clone();
        async move {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap();
            let _ = ends.send(first.into_data().map_err(|_| ()));
            let rest = body.collect().await;
            let _ = ends.send(
                rest.map(http_body_util::Collected::to_bytes)
                    .map_err(|_| ()),
            );
            Ok(Response::new(Full::new(Bytes::new())))
        }
    })
    .await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let path = world.path("/");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut client = world.raw(&head).await;
    client.write_all(b"5\r\nhello\r\n").await.unwrap();
    let first = timeout(SOON, ended.recv()).await.unwrap().unwrap();
    assert_eq!(first.unwrap(), "hello");
    drop(client);
    let rest = timeout(SOON, ended.recv()).await.unwrap().unwrap();
    assert!(rest.is_err(), "{rest:?}");
}

#[tokio::test]
async fn headers_of_an_app_over_http_2_have_a_bound() {
    // Each header counts with 32 bytes beside its name and value (RFC 9113 section 6.5.2): `:status: 200`
    // with 42, an empty `date` with 36, and `x` with 33 and its value. The sum is less than 400 KiB.
    const MAX: usize = 400 * 1024 - 1 - 42 - 36 - 33;
    let app = serving(|request| async move {
        let length = request
            .uri()
            .path()
            .trim_start_matches('/')
            .parse()
            .unwrap();
        let response = Response::builder().header("x", "v".repeat(length));
        Ok(response
            .header("date", "")
            .body(Full::new(Bytes::new()))
            .unwrap())
    })
    .await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let response = world.get(&format!("/{MAX}")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x"].len(), MAX);
    let response = world.get(&format!("/{}", MAX + 1)).await;
    problem(response, 502, "app-broken", "app").await;
}

#[tokio::test]
async fn an_app_without_http_2_at_an_h2c_url_is_a_502() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let answered = timeout(Duration::from_secs(10), world.get("/")).await;
    problem(answered.unwrap(), 502, "app-broken", "app").await;
}

/// Opens a tunnel as a relay does, and gives the edge's answer.
async fn open(world: &World, http2: bool, kind: Kind) -> (Answer, Stream) {
    let network = &world.relay_network;
    let addresses = world.edge_network.listen_addresses().borrow().clone();
    network.dial(world.node(), addresses, soon()).await.unwrap();
    let mut stream = network.open(world.node(), &PROTOCOL, soon()).await.unwrap();
    let head = Head {
        keeps: false,
        repeats: None,
        port: OFFERED,
        request_id: RequestId::random(),
        open_deadline: SOON,
        kind,
        key: None,
        http2,
    };
    stream.write_all(&head.encode()).await.unwrap();
    stream.flush().await.unwrap();
    let length = usize::from(stream.read_u8().await.unwrap());
    let length = match length {
        0..0x80 => length,
        _ => (length & 0x7f) | usize::from(stream.read_u8().await.unwrap()) << 7,
    };
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.unwrap();
    (decode_answer(&answer).unwrap(), stream)
}

#[tokio::test]
async fn a_relay_of_an_earlier_version_gets_a_clear_refusal() {
    let (app, _received) = http2_app().await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let (answer, _) = open(&world, false, Kind::Http).await;
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.reason, Reason::AppUnreachable);
    assert!(
        refusal.detail.contains("speaks HTTP/2 alone"),
        "{refusal:?}"
    );
    assert_eq!(app.accepted(), 0, "the app was not dialled");
    let (answer, _) = open(&world, true, Kind::Http).await;
    assert_eq!(answer.unwrap().speaks, Speaks::Http2);
    // The bytes of a forward are the client's own HTTP/2.
    let (answer, _) = open(&world, false, Kind::Tcp).await;
    assert_eq!(answer.unwrap().speaks, Speaks::Http1);
}

#[tokio::test]
async fn a_client_of_a_forward_speaks_http_2_with_the_app_itself() {
    let (app, mut received) = http2_app().await;
    let url = format!("h2c://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    let forwarder = crate::apps::forwarder(&world).await;
    let mut sender = http2(forwarder.address()).await;
    let request = Request::get("http://localhost/direct")
        .body(none())
        .unwrap();
    let response = timeout(SOON, sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(received.recv().await.unwrap().uri.path(), "/direct");
}

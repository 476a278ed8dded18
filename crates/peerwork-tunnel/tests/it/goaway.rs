//! Apps over HTTP/2 that end a kept connection while a request is on its way, and say that they have not
//! processed the request (RFC 9113 sections 6.8 and 8.7).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hyper::{Method, Request, Response, body::Incoming};
use peerwork_testkit::{RawApp, node::soon};
use peerwork_tunnel::edge::Trust;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    apps::calling,
    world::{World, full, none, problem, text},
};

/// The bytes of the client's connection preface before its first frame.
const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

/// The answer of an app to a request that it does not process.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// GOAWAY with the last stream before the request.
    GoAway,
    /// RST_STREAM with REFUSED_STREAM.
    Refused,
    /// The request was processed: GOAWAY with its stream, and the connection closes without an answer.
    Processed,
}

async fn write_frame(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(payload);
    let _ = stream.write_all(&frame).await;
}

/// Reads a frame; `None` when the connection ends before.
async fn read_frame(stream: &mut TcpStream) -> Option<(u8, u8, u32, usize)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    let id = u32::from_be_bytes(head[5..].try_into().unwrap());
    let data = if head[3] == DATA { length } else { 0 };
    Some((head[3], head[4], id, data))
}

/// Answers requests until the test asks for the ending; the next request gets it.
async fn serve(mut stream: TcpStream, ending: Ending, state: &State) {
    if stream.read_exact(&mut [0; PREFACE_BYTES]).await.is_err() {
        return;
    }
    write_frame(&mut stream, SETTINGS, 0, 0, &[]).await;
    let (mut answered, mut bytes) = (0_u32, 0);
    while let Some((kind, flags, id, data)) = read_frame(&mut stream).await {
        bytes += data;
        match kind {
            SETTINGS if flags & ACK == 0 => {
                write_frame(&mut stream, SETTINGS, ACK, 0, &[]).await;
            }
            HEADERS | DATA if flags & END_STREAM != 0 => {
                let armed = answered > 0 && state.armed.load(Ordering::SeqCst) > 0;
                if !armed || matches!(ending, Ending::Processed) {
                    state.processed.fetch_add(1, Ordering::SeqCst);
                    state.bytes.store(bytes, Ordering::SeqCst);
                    bytes = 0;
                }
                if armed {
                    state.armed.fetch_sub(1, Ordering::SeqCst);
                    return end(stream, ending, id).await;
                }
                answered += 1;
                // The whole of the headers is `:status: 200` from the static table.
                write_frame(&mut stream, HEADERS, END_HEADERS, id, &[0x88]).await;
                write_frame(&mut stream, DATA, END_STREAM, id, b"ok").await;
            }
            _ => {}
        }
    }
}

async fn end(mut stream: TcpStream, ending: Ending, id: u32) {
    let last = match ending {
        Ending::GoAway => id - 2,
        Ending::Processed => id,
        Ending::Refused => {
            let code = REFUSED_STREAM.to_be_bytes();
            write_frame(&mut stream, RST_STREAM, 0, id, &code).await;
            while read_frame(&mut stream).await.is_some() {}
            return;
        }
    };
    let payload = [last.to_be_bytes(), [0; 4]].concat();
    write_frame(&mut stream, GOAWAY, 0, 0, &payload).await;
}

#[derive(Default)]
struct State {
    /// The number of requests that get the ending.
    armed: AtomicUsize,
    processed: AtomicUsize,
    bytes: AtomicUsize,
}

struct Scene {
    world: World,
    state: Arc<State>,
    _app: RawApp,
}

impl Scene {
    async fn begin(ending: Ending) -> Self {
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let app = RawApp::start(move |stream, _| {
            let state = Arc::clone(&shared);
            async move { serve(stream, ending, &state).await }
        })
        .await;
        let url = format!("h2c://127.0.0.1:{}", app.address().port());
        let scene = Self {
            world: calling(&url, Trust::default()).await,
            state,
            _app: app,
        };
        scene.keep_a_connection().await;
        scene.state.armed.store(1, Ordering::SeqCst);
        scene
    }

    async fn send(&self, method: Method, upload: usize) -> Response<Incoming> {
        let request = Request::builder().method(method);
        let request = request.uri(self.world.path("/")).header("host", "x");
        let body = match upload {
            0 => none(),
            upload => full("x".repeat(upload)),
        };
        self.world.send(request.body(body).unwrap()).await
    }

    async fn keep_a_connection(&self) {
        let deadline = soon();
        let opened = || self.world.metric("peerwork_ingress_tunnels_opened_total");
        loop {
            assert!(tokio::time::Instant::now() < deadline, "never kept");
            let before = opened();
            assert_eq!(text(self.send(Method::POST, 1).await).await, "ok");
            if opened() == before {
                return;
            }
        }
    }

    fn processed(&self) -> usize {
        self.state.processed.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_request_that_an_app_has_not_processed_is_sent_again() {
    for ending in [Ending::GoAway, Ending::Refused] {
        for (method, upload) in [(Method::POST, 0), (Method::POST, 10_000), (Method::GET, 0)] {
            let scene = Scene::begin(ending).await;
            let before = scene.processed();
            let response = scene.send(method.clone(), upload).await;
            let status = response.status();
            let body = text(response).await;
            let case = format!("{ending:?} {method} {upload}");
            assert_eq!((status.as_u16(), body.as_str()), (200, "ok"), "{case}");
            assert_eq!(scene.processed(), before + 1, "{case}");
            assert_eq!(scene.state.bytes.load(Ordering::SeqCst), upload, "{case}");
            assert_eq!(scene.state.armed.load(Ordering::SeqCst), 0, "{case}");
        }
    }
}

#[tokio::test]
async fn a_post_that_an_app_has_processed_is_not_sent_again() {
    let scene = Scene::begin(Ending::Processed).await;
    let before = scene.processed();
    let response = scene.send(Method::POST, 5).await;
    problem(response, 502, "app-broken", "app").await;
    assert_eq!(scene.processed(), before + 1);
}

/// More of the upload was sent than the ingress keeps.
#[tokio::test]
async fn a_post_whose_upload_cannot_be_repeated_is_a_502() {
    let scene = Scene::begin(Ending::GoAway).await;
    let response = scene.send(Method::POST, 17 * 1024).await;
    problem(response, 502, "app-broken", "app").await;
}

//! Requests that must not reach the app twice, on kept connections that are lost: sent again when the
//! edge saw that no byte of them reached the app, and otherwise not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{Request, Response, body::Incoming};
use peerwork_testkit::{RawApp, eventually, link::Conditions, node::soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::world::{Over, World, full, problem, text};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// The last byte of every upload of these tests.
const END: u8 = b'!';
/// An upload which the app reads before it closes the connection without an answer.
const SWALLOWED: &str = "swallowed!";

/// An app that keeps its connections until it is told to close them.
struct KeepingApp {
    app: RawApp,
    close: watch::Sender<bool>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    uploads: AtomicUsize,
    bytes: AtomicUsize,
}

impl KeepingApp {
    async fn start() -> Self {
        let (close, closes) = watch::channel(false);
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        let app = RawApp::start(move |stream, _| {
            let (closes, counts) = (closes.clone(), Arc::clone(&shared));
            async move {
                counts.open.fetch_add(1, Ordering::SeqCst);
                keep(stream, closes, &counts).await;
                counts.open.fetch_sub(1, Ordering::SeqCst);
            }
        })
        .await;
        Self { app, close, counts }
    }

    /// Closes all connections; further ones are kept.
    async fn close_all(&self) {
        self.close.send_replace(true);
        let open = || self.counts.open.load(Ordering::SeqCst);
        eventually("the app closes", || (open() == 0).then_some(())).await;
        self.close.send_replace(false);
    }

    fn uploads(&self) -> usize {
        self.counts.uploads.load(Ordering::SeqCst)
    }
}

async fn keep(mut stream: TcpStream, mut closes: watch::Receiver<bool>, counts: &Counts) {
    loop {
        tokio::select! {
            () = async { drop(closes.wait_for(|close| *close).await) } => return,
            got = upload(&mut stream) => {
                let Some(got) = got else { return };
                counts.uploads.fetch_add(1, Ordering::SeqCst);
                counts.bytes.store(got.len(), Ordering::SeqCst);
                if got.ends_with(SWALLOWED.as_bytes()) || stream.write_all(ANSWER).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads a request with its upload; `None` when the connection ends before.
async fn upload(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while all.last() != Some(&END) {
        let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
        all.extend_from_slice(&part[..n]);
    }
    Some(all)
}

struct Scene {
    world: World,
    app: KeepingApp,
    path: String,
}

impl Scene {
    async fn begin(over: Over) -> Self {
        let app = KeepingApp::start().await;
        let world = World::before(&app.app, |setup| {
            setup.over = over;
        })
        .await;
        let path = world.path("/");
        Self { world, app, path }
    }

    async fn post(&self, upload: &str) -> Response<Incoming> {
        let request = Request::post(&self.path).header("host", "x");
        let upload = full(upload.to_owned());
        self.world.send(request.body(upload).unwrap()).await
    }

    fn opened(&self) -> f64 {
        self.world.metric("peerwork_ingress_tunnels_opened_total")
    }

    fn repeated(&self) -> f64 {
        let name = "peerwork_ingress_requests_repeated_total";
        self.world.metric(name)
    }

    /// Posts until the ingress uses kept connections, and then makes the news of a close late.
    async fn keep_connections(&self) {
        let (deadline, mut alike) = (soon(), 0);
        while alike < 3 {
            assert!(tokio::time::Instant::now() < deadline, "never kept");
            let before = self.opened();
            assert_eq!(text(self.post("often!").await).await, "ok");
            alike = if self.opened() == before {
                alike + 1
            } else {
                0
            };
        }
        self.world.links.set_all(Conditions {
            delay: Duration::from_millis(200),
            ..Conditions::default()
        });
    }
}

#[tokio::test]
async fn a_post_to_an_app_that_has_closed_its_kept_connection_arrives_once() {
    for over in Over::ALL {
        let scene = Scene::begin(over).await;
        scene.keep_connections().await;
        scene.app.close_all().await;
        let (before, repeated) = (scene.app.uploads(), scene.repeated());
        let upload = "x".repeat(10_000) + "!";
        let response = scene.post(&upload).await;
        let status = response.status();
        let body = text(response).await;
        assert_eq!((status.as_u16(), body.as_str()), (200, "ok"), "{over:?}");
        assert_eq!(scene.app.uploads(), before + 1, "{over:?}");
        let bytes = scene.app.counts.bytes.load(Ordering::SeqCst);
        assert!(bytes > upload.len(), "{over:?}: {bytes}");
        // The links of the test kit slow no QUIC, so there the news of the close may come before the POST.
        let times = scene.repeated() - repeated;
        assert!(
            times == 1.0 || (over == Over::Quic && times == 0.0),
            "{over:?}"
        );
    }
}

#[tokio::test]
async fn a_post_that_the_app_has_read_is_not_sent_again() {
    for over in Over::ALL {
        let scene = Scene::begin(over).await;
        scene.keep_connections().await;
        let (before, opened) = (scene.app.uploads(), scene.opened());
        let response = scene.post(SWALLOWED).await;
        problem(response, 502, "app-broken", "app").await;
        assert_eq!(scene.app.uploads(), before + 1, "{over:?}");
        assert_eq!(scene.opened(), opened, "{over:?}");
    }
}

#[tokio::test]
async fn a_post_whose_sent_part_is_longer_than_the_record_is_not_sent_again() {
    for (bytes, status) in [(16 << 10, 200), ((16 << 10) + 1, 502)] {
        let scene = Scene::begin(Over::Tcp).await;
        scene.keep_connections().await;
        scene.app.close_all().await;
        let response = scene.post(&("x".repeat(bytes - 1) + "!")).await;
        assert_eq!(response.status(), status, "{bytes}");
    }
}

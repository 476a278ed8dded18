//! `Port` is a listening port for tests; its service reports the client that it sees.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use peerwork_listener::{
    Bound, Caller, Config, Counters, Interim, Lifetime, Listener, Place, Proxies, Serve, Started,
    Wire,
};
use peerwork_testkit::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

/// A deadline that is longer than any step of these tests takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A short deadline, for tests that wait until it passes.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// A service that answers with address, scheme and HTTP version of the client. `/endless` sends a
/// body without end, and `/held` answers when the test allows it. `/hints` sends early hints and answers
/// when the test allows it, `/hints/at-once` answers at once. Malformed requests are answered with a
/// text.
pub(crate) struct ClientReporter {
    proxies: Proxies,
    /// The number of endless bodies that are being sent.
    pub(crate) endless: Arc<AtomicUsize>,
    pub(crate) go: Notify,
    pub(crate) requests: AtomicUsize,
}

pub(crate) enum Answer {
    Text(Option<Bytes>),
    Endless(Arc<AtomicUsize>),
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Self::Endless(count) = self {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Self::Text(text) => text.take(),
            Self::Endless(_) => Some(Bytes::from_static(&[0; 64 * 1024])),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Serve for ClientReporter {
    type Session = Caller;
    type Body = Answer;

    fn begin(&self, caller: Caller, _: Place) -> Caller {
        caller
    }

    async fn answer(
        self: Arc<Self>,
        caller: Arc<Caller>,
        request: Request<Incoming>,
    ) -> Response<Answer> {
        let endless = request.uri().path() == "/endless";
        if endless {
            self.endless.fetch_add(1, Ordering::SeqCst);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        if endless {
            return Response::new(Answer::Endless(Arc::clone(&self.endless)));
        }
        if request.uri().path().starts_with("/hints") {
            hint(&request);
        }
        if matches!(request.uri().path(), "/held" | "/hints") {
            self.go.notified().await;
        }
        let client = self.proxies.client(&caller, request.headers());
        let scheme = if client.https { "https" } else { "http" };
        let text = format!("{} {scheme} {:?}", client.address.ip(), request.version());
        Response::new(Answer::Text(Some(text.into())))
    }

    fn unparsed(&self, _: &Caller, status: StatusCode) -> Option<Response<Bytes>> {
        let mut response = Response::new(Bytes::from(format!("malformed: {}", status.as_u16())));
        *response.status_mut() = status;
        Some(response)
    }
}

fn hint(request: &Request<Incoming>) {
    if let Some(interim) = request.extensions().get::<Interim>() {
        let link = HeaderValue::from_static("</style.css>; rel=preload");
        let headers = [(header::LINK, link)].into_iter().collect();
        interim.send(StatusCode::EARLY_HINTS, &headers);
    }
}

pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<ClientReporter>,
    pub(crate) counters: Counters,
    pub(crate) lifetime: Lifetime,
    started: Started,
}

impl Port {
    pub(crate) async fn start(wire: Wire, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.bounds.local_places = 0;
        change(&mut config);
        let listener = Listener {
            name: "test",
            bound: Bound::take(([127, 0, 0, 1], 0).into()).await.unwrap(),
            wire,
            serve: Arc::new(ClientReporter {
                proxies: config.preamble.proxies.clone(),
                endless: Arc::default(),
                go: Notify::new(),
                requests: AtomicUsize::default(),
            }),
            config,
            counters: Counters::default(),
            lifetime: Lifetime::default(),
        };
        Self {
            address: listener.bound.address(),
            service: Arc::clone(&listener.serve),
            counters: listener.counters.clone(),
            lifetime: listener.lifetime.clone(),
            started: listener.start().await.unwrap(),
        }
    }

    /// Starts a further port for the same service, with the places and the certificate of this one.
    pub(crate) async fn beside(&self, wire: Wire, config: Config) -> Self {
        let listener = Listener {
            name: "further",
            bound: Bound::take(([127, 0, 0, 1], 0).into()).await.unwrap(),
            wire,
            serve: Arc::clone(&self.service),
            config,
            counters: Counters::default(),
            lifetime: self.lifetime.clone(),
        };
        let port = Self {
            address: listener.bound.address(),
            service: Arc::clone(&self.service),
            counters: self.counters.clone(),
            lifetime: self.lifetime.clone(),
            started: self.started.clone(),
        };
        listener.start_beside(&self.started);
        port
    }

    /// Opens a connection and sends `bytes`.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Opens a connection, sends `start` and a request, checks that the response is `status`, and
    /// keeps the connection open.
    pub(crate) async fn proven(&self, start: &str) -> TcpStream {
        let request = format!("{start}GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut stream = self.raw(request.as_bytes()).await;
        let mut head = [0; 12];
        let read = timeout(PATIENCE, stream.read_exact(&mut head)).await;
        read.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&head), "HTTP/1.1 200");
        stream
    }

    /// Sends `bytes` on a connection, and returns the response bytes until the port closes it.
    pub(crate) async fn all(&self, bytes: &str) -> String {
        let stream = self.raw(bytes.as_bytes()).await;
        rest(stream).await
    }

    /// Waits until the service was asked so many requests.
    pub(crate) async fn is_asked(&self, count: usize) {
        eventually("the requests to be so many", || {
            (self.service.requests.load(Ordering::SeqCst) == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn open_becomes(&self, count: i64) {
        eventually("the connections to be so many", || {
            (self.counters.open.get() == count).then_some(())
        })
        .await;
    }

    /// Waits until the service was asked for a body without end and sends none any more.
    pub(crate) async fn endless_begins_and_ends(&self) {
        eventually("the end of an endless body", || {
            let begun = self.service.requests.load(Ordering::SeqCst) > 0;
            let under_way = self.service.endless.load(Ordering::SeqCst);
            (begun && under_way == 0).then_some(())
        })
        .await;
    }
}

/// Reads until the other side closes.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Sends a GET request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, headers: &[(&str, &str)]) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get("/").header("host", "x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let answer = timeout(PATIENCE, sender.send_request(request)).await;
    let body = answer.unwrap().unwrap().into_body().collect().await;
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

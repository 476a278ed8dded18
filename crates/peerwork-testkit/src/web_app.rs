//! A web app with a route for each thing that HTTP can do.

mod bodies;
mod headers;
mod state;
mod upgrades;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body as _, Frame, Incoming},
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
};
use tokio_util::task::AbortOnDropHandle;

use bodies::{Body, Gauge, empty};
use headers::set;
use state::State;

/// A web app on a free port of the loopback interface. Dropping it stops accepting.
///
/// | path | answer |
/// |---|---|
/// | `/echo…` | the request's body, with `x-method`, `x-target` (path and query as received) and `x-length` |
/// | `/headers` | the request's headers, one `name: value` on each line |
/// | `/cookies` | two `Set-Cookie` headers |
/// | `/redirect?URL` | 302 to the URL |
/// | `/events` | `text/event-stream; charset=utf-8`: each text given to [`WebApp::say`], until the app or the client ends |
/// | `/silent` | none, ever |
/// | `/dies` | 200 with 1000 bytes promised and ten sent, then the connection is cut |
/// | `/dies-chunked` | the same without a promised length |
/// | `/trailers` | the body, then as trailers `x-sum: 3` and what `x-asked` of the request's trailers said |
/// | `/blob?N` | N zero bytes in pieces of 64 KiB |
/// | `/count` | the length of the request's body as text |
/// | `/websocket` | a WebSocket that echoes |
/// | `/upgrade` | switches to protocol `echo`: bytes come back |
#[derive(Debug)]
pub struct WebApp {
    address: SocketAddr,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

impl WebApp {
    /// Starts the app.
    ///
    /// # Panics
    /// When the loopback interface cannot be listened on.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the loopback interface can be listened on");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let state = Arc::new(State {
            said: broadcast::Sender::new(1024),
            waiting: Gauge::default(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The app's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a text to all event streams.
    pub fn say(&self, text: &str) {
        // The send fails only when no event stream is open.
        let _ = self
            .state
            .said
            .send(Bytes::copy_from_slice(text.as_bytes()));
    }

    /// Event streams, silent requests and upgraded connections under way.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.waiting.count()
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, state).await) }
    });
    // Some routes end in an error on purpose.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match path.as_str() {
        "/headers" => text(header_lines(request.headers())),
        "/cookies" => cookies(),
        "/redirect" => redirect(&query),
        "/events" => events(&state),
        "/silent" => {
            let _guard = state.waiting.enter();
            std::future::pending().await
        }
        "/dies" => {
            let mut response = Response::new(bodies::dying());
            set(response.headers_mut(), "content-length", "1000");
            response
        }
        "/dies-chunked" => Response::new(bodies::dying()),
        "/trailers" => trailers(request).await,
        "/blob" => Response::new(bodies::zeros(query.parse().unwrap_or(0))),
        "/count" => text(bodies::count(request.into_body()).await),
        "/websocket" => upgrades::websocket(request, &state),
        "/upgrade" => upgrades::echo(request, &state),
        _ => echo(request),
    }
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let method = request.method().to_string();
    let target = request.uri().to_string();
    let length = request.headers().get("content-length").cloned();
    let response = Response::new(request.into_body());
    let mut response = response.map(|body| {
        // An empty body of unknown length would become an endless one.
        if body.is_end_stream() {
            empty()
        } else {
            body.map_err(Into::into).boxed()
        }
    });
    let headers = response.headers_mut();
    set(headers, "x-method", &method);
    set(headers, "x-target", &target);
    if let Some(length) = length {
        headers.insert("x-length", length);
    }
    response
}

fn header_lines(headers: &HeaderMap) -> String {
    let lines = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}\n")
    });
    lines.collect()
}

fn cookies() -> Response<Body> {
    let mut response = text("two".into());
    let name = HeaderName::from_static("set-cookie");
    let headers = response.headers_mut();
    headers.append(&name, HeaderValue::from_static("a=1; Path=/"));
    headers.append(&name, HeaderValue::from_static("b=2; Path=/"));
    response
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = text("elsewhere".into());
    *response.status_mut() = StatusCode::FOUND;
    set(response.headers_mut(), "location", to);
    response
}

fn events(state: &State) -> Response<Body> {
    let guard = state.waiting.enter();
    let heard = state.said.subscribe();
    let stream = futures::stream::unfold((heard, guard), |(mut heard, guard)| async {
        let said = heard.recv().await.ok()?;
        Some((Ok(Frame::data(said)), (heard, guard)))
    });
    let mut response = Response::new(bodies::of_stream(stream));
    let kind = "text/event-stream; charset=utf-8";
    set(response.headers_mut(), "content-type", kind);
    response
}

async fn trailers(request: Request<Incoming>) -> Response<Body> {
    let collected = request.into_body().collect().await;
    let asked = collected.ok().and_then(|collected| {
        let trailers = collected.trailers()?;
        trailers.get("x-asked").cloned()
    });
    let mut fields = HeaderMap::new();
    set(&mut fields, "x-sum", "3");
    if let Some(asked) = asked {
        fields.insert("x-asked", asked);
    }
    // The body has no known length, because trailers need a chunked body.
    let frames = [
        Frame::data(Bytes::from_static(b"abc")),
        Frame::trailers(fields),
    ];
    let body = bodies::of_stream(futures::stream::iter(frames.map(Ok)));
    let mut response = Response::new(body);
    set(response.headers_mut(), "trailer", "x-sum, x-asked");
    response
}

fn text(text: String) -> Response<Body> {
    Response::new(full(text.into()))
}

fn full(bytes: Bytes) -> Body {
    BoxBody::new(Full::new(bytes).map_err(|never| match never {}))
}

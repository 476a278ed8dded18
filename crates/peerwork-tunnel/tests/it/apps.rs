//! Apps that are called by a URL of their own: TLS with certificates, and Unix sockets.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http_body_util::BodyExt;
use peerwork_testkit::{RawApp, eventually};
use peerwork_tunnel::{
    Forwarder,
    edge::{AppUrl, Trust},
    forward::Target,
    routes::Routes,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};

use crate::world::{SOON, World, none, problem, text};

/// The port at which an edge offers an app. The app itself is elsewhere; no program listens here.
pub(crate) const OFFERED: u16 = 9999;

/// Starts a relay and an edge whose one app has a URL.
pub(crate) async fn calling(url: &str, trust: Trust) -> World {
    let url = AppUrl::parse(url, OFFERED).unwrap();
    let mut world = World::with(|setup| {
        setup.edge.ports = [OFFERED].into();
        setup.edge.apps = [(OFFERED, url)].into();
        setup.edge.trust = trust;
    })
    .await;
    world.port = OFFERED;
    world
}

/// A certificate in a file, and TLS of a server that has it.
struct Certificate {
    file: PathBuf,
    acceptor: TlsAcceptor,
    _folder: tempfile::TempDir,
}

impl Certificate {
    /// Makes a certificate for `localhost` that nobody else signed.
    fn new(is_ca: IsCa) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cert.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            file,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            _folder: folder,
        }
    }

    fn trusted(&self) -> Trust {
        Trust::Authorities(Some(self.file.clone()))
    }

    /// Starts an app that speaks TLS with this certificate.
    async fn app<F, S>(&self, serve: S) -> RawApp
    where
        S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let acceptor = self.acceptor.clone();
        RawApp::start(move |stream, _| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
        })
        .await
    }
}

/// Answers one request with the name and the protocol that the client's TLS named.
async fn name_tls(mut stream: TlsStream<TcpStream>) {
    let tls = stream.get_ref().1;
    let protocol = tls.alpn_protocol().unwrap_or_default();
    let named = format!(
        "{} {}",
        tls.server_name().unwrap_or_default(),
        String::from_utf8_lossy(protocol)
    );
    let _ = stream.read(&mut [0; 4096]).await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", named.len());
    let _ = stream.write_all((head + &named).as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn an_https_app_is_called_while_its_certificate_is_trusted_or_not_verified() {
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    for is_ca in [IsCa::NoCa, authority] {
        let (own, other) = (Certificate::new(is_ca), Certificate::new(IsCa::NoCa));
        let app = own.app(name_tls).await;
        let port = app.address().port();
        for (host, trust, fits) in [
            ("localhost", Trust::default(), false),
            ("localhost", other.trusted(), false),
            ("localhost", own.trusted(), true),
            ("127.0.0.1", own.trusted(), false),
            ("app.localhost", own.trusted(), false),
            ("localhost", Trust::Unverified, true),
            ("app.localhost", Trust::Unverified, true),
        ] {
            let url = format!("https://{host}:{port}");
            let world = calling(&url, trust.clone()).await;
            let response = world.get("/").await;
            if fits {
                assert_eq!(text(response).await, format!("{host} http/1.1"));
                continue;
            }
            let problem = problem(response, 502, "app-unreachable", "app").await;
            let detail = problem["detail"].as_str().unwrap();
            let start = format!("{url} at 127.0.0.1:{port}: no TLS: invalid peer certificate");
            assert!(detail.starts_with(&start), "{trust:?} {host}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_file_without_certificates_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [empty, folder.path().join("missing.pem")] {
        let mut config = peerwork_tunnel::edge::Config::new("localhost", [OFFERED]);
        let url = AppUrl::parse("https://localhost", OFFERED).unwrap();
        config.apps.insert(OFFERED, url);
        config.trust = Trust::Authorities(Some(file.clone()));
        let network = crate::world::network().await;
        let mut metrics = prometheus_client::registry::Registry::default();
        let error = peerwork_tunnel::Edge::start(config, &network, &mut metrics).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(file.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn an_app_without_tls_at_an_https_url_is_a_502() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let url = format!("https://localhost:{}", app.address().port());
    let world = calling(&url, Trust::Unverified).await;
    let problem = problem(world.get("/").await, 502, "app-unreachable", "app").await;
    assert!(problem["detail"].as_str().unwrap().contains("no TLS"));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// TLS's own end, and then TCP's.
    Ended,
    /// TCP's end alone.
    Closed,
    Reset,
}

#[tokio::test]
async fn a_body_over_tls_is_complete_only_when_tls_ended_it() {
    let certificate = Certificate::new(IsCa::NoCa);
    for end in [End::Ended, End::Closed, End::Reset] {
        let go = Arc::new(Notify::new());
        let wait = Arc::clone(&go);
        let app = certificate.app(move |mut stream| {
            let wait = Arc::clone(&wait);
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\npart").await;
                let _ = stream.flush().await;
                wait.notified().await;
                match end {
                    End::Ended => _ = stream.shutdown().await,
                    End::Closed => {}
                    End::Reset => reset_when_dropped(stream.get_ref().0),
                }
            }
        });
        let app = app.await;
        let url = format!("https://localhost:{}", app.address().port());
        let world = calling(&url, certificate.trusted()).await;
        let mut response = world.get("/").await;
        let first = timeout(SOON, response.frame()).await.unwrap();
        assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "part");
        go.notify_one();
        let rest = timeout(SOON, response.into_body().collect()).await.unwrap();
        assert_eq!(rest.is_ok(), end == End::Ended, "{end:?}");
    }
}

/// Makes the drop of a socket a reset.
pub(crate) fn reset_when_dropped(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_an_error_at_an_app_with_tls() {
    let certificate = Certificate::new(IsCa::NoCa);
    let (ends, mut ended) = mpsc::channel(1);
    let app = certificate.app(move |mut stream| {
        let ends = ends.clone();
        async move {
            let mut received = Vec::new();
            let end = stream.read_to_end(&mut received).await;
            let _ = ends.send((received, end)).await;
        }
    });
    let app = app.await;
    let url = format!("https://localhost:{}", app.address().port());
    let world = calling(&url, certificate.trusted()).await;
    let path = world.path("/");
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut client = world.raw(&head).await;
    client.write_all(b"5\r\nhello\r\n").await.unwrap();
    eventually("the app to be called", || {
        (app.accepted() == 1).then_some(())
    })
    .await;
    drop(client);
    let (received, end) = timeout(SOON, ended.recv()).await.unwrap().unwrap();
    assert!(end.is_err(), "{}", String::from_utf8_lossy(&received));
}

/// Switches protocols, reads to the end, and then answers with the number of bytes and ends.
async fn count_after_switch(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let answer =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: count\r\n\r\n";
    let _ = stream.write_all(answer).await;
    let _ = stream.flush().await;
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    let count = received.len().to_string();
    let _ = stream.write_all(count.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Sends bytes after a switch of protocols, ends that direction, and reads the count of the app.
async fn half_close(world: &World) -> String {
    let path = world.path("/");
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: count\r\n\r\n");
    let mut client = world.raw(&head).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    client.write_all(&[0; 300_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    let read = timeout(SOON, client.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn each_direction_ends_alone_over_tls() {
    let certificate = Certificate::new(IsCa::NoCa);
    let app = certificate.app(count_after_switch).await;
    let url = format!("https://localhost:{}", app.address().port());
    let world = calling(&url, certificate.trusted()).await;
    let answer = half_close(&world).await;
    assert_eq!(answer, "300000");
}

pub(crate) async fn forwarder(world: &World) -> Forwarder {
    let to = Target {
        node: world.node(),
        port: OFFERED,
        key: None,
    };
    let routes: Arc<dyn Routes> = Arc::clone(&world.known) as _;
    let local = ([127, 0, 0, 1], 0).into();
    let started = Forwarder::start(local, to, world.relay_network.clone(), routes).await;
    started.unwrap()
}

#[tokio::test]
async fn a_forward_to_an_https_app_carries_the_clients_own_tls() {
    let certificate = Certificate::new(IsCa::NoCa);
    let app = certificate.app(name_tls).await;
    let url = format!("https://localhost:{}", app.address().port());
    // The edge does not trust the certificate: that is the client's choice.
    let world = calling(&url, Trust::default()).await;
    let forwarder = forwarder(&world).await;
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(&certificate.file).unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    roots.add(der).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(forwarder.address()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = timeout(SOON, connector.connect(name, stream))
        .await
        .unwrap()
        .unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with("\r\n\r\nlocalhost "), "{answer}");
}

#[cfg(unix)]
mod unix {
    use tokio::net::UnixListener;

    use super::*;

    fn url(folder: &tempfile::TempDir) -> String {
        format!("unix:{}", folder.path().join("app.sock").display())
    }

    fn listen(folder: &tempfile::TempDir) -> UnixListener {
        UnixListener::bind(folder.path().join("app.sock")).unwrap()
    }

    #[tokio::test]
    async fn an_app_at_a_unix_socket_is_called_by_http_and_by_forward() {
        let folder = tempfile::tempdir().unwrap();
        let app = listen(&folder);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = app.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                    let _ = stream.write_all(answer).await;
                    let _ = stream.read(&mut [0; 1]).await;
                });
            }
        });
        let world = calling(&url(&folder), Trust::default()).await;
        assert_eq!(text(world.get("/").await).await, "hello");
        let forwarder = forwarder(&world).await;
        let mut stream = TcpStream::connect(forwarder.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn each_direction_ends_alone_by_a_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let app = listen(&folder);
        tokio::spawn(async move {
            while let Ok((stream, _)) = app.accept().await {
                tokio::spawn(count_after_switch(stream));
            }
        });
        let world = calling(&url(&folder), Trust::default()).await;
        let answer = half_close(&world).await;
        assert_eq!(answer, "300000");
    }

    #[tokio::test]
    async fn a_missing_socket_is_a_502_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let world = calling(&url(&folder), Trust::default()).await;
        let problem = problem(world.get("/").await, 502, "app-unreachable", "app").await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(&url(&folder)), "{detail}");
    }

    #[tokio::test]
    async fn a_call_waits_while_the_queue_of_the_socket_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let app = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        app.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        app.listen(0).unwrap();
        // A queue of length 0 holds one connection.
        let first = tokio::net::UnixStream::connect(&path).await.unwrap();
        let full = tokio::net::UnixStream::connect(&path).await;
        if !cfg!(target_os = "linux") {
            return;
        }
        assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let world = calling(&url(&folder), Trust::default()).await;
        let call = world.get("/");
        let mut call = std::pin::pin!(call);
        let early = timeout(Duration::from_millis(300), &mut call).await;
        assert!(early.is_err(), "the call waits");
        drop(first);
        app.set_nonblocking(true).unwrap();
        let app = UnixListener::from_std(std::os::unix::net::UnixListener::from(
            std::os::fd::OwnedFd::from(app),
        ))
        .unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = app.accept().await {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        assert_eq!(text(call.await).await, "ok");
    }
}

#[tokio::test]
async fn an_app_at_another_port_of_this_machine_is_called() {
    let app = RawApp::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let url = format!("http://localhost:{}", app.address().port());
    let world = calling(&url, Trust::default()).await;
    assert_eq!(text(world.get("/").await).await, "ok");
    // The app's own port is not offered.
    let path = format!("/edge/{}/{}/", world.node(), app.address().port());
    let request = hyper::Request::get(path).header("host", "x");
    let response = world.send(request.body(none()).unwrap()).await;
    problem(response, 403, "port-not-allowed", "edge").await;
}

//! TLS and trusted proxies: the app learns the true client and the true scheme.

use std::process::Output;

use peerwork_listener::{Proxies, TlsFiles};
use tempfile::TempDir;
use tokio::process::Command;

use crate::world::{World, none, text};

/// Writes a self-signed certificate for `localhost`.
pub(crate) fn certificate(folder: &TempDir) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

async fn curl(world: &World, folder: &TempDir, scheme: &str, more: &[&str]) -> Output {
    let (port, path) = (world.address().port(), world.path("/headers"));
    Command::new("curl")
        .args(["-sS", "-4", "--max-time", "20", "--cacert"])
        .arg(folder.path().join("cert.pem"))
        .args(["-w", "curl-http: %{http_version}\n"])
        .args(more)
        .arg(format!("{scheme}://localhost:{port}{path}"))
        .output()
        .await
        .expect("curl is installed by cargo xtask test")
}

#[tokio::test]
async fn an_ingress_with_a_certificate_speaks_https_and_http_on_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(&folder);
    let world = World::with(|setup| setup.ingress.http.preamble.tls = Some(files)).await;
    for (scheme, flag, version) in [
        ("https", "--http2", "2"),
        ("https", "--http1.1", "1.1"),
        ("http", "--http1.1", "1.1"),
    ] {
        let output = curl(&world, &folder, scheme, &[flag]).await;
        let body = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for line in [
            format!("x-forwarded-proto: {scheme}\n"),
            "x-forwarded-for: 127.0.0.1\n".to_owned(),
            format!("curl-http: {version}\n"),
        ] {
            assert!(body.contains(&line), "{flag} {line} in {body}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = peerwork_tunnel::ingress::Config::new(
        ([127, 0, 0, 1], 0).into(),
        peerwork_tunnel::ingress::About::default(),
    );
    let missing = folder.path().join("missing.pem");
    config.http.preamble.tls = Some(TlsFiles {
        certificate: missing.clone(),
        key: missing,
    });
    let network = crate::world::network().await;
    let routes = std::sync::Arc::new(crate::world::Known::default());
    let mut registry = prometheus_client::registry::Registry::default();
    let started = peerwork_tunnel::Ingress::start(config, network, routes, &mut registry).await;
    let error = std::error::Error::source(&started.unwrap_err())
        .unwrap()
        .to_string();
    assert!(error.contains("missing.pem"), "{error}");
}

/// The forwarding headers that the app received, in the order of their names.
async fn forwarding(world: &World, headers: &[(&str, &str)]) -> String {
    let mut request = world.request("GET", "/headers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = text(world.send(request.body(none()).unwrap()).await).await;
    let lines = body
        .lines()
        .filter(|line| line.starts_with("forwarded:") || line.starts_with("x-forwarded-"));
    let mut lines: Vec<_> = lines
        .filter(|line| !line.starts_with("x-forwarded-prefix"))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn expected(client: &str, scheme: &str) -> String {
    format!(
        "forwarded: for={client};host=\"relay.test:50005\";proto={scheme}\n\
         x-forwarded-for: {client}\nx-forwarded-host: relay.test:50005\n\
         x-forwarded-proto: {scheme}"
    )
}

#[tokio::test]
async fn an_app_learns_the_client_and_the_scheme_that_a_trusted_proxy_names() {
    let trusting = World::with(|setup| {
        setup.ingress.http.preamble.proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
    })
    .await;
    let direct = World::start().await;
    let x = [
        ("x-forwarded-for", "198.51.100.1, 192.0.2.5"),
        ("x-forwarded-proto", "https"),
    ];
    let standard = [("forwarded", "for=192.0.2.6;proto=https")];
    let received = expected("192.0.2.5", "https");
    assert_eq!(forwarding(&trusting, &x).await, received);
    let received = expected("192.0.2.6", "https");
    assert_eq!(forwarding(&trusting, &standard).await, received);
    let own = expected("127.0.0.1", "http");
    assert_eq!(forwarding(&trusting, &[]).await, own);
    assert_eq!(forwarding(&direct, &x).await, own);
    assert_eq!(forwarding(&direct, &standard).await, own);
}

//! These tests use the PROXY protocol, forwarding headers and TLS, with curl among the clients.

use std::{path::PathBuf, process::Output};

use peerwork_listener::{Config, Proxies, TlsFiles, Wire};
use tempfile::TempDir;
use tokio::process::Command;

use crate::port::{Port, get};

/// A certificate for localhost, in a temporary directory.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path(),
            key: self.folder.path().join("key.pem"),
        }
    }

    async fn curl(&self, port: &Port, scheme: &str, more: &[&str]) -> Output {
        Command::new("curl")
            .args(["-sS", "-4", "--max-time", "20", "--cacert"])
            .arg(self.path())
            .args(more)
            .arg(format!("{scheme}://localhost:{}/", port.address.port()))
            .output()
            .await
            .expect("curl is installed by cargo xtask test")
    }
}

fn trust(config: &mut Config) {
    config.preamble.proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap()]);
}

fn text(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

#[tokio::test]
async fn curl_gets_the_version_of_http_that_the_port_speaks() {
    let certificate = Certificate::new();
    let tls = Some(certificate.files());
    for (wire, scheme, flag, version) in [
        (Wire::Both, "https", "--http2", "HTTP/2.0"),
        (Wire::Both, "https", "--http1.1", "HTTP/1.1"),
        (Wire::Both, "http", "--http1.1", "HTTP/1.1"),
        (Wire::Both, "http", "--http2-prior-knowledge", "HTTP/2.0"),
        (Wire::Http1, "https", "--http2", "HTTP/1.1"),
        (Wire::Http1, "http", "--http1.1", "HTTP/1.1"),
    ] {
        let port = Port::start(wire, |config| config.preamble.tls = tls.clone()).await;
        let output = certificate.curl(&port, scheme, &[flag]).await;
        let expected = format!("127.0.0.1 {scheme} {version}");
        assert_eq!(text(&output), expected, "{wire:?} {flag}");
    }
}

#[tokio::test]
async fn curl_speaks_the_proxy_protocol_before_plain_and_encrypted_http() {
    let certificate = Certificate::new();
    let port = Port::start(Wire::Both, |config| {
        trust(config);
        config.preamble.proxy_protocol = true;
        config.preamble.tls = Some(certificate.files());
    })
    .await;
    for (scheme, version) in [("https", "HTTP/2.0"), ("http", "HTTP/1.1")] {
        let output = certificate
            .curl(&port, scheme, &["--haproxy-protocol"])
            .await;
        assert_eq!(text(&output), format!("127.0.0.1 {scheme} {version}"));
    }
    let without = certificate.curl(&port, "http", &[]).await;
    assert!(!without.status.success(), "a header is demanded of proxies");
}

#[tokio::test]
async fn curl_refuses_a_certificate_that_it_does_not_know() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let port = Port::start(Wire::Both, |config| {
        config.preamble.tls = Some(certificate.files());
    })
    .await;
    assert!(!other.curl(&port, "https", &[]).await.status.success());
    assert!(certificate.curl(&port, "https", &[]).await.status.success());
}

#[tokio::test]
async fn only_trusted_proxies_name_clients_and_schemes() {
    let trusting = Port::start(Wire::Both, trust).await;
    let direct = Port::start(Wire::Both, |_| ()).await;
    let x = [
        ("x-forwarded-for", "192.0.2.5"),
        ("x-forwarded-proto", "https"),
    ];
    let standard = [("forwarded", "for=\"[2001:db8::5]:7\";proto=https")];
    let own = "127.0.0.1 http HTTP/1.1";
    assert_eq!(get(trusting.address, &x).await, "192.0.2.5 https HTTP/1.1");
    let v6 = get(trusting.address, &standard).await;
    assert_eq!(v6, "2001:db8::5 https HTTP/1.1");
    assert_eq!(get(trusting.address, &[]).await, own);
    assert_eq!(get(direct.address, &x).await, own);
    assert_eq!(get(direct.address, &standard).await, own);
}

#[tokio::test]
async fn the_client_of_a_proxy_header_is_no_proxy() {
    let port = Port::start(Wire::Both, |config| {
        trust(config);
        config.preamble.proxy_protocol = true;
    })
    .await;
    let request = "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\nGET / HTTP/1.1\r\nhost: x\r\n\
                x-forwarded-for: 198.51.100.1\r\nconnection: close\r\n\r\n";
    let answer = port.all(request).await;
    assert!(answer.contains("192.0.2.1 http HTTP/1.1"), "{answer}");
}

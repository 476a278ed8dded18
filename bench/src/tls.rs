//! TLS 1.3 between two proxies, with the libraries and the cryptography provider of the product.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Context as _;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

const NAME: &str = "localhost";

/// Writes a fresh certificate and its key into `folder`.
pub(crate) fn write_certificate(folder: &Path) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    std::fs::write(certificate_file(folder), made.cert.der())?;
    std::fs::write(key_file(folder), made.signing_key.serialize_der())?;
    Ok(())
}

/// The side that shows the certificate in `folder`.
pub(crate) fn acceptor(folder: &Path) -> anyhow::Result<TlsAcceptor> {
    let key = std::fs::read(key_file(folder)).context("reading the key")?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate(folder)?],
            PrivatePkcs8KeyDer::from(key).into(),
        )?;
    Ok(Arc::new(config).into())
}

/// The side that trusts only the certificate in `folder`.
pub(crate) fn connector(folder: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(folder)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// Connects to `address` and makes the handshake.
pub(crate) async fn connect(connector: TlsConnector, address: String) -> io::Result<Encrypted> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    let stream = connector.connect(name, socket).await?;
    Ok(Encrypted(TokioIo::new(stream)))
}

fn certificate(folder: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let bytes = std::fs::read(certificate_file(folder)).context("reading the certificate")?;
    Ok(bytes.into())
}

fn certificate_file(folder: &Path) -> PathBuf {
    folder.join("proxy-certificate.der")
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("proxy-key.der")
}

/// An encrypted connection in the form that hyper's pool of connections takes.
pub(crate) struct Encrypted(TokioIo<TlsStream<TcpStream>>);

impl Connection for Encrypted {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }
}

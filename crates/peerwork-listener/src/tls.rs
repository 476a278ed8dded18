//! `Certificates` holds the TLS certificate of a port and reads it again when its files change.

use std::{fs, path::Path, sync::Arc, time::Duration, time::SystemTime};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use crate::{TlsFiles, Wire};

/// The pause between checks whether the files have changed.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The modification times, lengths and inodes of both files, by which a replaced file is noticed. Some
/// systems give all files the same time.
type Stamp = [(Option<SystemTime>, u64, u64); 2];

/// The certificate in use, with the files that it was read from.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: TlsFiles,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    stamp: Stamp,
}

/// The reasons why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificate chain cannot be read, or is not PEM.
    #[error("the certificate {path} cannot be read: {source}")]
    Certificate {
        /// The path of the file.
        path: String,
        /// The error of the PEM reader.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("{0} holds no certificate")]
    Empty(String),
    /// The key cannot be read, or is not PEM.
    #[error("the key {path} cannot be read: {source}")]
    Key {
        /// The path of the file.
        path: String,
        /// The error of the PEM reader.
        source: rustls::pki_types::pem::Error,
    },
    /// The key does not match the certificate, or is of an unknown kind.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The task that reads the files panicked or could not start.
    #[error("reading a certificate: {0}")]
    Reading(#[from] tokio::task::JoinError),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok();
        let modified = metadata.as_ref().and_then(|m| m.modified().ok());
        let inode = metadata.as_ref().map_or(0, inode);
        (modified, metadata.map_or(0, |m| m.len()), inode)
    })
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

/// Other systems have no inodes.
#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

fn read(files: &TlsFiles) -> Result<Current, CertificateError> {
    // The stamp is taken before the files are read, so that a change during the reading is noticed
    // at the next check.
    let stamp = stamp(files);
    let text = |path: &Path| path.display().to_string();
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| CertificateError::Certificate {
            path: text(&files.certificate),
            source,
        })?;
    if chain.is_empty() {
        return Err(CertificateError::Empty(text(&files.certificate)));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| CertificateError::Key {
        path: text(&files.key),
        source,
    })?;
    let key = Arc::new(CertifiedKey::from_der(chain, key, &provider())?);
    Ok(Current { key, stamp })
}

impl Certificates {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// [`CertificateError`] when the files cannot be read or do not match each other.
    pub(crate) async fn load(files: TlsFiles) -> Result<Arc<Self>, CertificateError> {
        let reading = files.clone();
        let read = tokio::task::spawn_blocking(move || read(&reading)).await?;
        let current = RwLock::new(read?);
        Ok(Arc::new(Self { files, current }))
    }

    /// An acceptor for TLS 1.2 and 1.3; each handshake uses the certificate that is current then.
    pub(crate) fn acceptor(self: &Arc<Self>, wire: Wire) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("invariant: the provider has what TLS 1.2 and 1.3 need")
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = wire.alpn();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Checks the files at intervals. Files that cannot be read do not replace the certificate in
    /// use.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let checking = self.clone();
            // A panic in the check is ignored, and the next interval checks again.
            let _ = tokio::task::spawn_blocking(move || checking.check()).await;
        }
    }

    fn check(&self) {
        let now = stamp(&self.files);
        if self.current.read().stamp == now {
            return;
        }
        match read(&self.files) {
            Ok(current) => {
                *self.current.write() = current;
                tracing::info!(certificate = %self.files.certificate.display(), "read again");
            }
            Err(error) => {
                tracing::warn!(%error, "the former certificate stays in use");
                self.current.write().stamp = now;
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().key))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Writes a self-signed certificate and its key, and returns the certificate as DER.
    fn write(files: &TlsFiles) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn current(certificates: &Certificates) -> Vec<u8> {
        certificates.current.read().key.cert[0].to_vec()
    }

    #[tokio::test]
    async fn a_replaced_certificate_comes_into_use_and_a_broken_file_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        assert!(Certificates::load(files.clone()).await.is_err());
        let first = write(&files);
        let certificates = Certificates::load(files.clone()).await.unwrap();
        assert_eq!(current(&certificates), first);
        fs::write(&files.certificate, "nothing").unwrap();
        certificates.check();
        assert_eq!(current(&certificates), first);
        let second = write(&files);
        certificates.check();
        assert_eq!(current(&certificates), second);
        assert_ne!(first, second);
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_of_the_same_length_and_time_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        let write = |path: &Path, content: &str| {
            fs::write(path, content).unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        };
        write(&files.certificate, "one");
        write(&files.key, "key");
        let before = stamp(&files);
        assert_eq!(stamp(&files), before);
        let renewed = folder.path().join("renewed");
        write(&renewed, "two");
        fs::rename(&renewed, &files.certificate).unwrap();
        assert_ne!(stamp(&files), before);
    }
}

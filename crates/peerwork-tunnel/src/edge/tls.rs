//! TLS from the edge to apps: which certificates are trusted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio_rustls::TlsConnector;

/// The certificates that an edge trusts of apps that speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system's certificate authorities, and those in the file, or issued by a certificate
    /// in it (PEM).
    Authorities(Option<PathBuf>),
    /// Any certificate: whichever program listens at the app's address gets the calls.
    Unverified,
}

impl Trust {
    /// Reads the certificates, and forgets them again.
    ///
    /// # Errors
    /// A text that names the file that cannot be used, and why.
    pub fn check(&self) -> Result<(), String> {
        connector(self).map(drop)
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::Authorities(None)
    }
}

/// Makes the TLS client of an edge. It offers HTTP/1.1 alone: an app that prefers HTTP/2 answers in
/// HTTP/1.1 then.
///
/// # Errors
/// A text that names the file that cannot be used, and why.
pub(super) fn connector(trust: &Trust) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Unverified => Arc::new(Unverified(Arc::clone(&provider))),
        Trust::Authorities(file) => Arc::new(Verified::new(file.as_deref(), &provider)?),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("invariant: the provider has what TLS 1.2 and 1.3 need")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Trusts the system's certificate authorities, and the certificates of a file.
#[derive(Debug)]
struct Verified {
    inner: Arc<WebPkiServerVerifier>,
    /// The certificates of the file. An app may present such a certificate itself, also where it is
    /// marked as an authority's, as those that `openssl req -x509` makes are.
    named: Vec<CertificateDer<'static>>,
}

impl Verified {
    fn new(file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::debug!(%error, "some certificates of the system cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        let named = file.map(read).transpose()?.unwrap_or_default();
        for certificate in &named {
            roots.add(certificate.clone()).map_err(|error| {
                let file = file.unwrap_or(Path::new("")).display();
                format!("{file} holds a certificate that cannot be used: {error}")
            })?;
        }
        let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
        let inner = inner.build().map_err(|_| {
            "this system has no certificate authorities: name a file with those of the apps"
                .to_owned()
        })?;
        Ok(Self { inner, named })
    }
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let at = file.display();
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{at} cannot be read: {error}"))?;
    match certificates.is_empty() {
        true => Err(format!("{at} holds no certificate (PEM)")),
        false => Ok(certificates),
    }
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The other kinds of errors, such as a wrong name or a past date, have names of their own.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.named.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Accepts every certificate. The app still proves that it has the certificate's key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! A certificate that signs itself, with its private key.

use std::fmt;

use dimpl::DtlsCertificate;
use multiaddr::{Multiaddr, Protocol as Part, multihash::Multihash};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

/// The multihash code of SHA-256.
const SHA2_256: u64 = 0x12;

/// There is no certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate could not be made.
    #[error("making a certificate: {0}")]
    Make(String),
    /// The certificate's block is missing or damaged.
    #[error("no certificate in PEM form: {0}")]
    Certificate(String),
    /// The key's block is missing or damaged, or the key is of another kind than ECDSA.
    #[error("no private key of ECDSA in PEM form: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("the private key is not that of the certificate")]
    Mismatch,
}

/// The certificate of WebRTC-direct listeners, with its private key.
#[derive(Clone)]
pub struct Certificate {
    dtls: DtlsCertificate,
    pem: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.hash()).finish()
    }
}

impl Certificate {
    /// Makes a certificate on the curve P-256, which all browsers take. The certificate never expires
    /// in practice: other nodes check its hash, which has to stay the same.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |error: rcgen::Error| CertificateError::Make(error.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        // The certificate names nothing of this machine.
        params.distinguished_name = DistinguishedName::new();
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            dtls: DtlsCertificate {
                certificate: certificate.der().to_vec(),
                private_key: key.serialize_der(),
            },
            pem: certificate.pem() + &key.serialize_pem(),
        })
    }

    /// Reads the text that [`pem`](Self::pem) gave, or any other ECDSA certificate with its key in
    /// PKCS#8.
    ///
    /// # Errors
    /// [`CertificateError`] says which part is wrong.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| CertificateError::Certificate(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| CertificateError::Key(error.to_string()))?;
        let pair =
            KeyPair::try_from(&key).map_err(|error| CertificateError::Key(error.to_string()))?;
        if !pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256)
            && !pair.is_compatible(&rcgen::PKCS_ECDSA_P384_SHA384)
        {
            return Err(CertificateError::Key("it is of another kind".to_owned()));
        }
        // The certificate holds the key that it is for, byte for byte.
        let public = pair.der_bytes();
        let mut parts = certificate.windows(public.len());
        if !parts.any(|part| part == public) {
            return Err(CertificateError::Mismatch);
        }
        Ok(Self {
            dtls: DtlsCertificate {
                certificate: certificate.to_vec(),
                private_key: key.secret_pkcs8_der().to_vec(),
            },
            pem: pem.to_owned(),
        })
    }

    /// The certificate and its private key in PEM form: a secret.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A WebRTC-direct address with this certificate's hash, where it has none; any other address
    /// as it is.
    #[must_use]
    pub fn in_address(&self, address: &Multiaddr) -> Multiaddr {
        let hashed = address.iter().any(|part| matches!(part, Part::Certhash(_)));
        let hash = |part: &Part<'_>| {
            let here = *part == Part::WebRTCDirect && !hashed;
            here.then(|| Part::Certhash(self.hash()))
        };
        let parts = address.iter().flat_map(|part| {
            let hash = hash(&part);
            std::iter::once(part).chain(hash)
        });
        parts.collect()
    }

    pub(crate) fn dtls(&self) -> DtlsCertificate {
        self.dtls.clone()
    }

    pub(crate) fn hash(&self) -> Multihash<64> {
        hash(&self.dtls.certificate)
    }
}

/// SHA-256 of a certificate, as addresses and handshakes name it.
pub(crate) fn hash(certificate: &[u8]) -> Multihash<64> {
    let digest = Sha256::digest(certificate);
    Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit into 64")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_certificate_is_the_same_after_it_was_written_and_read() {
        let made = Certificate::generate().unwrap();
        let read = Certificate::from_pem(made.pem()).unwrap();
        assert_eq!(made.hash(), read.hash());
        assert_eq!(made.dtls.private_key, read.dtls.private_key);
        assert_ne!(made.hash(), Certificate::generate().unwrap().hash());
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_damaged_text_is_refused_wherever_it_ends() {
        let made = Certificate::generate().unwrap();
        let pem = made.pem();
        let end = pem.trim_end().len();
        for cut in 0..end {
            assert!(Certificate::from_pem(&pem[..cut]).is_err(), "{cut}");
        }
        let other = Certificate::generate().unwrap();
        let at = |pem: &str| pem.find("-----BEGIN PRIVATE").unwrap();
        let mixed = pem[..at(pem)].to_owned() + &other.pem()[at(other.pem())..];
        let mixed = Certificate::from_pem(&mixed);
        assert_eq!(mixed.unwrap_err(), CertificateError::Mismatch);
    }

    #[test]
    fn an_address_gets_the_hash_once() {
        let certificate = Certificate::generate().unwrap();
        let bare: Multiaddr = "/dns4/relay.example/udp/9092/webrtc-direct"
            .parse()
            .unwrap();
        let hashed = certificate.in_address(&bare);
        let expected = bare.with(Part::Certhash(certificate.hash()));
        assert_eq!(hashed, expected);
        assert_eq!(certificate.in_address(&hashed), hashed);
        let other: Multiaddr = "/ip4/192.0.2.1/tcp/1/ws".parse().unwrap();
        assert_eq!(certificate.in_address(&other), other);
    }
}

//! WebRTC-direct addresses, `/ip4/…/udp/…/webrtc-direct/certhash/…`, and the certificate whose hash
//! they carry.
//!
//! Browsers dial such an address without a certificate of an authority: they compare the listener's
//! certificate with the hash. So the certificate has to be kept for as long as other nodes may remember
//! the address.

#[cfg(feature = "webrtc")]
mod certificate;

use multiaddr::{Multiaddr, Protocol as Part};

#[cfg(feature = "webrtc")]
pub(crate) use certificate::hash;
#[cfg(feature = "webrtc")]
pub use certificate::{Certificate, CertificateError};

/// Whether an address is one of WebRTC-direct, with or without a hash.
#[must_use]
pub fn is_direct(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Part::WebRTCDirect)
}

//! WebRTC-direct addresses, `/ip4/…/udp/…/webrtc-direct/certhash/…`, and the certificate whose hash they
//! carry.
//!
//! Pages dial such an address without a certificate that an authority signed: the hash tells them
//! whom to expect. So the certificate has to be kept for as long as somebody may know the address.

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

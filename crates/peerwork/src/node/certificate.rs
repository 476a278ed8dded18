//! The certificate of WebRTC-direct listeners. The data directory keeps it, because its hash is part of
//! the addresses that other nodes know.

use super::error::StartError;
use crate::{Config, data_dir::DataDir};

/// Sets the certificate of `config.net` where an address listens by WebRTC-direct, and adds its hash to
/// announced addresses that have no hash.
#[cfg(feature = "webrtc")]
pub(super) fn provide(config: &mut Config, data_dir: Option<&DataDir>) -> Result<(), StartError> {
    use peerwork_net::webrtc::{self, Certificate};

    let net = &mut config.net;
    if !net.listen.iter().any(webrtc::is_direct) {
        return Ok(());
    }
    let certificate = match data_dir {
        Some(data_dir) => data_dir.certificate()?,
        None => Certificate::generate().map_err(StartError::Certificate)?,
    };
    for address in &mut net.announce {
        *address = certificate.in_address(address);
    }
    net.certificate = Some(certificate);
    Ok(())
}

/// Does nothing without the feature `webrtc`: the network refuses WebRTC-direct listeners.
#[cfg(not(feature = "webrtc"))]
#[expect(clippy::unnecessary_wraps, reason = "the form of the other variant")]
pub(super) fn provide(_: &mut Config, _: Option<&DataDir>) -> Result<(), StartError> {
    Ok(())
}

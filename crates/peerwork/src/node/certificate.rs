//! The certificate that WebRTC-direct listeners show: kept in the data directory, because its hash is in
//! the addresses that others know.

use super::StartError;
use crate::{Config, data_dir::DataDir};

/// The certificate, where one is needed.
#[derive(Default)]
pub(super) struct Shown {
    #[cfg(feature = "webrtc")]
    certificate: Option<peerwork_net::webrtc::Certificate>,
}

#[cfg(feature = "webrtc")]
impl Shown {
    /// The certificate of a node that listens so; addresses to announce get its hash where they
    /// have none.
    pub(super) fn find(
        config: &mut Config,
        data_dir: Option<&DataDir>,
    ) -> Result<Self, StartError> {
        use peerwork_net::webrtc::{self, Certificate};

        let p2p = &mut config.p2p;
        if !p2p.listen.iter().any(webrtc::is_direct) {
            return Ok(Self::default());
        }
        let certificate = match data_dir {
            Some(data_dir) => data_dir.certificate()?,
            None => Certificate::generate().map_err(StartError::Certificate)?,
        };
        for address in &mut p2p.announce {
            *address = certificate.in_address(address);
        }
        let certificate = Some(certificate);
        Ok(Self { certificate })
    }

    pub(super) fn give(self, net: &mut peerwork_net::Config) {
        net.certificate = self.certificate;
    }
}

#[cfg(not(feature = "webrtc"))]
impl Shown {
    /// Nothing: the network refuses such listeners.
    pub(super) fn find(_: &mut Config, _: Option<&DataDir>) -> Result<Self, StartError> {
        Ok(Self::default())
    }

    pub(super) fn give(self, _: &mut peerwork_net::Config) {}
}

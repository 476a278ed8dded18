//! The flags for TLS and trusted proxies of an HTTP port. `peerwork relay` has them for its port for
//! browsers, `peerwork server` for `--trans-proxy`, `peerwork node` for `--relay-ingress`.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use peerwork_listener::{Preamble, Proxies, TlsFiles};

use super::values::network;

/// TLS and trusted proxies.
#[derive(Args, Debug, Clone)]
pub(crate) struct PreambleFlags {
    /// The certificate of the port (PEM, with its chain), for TLS beside plain HTTP on the same port; the
    /// file is read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A reverse proxy that is trusted to name its clients' addresses: an IP address, or a network
    /// such as 10.0.0.0/8 (repeatable)
    #[arg(long, value_name = "IP", value_parser = network)]
    pub(crate) trusted_proxy: Vec<IpNet>,
    /// The trusted proxies begin each connection with the PROXY protocol (version 1 or 2)
    #[arg(long)]
    pub(crate) proxy_protocol: bool,
}

impl PreambleFlags {
    /// Turns the flags into the settings of a listener. A flag that needs another is reported in
    /// `mistakes` and not by clap, which sees one source of settings at a time.
    pub(crate) fn preamble(&self, mistakes: &mut Vec<String>) -> Preamble {
        self.preamble_of("", mistakes)
    }

    /// As [`PreambleFlags::preamble`], for flags whose names begin with a role, as in
    /// `--relay-tls-cert`.
    pub(crate) fn preamble_of(&self, role: &str, mistakes: &mut Vec<String>) -> Preamble {
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => {
                mistakes.push(format!("--{role}tls-cert needs --{role}tls-key, its key"));
            }
            (None, Some(_)) => {
                mistakes.push(format!("--{role}tls-key needs --{role}tls-cert"));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if self.proxy_protocol && self.trusted_proxy.is_empty() {
            mistakes.push(format!(
                "--{role}proxy-protocol needs --{role}trusted-proxy: only a named proxy is believed"
            ));
        }
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        Preamble {
            tls: files.map(|(certificate, key)| TlsFiles { certificate, key }),
            proxies: Proxies::new(self.trusted_proxy.clone()),
            proxy_protocol: self.proxy_protocol,
        }
    }
}

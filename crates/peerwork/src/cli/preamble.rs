//! The flags for TLS and trusted proxies of an HTTP port. `peerwork relay` has them for its port for
//! browsers, `peerwork server` for `--trans-proxy`.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use peerwork_listener::{Preamble, Proxies, TlsFiles};

use super::values::network;

/// TLS and trusted proxies.
#[derive(Args, Debug, Clone)]
pub(crate) struct PreambleFlags {
    /// A certificate (PEM, with its chain): the port then speaks TLS too, beside plain HTTP; the file is
    /// read again when it changes
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
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => mistakes.push("--tls-cert needs --tls-key, its key".to_owned()),
            (None, Some(_)) => mistakes.push("--tls-key needs --tls-cert".to_owned()),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if self.proxy_protocol && self.trusted_proxy.is_empty() {
            let mistake = "--proxy-protocol needs --trusted-proxy: only a named proxy is believed";
            mistakes.push(mistake.to_owned());
        }
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        Preamble {
            tls: files.map(|(certificate, key)| TlsFiles { certificate, key }),
            proxies: Proxies::new(self.trusted_proxy.clone()),
            proxy_protocol: self.proxy_protocol,
        }
    }
}

//! The settings of the gateway to content: flags of `peerwork node` and `peerwork server`.

use clap::Args;
use peerwork::config::GatewayConfig;

use crate::cli::values::{Listen, dns_name};

/// The settings of the gateway to content.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Gateway to content")]
pub(crate) struct GatewayFlags {
    /// The address of a web gateway to content, such as 127.0.0.1:8480 for
    /// http://127.0.0.1:8480/ipfs/CID, or off
    #[arg(long, value_name = "HOST:PORT", default_value = "off")]
    pub(crate) gateway: Listen,
    /// A DNS name that the gateway answers to, beside its addresses and localhost (repeatable)
    #[arg(long, value_name = "NAME", value_parser = dns_name)]
    pub(crate) gateway_name: Vec<String>,
}

impl GatewayFlags {
    /// The settings of the node's gateway; `None` when it is off.
    pub(crate) fn config(&self) -> Option<GatewayConfig> {
        self.gateway.address().map(|at| GatewayConfig {
            names: self.gateway_name.clone(),
            ..GatewayConfig::new(at)
        })
    }
}

//! `peerwork genesis`: writes the network file that all nodes of a network share.

use std::path::PathBuf;

use clap::Args;
use peerwork_identity::{NetworkFile, NodeAddress};
use serde::Serialize;

use super::{
    command::{Call, Command},
    output::{Answer, section},
};

/// `peerwork genesis`
#[derive(Args, Debug)]
pub(crate) struct GenesisFlags {
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "./genesis.json")]
    dir: PathBuf,
    /// The network's name
    #[arg(long, value_name = "TEXT", default_value = "EdgeMatrixComputing")]
    name: String,
    /// The network's number: nodes with different numbers do not connect
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        allow_negative_numbers = true
    )]
    network_id: i64,
    /// The full address of a node that relays start from (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    bootnode: Vec<String>,
    /// The full address of a relay that edges start from (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    relaynode: Vec<String>,
}

#[derive(Serialize)]
struct Written {
    message: String,
}

impl Answer for Written {
    fn text(&self) -> String {
        section("GENESIS SUCCESS", &self.message)
    }
}

impl Command for GenesisFlags {
    const NAME: &'static str = "genesis";
    const ABOUT: &'static str = "Write the network file that the nodes of a network share";

    /// Fails when the file exists or cannot be written, or with all invalid addresses at once.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (_, form) = call.global()?;
        let mut mistakes = Vec::new();
        let file = NetworkFile {
            name: self.name,
            network_id: self.network_id,
            bootnodes: entry_points("--bootnode", &self.bootnode, &mut mistakes),
            relaynodes: entry_points("--relaynode", &self.relaynode, &mut mistakes),
            secrets: Vec::new(),
        };
        anyhow::ensure!(
            mistakes.is_empty(),
            "cannot write the network file: {}",
            mistakes.join("\n")
        );
        file.create_new(&self.dir)?;
        let message = format!("Genesis written to {}\n", self.dir.display());
        form.show(&Written { message })
    }
}

fn entry_points(flag: &str, addresses: &[String], mistakes: &mut Vec<String>) -> Vec<NodeAddress> {
    let mut entries = Vec::new();
    for address in addresses {
        match address.parse() {
            Ok(entry) => entries.push(entry),
            Err(error) => mistakes.push(format!("{flag} {address}: {error}")),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_forms_are_those_of_the_specification() {
        let written = Written {
            message: "Genesis written to x.json\n".into(),
        };
        assert_eq!(
            written.text(),
            "\n[GENESIS SUCCESS]\nGenesis written to x.json\n"
        );
        assert_eq!(
            serde_json::to_string(&written).unwrap(),
            r#"{"message":"Genesis written to x.json\n"}"#
        );
    }
}

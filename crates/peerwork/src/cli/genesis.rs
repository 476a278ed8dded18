//! `peerwork genesis`: writes the network file that all nodes of a network share.

use std::path::PathBuf;

use clap::Args;
use peerwork_identity::{NetworkFile, NetworkSecret, NodeAddress};
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
    /// The network's number: nodes with different numbers do not connect. Without it, a random one is
    /// taken and printed, so that two networks do not have the same
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    network_id: Option<i64>,
    /// Write a new secret into the file: only nodes that know it may take part in the network. Keep such
    /// a file as you keep keys
    #[arg(long)]
    secret: bool,
    /// The full address of a node that relays start from (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    bootnode: Vec<String>,
    /// The full address of a relay that edges start from (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    relaynode: Vec<String>,
}

/// The end of the range of random network ids: JavaScript and other readers of JSON keep whole numbers up
/// to 2^53 exactly.
const RANDOM_ID_END: i64 = 1 << 53;

#[derive(Serialize)]
struct Written {
    message: String,
    /// The random id of the network; none when the command named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    network_id: Option<i64>,
    /// Whether the file holds a new secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secret: bool,
}

impl Answer for Written {
    fn text(&self) -> String {
        let mut lines = self.message.clone();
        if let Some(id) = self.network_id {
            lines.push_str(&format!("Network id = {id}\n"));
        }
        if self.secret {
            lines.push_str("Secret     = in the file: every machine that has the file may join\n");
        }
        section("GENESIS SUCCESS", &lines)
    }
}

impl Command for GenesisFlags {
    const NAME: &'static str = "genesis";
    const ABOUT: &'static str = "Write the network file that the nodes of a network share";

    /// Fails when the file exists or cannot be written, or with all invalid addresses at once.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (_, form) = call.global()?;
        let mut mistakes = Vec::new();
        let secret = self.secret.then(NetworkSecret::generate);
        let random_id = match self.network_id {
            Some(_) => None,
            None => Some(rand::random_range(1..RANDOM_ID_END)),
        };
        let file = NetworkFile {
            name: self.name,
            network_id: self.network_id.or(random_id).unwrap_or_default(),
            bootnodes: entry_points("--bootnode", &self.bootnode, &mut mistakes),
            relaynodes: entry_points("--relaynode", &self.relaynode, &mut mistakes),
            secrets: secret.into_iter().collect(),
        };
        anyhow::ensure!(
            mistakes.is_empty(),
            "cannot write the network file: {}",
            mistakes.join("\n")
        );
        file.create_new(&self.dir)?;
        form.show(&Written {
            message: format!("Genesis written to {}\n", self.dir.display()),
            network_id: random_id,
            secret: self.secret,
        })
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
        let mut written = Written {
            message: "Genesis written to x.json\n".into(),
            network_id: None,
            secret: false,
        };
        assert_eq!(
            written.text(),
            "\n[GENESIS SUCCESS]\nGenesis written to x.json\n"
        );
        assert_eq!(
            serde_json::to_string(&written).unwrap(),
            r#"{"message":"Genesis written to x.json\n"}"#
        );
        (written.network_id, written.secret) = (Some(7), true);
        let text = written.text();
        assert!(
            text.contains("x.json\nNetwork id = 7\nSecret     = in the file"),
            "{text}"
        );
        assert_eq!(
            serde_json::to_string(&written).unwrap(),
            r#"{"message":"Genesis written to x.json\n","network_id":7,"secret":true}"#
        );
    }
}

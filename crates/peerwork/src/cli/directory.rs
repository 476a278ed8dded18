//! `peerwork directory …`: the nodes of the network, as the running node believes them.

use clap::{Args, Subcommand};
use peerwork_api::{
    directory::v1::{GetRequest, ListRequest, Node as Message, directory_client::DirectoryClient},
    operator::Connection,
};
use serde::Serialize;

use super::{
    command::{Call, Command},
    operator::{connection, refused},
    output::{Answer, Form, block, section},
    runtime::block_on,
    settings::Resolved,
};

/// `peerwork directory …`
#[derive(Args, Debug)]
pub(crate) struct DirectoryArgs {
    #[command(subcommand)]
    command: DirectoryCommand,
}

#[derive(Subcommand, Debug)]
enum DirectoryCommand {
    /// The nodes, in the order of their ids
    List {
        /// Only nodes with this role: relay, edge, peer or worker
        #[arg(long, value_name = "ROLE", default_value = "")]
        role: String,
        /// Only nodes that offer a service of this kind
        #[arg(long, value_name = "KIND", default_value = "")]
        offering: String,
        /// Nodes to list at most
        #[arg(long, value_name = "N", default_value_t = 100,
              value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only nodes behind this id: the last one of the list before
        #[arg(long, value_name = "NODE", default_value = "")]
        after: String,
    },
    /// One node
    Show {
        /// Its node id
        #[arg(value_name = "NODE")]
        node: String,
    },
}

impl Command for DirectoryArgs {
    const NAME: &'static str = "directory";
    const ABOUT: &'static str = "Ask the running node which nodes are in the network";

    fn describe(command: clap::Command) -> clap::Command {
        command.arg_required_else_help(true)
    }

    /// Fails when no node answers, or it refuses.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        block_on(run(self.command, &resolved, form))
    }
}

async fn run(command: DirectoryCommand, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let client = DirectoryClient::new(connection(resolved).await?);
    match command {
        DirectoryCommand::List {
            role,
            offering,
            limit,
            after,
        } => {
            let request = ListRequest {
                limit,
                after,
                role,
                offering,
            };
            form.show(&list(client, request).await?)
        }
        DirectoryCommand::Show { node } => form.show(&show(client, node).await?),
    }
}

/// A page of the directory.
#[derive(Serialize)]
struct List {
    total: u64,
    nodes: Vec<Node>,
}

/// A node, as it tells of itself.
#[derive(Serialize)]
struct Node {
    id: String,
    name: String,
    version: String,
    roles: Vec<String>,
    addresses: Vec<String>,
    relays: Vec<String>,
    ports: Vec<u32>,
    requires_key: bool,
    uptime_seconds: u64,
    offers: Vec<Offer>,
}

/// A service of a node; its body is for the service alone.
#[derive(Serialize)]
struct Offer {
    kind: String,
    version: u32,
    body_bytes: usize,
}

impl From<Message> for Node {
    fn from(message: Message) -> Self {
        let Message {
            id,
            name,
            version,
            roles,
            addresses,
            relays,
            ports,
            requires_key,
            uptime_seconds,
            offers,
        } = message;
        let offer = |offer: peerwork_api::directory::v1::Offer| Offer {
            kind: offer.kind,
            version: offer.version,
            body_bytes: offer.body.len(),
        };
        Self {
            id,
            name,
            version,
            roles,
            addresses,
            relays,
            ports,
            requires_key,
            uptime_seconds,
            offers: offers.into_iter().map(offer).collect(),
        }
    }
}

impl Node {
    fn ports(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
        ports.join(" ")
    }

    fn offers(&self) -> String {
        let kinds = self.offers.iter();
        let kinds: Vec<String> = kinds.map(|o| format!("{}/{}", o.kind, o.version)).collect();
        kinds.join(" ")
    }

    /// One line of the list; absent parts take no room.
    fn line(&self) -> String {
        let parts = [
            ("", self.id.clone()),
            ("", self.roles.join("+")),
            ("", self.name.clone()),
            ("ports ", self.ports()),
            ("offers ", self.offers()),
        ];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        let parts: Vec<String> = parts
            .map(|(word, value)| format!("{word}{value}"))
            .collect();
        parts.join("  ")
    }
}

impl Answer for List {
    fn text(&self) -> String {
        let mut lines: Vec<String> = self.nodes.iter().map(Node::line).collect();
        match self.nodes.last() {
            None => lines.push("No nodes found".to_owned()),
            Some(last) if (self.nodes.len() as u64) < self.total => lines.push(format!(
                "{} of {} nodes; the next ones: --after {}",
                self.nodes.len(),
                self.total,
                last.id
            )),
            Some(_) => {}
        }
        section("DIRECTORY", &lines.join("\n"))
    }
}

impl Answer for Node {
    fn text(&self) -> String {
        let rows = [
            ("ID", self.id.clone()),
            ("Name", self.name.clone()),
            ("Version", self.version.clone()),
            ("Roles", self.roles.join(" ")),
            ("Addresses", self.addresses.join(" ")),
            ("Relays", self.relays.join(" ")),
            ("Ports", self.ports()),
            (
                "Needs a key",
                if self.requires_key { "yes" } else { "no" }.to_owned(),
            ),
            ("Up for", format!("{} s", self.uptime_seconds)),
            ("Offers", self.offers()),
        ];
        block("NODE", &rows)
    }
}

async fn list(
    mut client: DirectoryClient<Connection>,
    request: ListRequest,
) -> anyhow::Result<List> {
    let answer = client.list(request).await;
    let page = answer.map_err(|status| refused(&status))?.into_inner();
    Ok(List {
        total: page.total,
        nodes: page.nodes.into_iter().map(Node::from).collect(),
    })
}

async fn show(mut client: DirectoryClient<Connection>, id: String) -> anyhow::Result<Node> {
    let answer = client.get(GetRequest { id }).await;
    let node = answer.map_err(|status| refused(&status))?.into_inner();
    Ok(Node::from(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str) -> Node {
        Node {
            id: id.to_owned(),
            name: "box".to_owned(),
            version: "v0.1.0".to_owned(),
            roles: vec!["relay".to_owned(), "edge".to_owned()],
            addresses: Vec::new(),
            relays: Vec::new(),
            ports: vec![9527, 80],
            requires_key: true,
            uptime_seconds: 5,
            offers: vec![Offer {
                kind: "store".to_owned(),
                version: 1,
                body_bytes: 3,
            }],
        }
    }

    #[test]
    fn a_list_that_goes_on_says_how() {
        let mut list = List {
            total: 3,
            nodes: vec![node("a"), node("b")],
        };
        let line = "relay+edge  box  ports 9527 80  offers store/1";
        let text = format!(
            "\n[DIRECTORY]\na  {line}\nb  {line}\n2 of 3 nodes; the next ones: --after b\n"
        );
        assert_eq!(list.text(), text);
        list.total = 2;
        assert!(!list.text().contains("--after"));
        list.nodes.clear();
        assert_eq!(list.text(), "\n[DIRECTORY]\nNo nodes found\n");
    }

    #[test]
    fn a_node_is_shown_with_all_it_tells() {
        let text = node("a").text();
        assert!(text.contains("Needs a key = yes"), "{text}");
        assert!(text.contains("Offers      = store/1"), "{text}");
    }
}

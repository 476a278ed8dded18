//! `peerwork network …`: shows a network file, and changes the secret of the network.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use peerwork_identity::{NetworkFile, NetworkSecret, network_file::SECRETS_MAX};
use serde::Serialize;

use super::{
    command::{Call, Command},
    files::flag,
    network_file,
    output::{Answer, Form, block, section},
    settings::Resolved,
};

/// `peerwork network …`
#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    #[command(subcommand)]
    command: NetworkCommand,
}

#[derive(Subcommand, Debug)]
enum NetworkCommand {
    /// Show the network of a network file, without its secrets
    Show(FileFlag),
    /// Put a new secret into a network file and keep the one before, so that nodes with either take part
    NewSecret(FileFlag),
    /// Remove the secret before the last new one from a network file, so that nodes without the new
    /// secret are refused
    DropSecret(FileFlag),
}

/// The network file of a command.
#[derive(Args, Debug)]
struct FileFlag {
    /// The network file [default: network.json of the data directory]
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
}

impl Command for NetworkArgs {
    const NAME: &'static str = "network";
    const ABOUT: &'static str = "Show a network file, or change the network's secret in it";

    fn describe(command: clap::Command) -> clap::Command {
        command.arg_required_else_help(true)
    }

    /// Fails when there is no network file, or it cannot be read or written.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        match self.command {
            NetworkCommand::Show(flag) => show(&flag, &resolved, form),
            NetworkCommand::NewSecret(flag) => new_secret(&flag, &resolved, form),
            NetworkCommand::DropSecret(flag) => drop_secret(&flag, &resolved, form),
        }
    }
}

/// The path of the network file and its contents.
fn load(flag: &FileFlag, resolved: &Resolved) -> anyhow::Result<(PathBuf, NetworkFile)> {
    let of_data_dir = || network_file::found_in(&resolved.data_dir);
    let Some(path) = flag.network.clone().or_else(of_data_dir) else {
        anyhow::bail!(
            "there is no {}: name a network file by --network, or the data directory of a node that has \
             one by --data-dir",
            network_file::path_in(&resolved.data_dir).display()
        );
    };
    let file = NetworkFile::load(&path)?;
    Ok((path, file))
}

fn show(flag: &FileFlag, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let (path, file) = load(flag, resolved)?;
    form.show(&Contents::of(&path, &file))
}

fn new_secret(flag: &FileFlag, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let (path, mut file) = load(flag, resolved)?;
    let former = file.secrets.len();
    file.secrets.insert(0, NetworkSecret::generate());
    file.secrets.truncate(SECRETS_MAX);
    file.replace(&path)?;
    form.show(&Changed::new_secret(&path, former, flag, resolved))
}

fn drop_secret(flag: &FileFlag, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let (path, mut file) = load(flag, resolved)?;
    anyhow::ensure!(
        file.secrets.len() > 1,
        "{} holds {}: only the one before a new secret is removed, which `peerwork network new-secret` \
         makes",
        path.display(),
        match file.secrets.len() {
            0 => "no secret",
            _ => "one secret",
        }
    );
    file.secrets.truncate(1);
    file.replace(&path)?;
    form.show(&Changed::drop_secret(&path))
}

/// The contents of a network file, without its secrets.
#[derive(Serialize)]
struct Contents {
    file: String,
    name: String,
    network_id: i64,
    bootnodes: Vec<String>,
    relaynodes: Vec<String>,
    secrets: usize,
}

impl Contents {
    fn of(path: &Path, file: &NetworkFile) -> Self {
        let texts = |entries: &[peerwork_identity::NodeAddress]| {
            entries.iter().map(ToString::to_string).collect()
        };
        Self {
            file: path.display().to_string(),
            name: file.name.clone(),
            network_id: file.network_id,
            bootnodes: texts(&file.bootnodes),
            relaynodes: texts(&file.relaynodes),
            secrets: file.secrets.len(),
        }
    }
}

impl Answer for Contents {
    fn text(&self) -> String {
        let mut rows = vec![
            ("File", self.file.clone()),
            ("Name", self.name.clone()),
            ("Network ID", self.network_id.to_string()),
        ];
        rows.extend(self.bootnodes.iter().map(|at| ("Bootnode", at.clone())));
        rows.extend(self.relaynodes.iter().map(|at| ("Relay", at.clone())));
        let secret = match self.secrets {
            0 => "none: every node that learns an address can join",
            1 => "one",
            _ => "two: the one in use, and the one before",
        };
        rows.push(("Secret", secret.to_owned()));
        block("NETWORK", &rows)
    }
}

/// A changed secret, with the next steps.
#[derive(Serialize)]
struct Changed {
    file: String,
    next: Vec<String>,
}

impl Changed {
    fn new_secret(path: &Path, former: usize, named: &FileFlag, resolved: &Resolved) -> Self {
        let of_file = match &named.network {
            Some(path) => format!(" {}", flag("--network", path)),
            None if resolved.data_dir_is_default => String::new(),
            None => format!(" {}", flag("--data-dir", &resolved.data_dir)),
        };
        let of_node = match &named.network {
            Some(_) => "",
            None => &of_file,
        };
        let mut next = vec![
            "nodes that run with this file take the secret within seconds, without a restart"
                .to_owned(),
            format!(
                "give it to each other node: `peerwork invite{of_node}` prints a ticket, and `peerwork join \
                 TICKET` takes it there, also while the node runs; or copy the file"
            ),
        ];
        if former == SECRETS_MAX {
            next.push(
                "the oldest of the three secrets is gone: nodes that know it alone are refused"
                    .to_owned(),
            );
        }
        next.push(match former {
            0 => "the network had no secret: nodes without this one are refused from now on".to_owned(),
            _ => format!(
                "when all nodes have it: `peerwork network drop-secret{of_file}` on each of them ends the \
                 secret before"
            ),
        });
        Self {
            file: path.display().to_string(),
            next,
        }
    }

    fn drop_secret(path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            next: vec![
                "nodes that run with this file refuse the former secret within seconds; tickets that carry \
                 it alone are dead"
                    .to_owned(),
                "do the same at each other node: until then, it lets nodes with the former secret in"
                    .to_owned(),
            ],
        }
    }
}

impl Answer for Changed {
    fn text(&self) -> String {
        let next = self.next.iter().map(|next| format!("\n- {next}"));
        let text = format!("{} was written.{}", self.file, next.collect::<String>());
        section("NETWORK SECRET", &text)
    }
}

//! `peerwork key …`: manages the bearer keys that callers of apps send.
//!
//! The data directory keeps only hashes of the keys, so a key's text is shown once, when it is made. A
//! running node reads the file again when it changes.

mod useless;

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use peerwork_identity::NodeId;
use peerwork_tunnel::{KeyStore, NewKey, StoredKey};
use serde::Serialize;

use super::{
    command::{Call, Command},
    output::{Answer, block, section, show_warning, table},
    runtime::block_on,
    values::duration,
};

/// The name of the key file in the data directory.
const FILE: &str = "keys.json";

/// `peerwork key …`
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

/// The subcommands of `peerwork key`.
#[derive(Subcommand, Debug)]
pub(crate) enum KeyCommand {
    /// Make a key and show it, once
    Create(CreateFlags),
    /// List the keys
    List,
    /// Revoke a key
    Revoke {
        /// The key's id, from `peerwork key list`
        id: String,
    },
}

/// `peerwork key create`
#[derive(Args, Debug)]
pub(crate) struct CreateFlags {
    /// A label, such as the name of the person that the key is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    /// The only node that may be called with it
    #[arg(long, value_name = "NODE")]
    node: Option<NodeId>,
    /// The only port that may be called with it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// How long the key is valid, as in 30d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Duration>,
}

impl Command for KeyArgs {
    const NAME: &'static str = "key";
    const ABOUT: &'static str = "Make, list and revoke the bearer keys that callers of apps send";

    fn describe(command: clap::Command) -> clap::Command {
        command.arg_required_else_help(true)
    }

    /// Changes or reads the data directory; no node has to run. A key that no node would ask for is a
    /// warning.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (resolved, form) = call.global()?;
        let file = resolved.data_dir.join(FILE);
        let store = KeyStore::open(&file).context("cannot open the keys of this data directory")?;
        match self.command {
            KeyCommand::Create(flags) => {
                form.show(&create(&store, flags)?)?;
                block_on(async {
                    if let Some(reason) = useless::reason(&resolved, call).await {
                        show_warning(form, &reason);
                    }
                    Ok(())
                })
            }
            KeyCommand::List => form.show(&Keys(store.list().into_iter().map(Key::from).collect())),
            KeyCommand::Revoke { id } => form.show(&revoke(&store, id)?),
        }
    }
}

fn create(store: &KeyStore, flags: CreateFlags) -> anyhow::Result<Created> {
    let created = store
        .create(NewKey {
            label: flags.label,
            node: flags.node,
            port: flags.port,
            expires_at: flags.expires.map(|time| SystemTime::now() + time),
        })
        .context("cannot keep the key")?;
    Ok(Created {
        key: created.secret,
        id: created.id,
    })
}

fn revoke(store: &KeyStore, id: String) -> anyhow::Result<Revoked> {
    let known = store.revoke(&id).context("cannot keep the change")?;
    anyhow::ensure!(
        known,
        "there is no key `{id}`: `peerwork key list` shows their ids"
    );
    Ok(Revoked { revoked: id })
}

/// A created key with its secret, which is printed only once.
#[derive(Serialize)]
struct Created {
    id: String,
    key: String,
}

impl Answer for Created {
    fn text(&self) -> String {
        let rows = [("ID", self.id.clone()), ("Key", self.key.clone())];
        let block = block("KEY CREATED", &rows);
        format!(
            "{block}\nThe key is not shown again. Callers send\n  \
             Peerwork-Edge-Key: KEY         where this node is the edge of the app\n  \
             Authorization: Bearer KEY      where this node is the relay that they call\n\
             Only a key at the edge protects an app on every way to it.\n"
        )
    }
}

#[derive(Serialize)]
struct Revoked {
    revoked: String,
}

impl Answer for Revoked {
    fn text(&self) -> String {
        block("KEY REVOKED", &[("ID", self.revoked.clone())])
    }
}

/// A key of the file, without its secret.
#[derive(Serialize)]
struct Key {
    id: String,
    label: String,
    node: Option<NodeId>,
    port: Option<u16>,
    created_at: String,
    expires_at: Option<String>,
    expired: bool,
}

impl From<StoredKey> for Key {
    fn from(key: StoredKey) -> Self {
        let StoredKey {
            id,
            label,
            node,
            port,
            created_at,
            expires_at,
        } = key;
        Self {
            id,
            label,
            node,
            port,
            created_at: time_shown(created_at),
            expired: expires_at.is_some_and(|end| end <= SystemTime::now()),
            expires_at: expires_at.map(time_shown),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Keys(Vec<Key>);

impl Answer for Keys {
    fn text(&self) -> String {
        if self.0.is_empty() {
            return section("KEYS", "No keys found");
        }
        let head = ["ID", "LABEL", "NODE", "PORT", "CREATED", "EXPIRES"].map(str::to_owned);
        let rows: Vec<Vec<String>> = std::iter::once(head.to_vec())
            .chain(self.0.iter().map(Key::cells))
            .collect();
        section("KEYS", &table(&rows))
    }
}

impl Key {
    fn cells(&self) -> Vec<String> {
        let any = || "any".to_owned();
        let end = match (&self.expires_at, self.expired) {
            (None, _) => "never".to_owned(),
            (Some(end), false) => end.clone(),
            (Some(end), true) => format!("{end} (over)"),
        };
        vec![
            self.id.clone(),
            if self.label.is_empty() {
                "-".to_owned()
            } else {
                self.label.clone()
            },
            self.node.map_or_else(any, |node| node.to_string()),
            self.port.map_or_else(any, |port| port.to_string()),
            self.created_at.clone(),
            end,
        ]
    }
}

/// RFC 3339 in UTC, whole seconds.
fn time_shown(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    prost_types::Timestamp { seconds, nanos: 0 }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(expires_at: Option<SystemTime>) -> Key {
        Key::from(StoredKey {
            id: "a1".into(),
            label: String::new(),
            node: None,
            port: Some(22),
            created_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800),
            expires_at,
        })
    }

    #[test]
    fn keys_are_listed_in_columns_without_their_secrets() {
        let over = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_801);
        let text = Keys(vec![stored(None), stored(Some(over))]).text();
        assert_eq!(
            text,
            "\n[KEYS]\n\
             ID  LABEL  NODE  PORT  CREATED               EXPIRES\n\
             a1  -      any   22    2026-01-31T12:00:00Z  never\n\
             a1  -      any   22    2026-01-31T12:00:00Z  2026-01-31T12:00:01Z (over)\n"
        );
        assert_eq!(Keys(Vec::new()).text(), "\n[KEYS]\nNo keys found\n");
    }
}

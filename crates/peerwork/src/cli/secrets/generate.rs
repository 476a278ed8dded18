//! `peerwork secrets generate`: writes the secrets-manager file for `server --secrets-config`.
//!
//! The file has the format of the EdgeMatrix program. Keys are stored in files of the data directory;
//! the cloud services that the format can name are not supported.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::{
    files,
    output::{Answer, Form, block},
};

const LOCAL: &str = "local";
const CLOUD: [&str; 3] = ["hashicorp-vault", "aws-ssm", "gcp-ssm"];

/// `peerwork secrets generate`
#[derive(Args, Debug)]
pub(crate) struct GenerateFlags {
    /// The file to write
    #[arg(
        long,
        value_name = "FILE",
        default_value = "./secretsManagerConfig.json"
    )]
    dir: PathBuf,
    /// The store of the keys: local, which means files of the data directory
    #[arg(long = "type", value_name = "TYPE", default_value = LOCAL)]
    kind: String,
    /// The name of the node
    #[arg(long, value_name = "TEXT", default_value = "peerwork-node")]
    name: String,
}

/// The secrets-manager file.
#[derive(Serialize, Deserialize)]
struct SecretsConfig {
    #[serde(default)]
    token: String,
    #[serde(default)]
    server_url: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    extra: BTreeMap<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Generated {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    path: String,
}

impl Answer for Generated {
    fn text(&self) -> String {
        let rows = [
            ("Service Type", self.kind.clone()),
            ("Node Name", self.name.clone()),
            ("Config File", self.path.clone()),
        ];
        block("SECRETS GENERATE", &rows)
    }
}

pub(super) fn run(flags: &GenerateFlags, form: Form) -> anyhow::Result<()> {
    check_kind(&flags.kind)?;
    let config = SecretsConfig {
        token: String::new(),
        server_url: String::new(),
        kind: flags.kind.clone(),
        name: flags.name.clone(),
        namespace: String::new(),
        extra: BTreeMap::new(),
    };
    let text = serde_json::to_string_pretty(&config)?;
    files::write_new(&flags.dir, text.as_bytes(), 0o600)
        .context("cannot write the secrets-manager file")?;
    form.show(&Generated {
        kind: config.kind,
        name: config.name,
        path: flags.dir.display().to_string(),
    })
}

/// Checks the file of `server --secrets-config`. A start with other keys than the owner configured
/// would be worse than a failed start.
///
/// # Errors
/// When the file cannot be read, or names a service that is not supported.
pub(crate) fn check_secrets_config(path: &Path) -> anyhow::Result<()> {
    let what = || format!("--secrets-config {}", path.display());
    let text = std::fs::read_to_string(path).with_context(what)?;
    let config: SecretsConfig = serde_json::from_str(&text)
        .with_context(what)
        .context("not a secrets-manager file: make one by `peerwork secrets generate`")?;
    check_kind(&config.kind).with_context(what)
}

fn check_kind(kind: &str) -> anyhow::Result<()> {
    if kind == LOCAL {
        return Ok(());
    }
    if CLOUD.contains(&kind) {
        anyhow::bail!(
            "keys in {kind} are not supported: use the type local, and write the two key files \
             (libp2p/libp2p.key and consensus/validator.key) into the data directory"
        );
    }
    anyhow::bail!("there is no type `{kind}`: use local")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn cloud_services_are_refused_with_advice() {
        assert!(check_kind("local").is_ok());
        for kind in CLOUD {
            assert!(
                check_kind(kind)
                    .unwrap_err()
                    .to_string()
                    .contains("use the type local")
            );
        }
        assert!(
            check_kind("vault")
                .unwrap_err()
                .to_string()
                .contains("no type `vault`")
        );
    }

    #[test]
    fn the_file_of_the_server_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.json");
        assert!(check_secrets_config(&path).is_err());
        std::fs::write(&path, r#"{"type":"local"}"#).unwrap();
        assert!(check_secrets_config(&path).is_ok());
        std::fs::write(&path, r#"{"type":"aws-ssm","extra":{"region":"x"}}"#).unwrap();
        assert!(check_secrets_config(&path).is_err());
    }
}

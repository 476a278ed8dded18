//! `peerwork secrets init`: makes the keys of one or several nodes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{ArgAction, Args};
use peerwork_identity::{InitOptions, KeyType, SecretName, SecretsDir, SecretsError};
use serde::Serialize;

use super::names::{address_shown, node_id_shown, rows};
use crate::cli::{
    output::{Answer, Form, block, remark},
    settings::Resolved,
};

/// `peerwork secrets init`
#[derive(Args, Debug)]
pub(crate) struct InitFlags {
    /// How many key sets to make; more than one go to DIR1, DIR2 and so on
    #[arg(long, value_name = "N", default_value = "1", value_parser = count)]
    num: u32,
    /// Make the validator key, which gives the address
    #[arg(long, action = ArgAction::Set, default_value = "true")]
    ecdsa: bool,
    /// Make the network key, which gives the node id
    #[arg(long, action = ArgAction::Set, default_value = "true")]
    network: bool,
    /// The kind of the network key: secp256k1 or ed25519
    #[arg(long, value_name = "TYPE", default_value = "secp256k1")]
    key_type: KeyType,
    /// Keep the keys in files
    #[arg(long, action = ArgAction::Set, default_value = "true", hide = true)]
    local_storage: bool,
}

fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=30).contains(count));
    count.ok_or_else(|| "num flag value should be between 1 and 30".to_owned())
}

/// A created key set.
#[derive(Serialize)]
struct KeySet {
    address: String,
    node_id: String,
    /// Always true: the keys are stored in plain files.
    insecure: bool,
}

/// All key sets that one call created.
#[derive(Serialize)]
#[serde(transparent)]
struct KeySets(Vec<KeySet>);

impl Answer for KeySets {
    fn text(&self) -> String {
        let blocks = self
            .0
            .iter()
            .map(|set| block("SECRETS INIT", &rows(&set.address, &set.node_id)));
        blocks.collect()
    }
}

pub(super) fn run(flags: &InitFlags, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    anyhow::ensure!(
        flags.local_storage,
        "keys are kept in files of the data directory only: leave out --local-storage=false"
    );
    let dirs = directories(&resolved.data_dir, flags.num);
    let options = InitOptions {
        validator: flags.ecdsa,
        network: flags.network,
        key_type: flags.key_type,
    };
    refuse_to_overwrite(&dirs, options)?;
    let sets: anyhow::Result<Vec<KeySet>> = dirs.iter().map(|dir| make(dir, options)).collect();
    let sets = KeySets(sets?);
    form.show(&sets)?;
    if resolved.data_dir_is_default {
        remark(&format!("The keys are in {}", resolved.data_dir.display()));
    }
    Ok(())
}

fn make(dir: &Path, options: InitOptions) -> anyhow::Result<KeySet> {
    let summary = SecretsDir::new(dir)
        .init(options)
        .with_context(|| format!("cannot make the keys of {}", dir.display()))?;
    Ok(KeySet {
        address: address_shown(&summary),
        node_id: node_id_shown(&summary),
        insecure: true,
    })
}

/// Fails when any of the directories already has keys, before the first key is made.
fn refuse_to_overwrite(dirs: &[PathBuf], options: InitOptions) -> anyhow::Result<()> {
    let wanted = [
        (options.validator, SecretName::ValidatorKey),
        (options.network, SecretName::NetworkKey),
    ];
    for dir in dirs {
        let keys = SecretsDir::new(dir);
        for (_, secret) in wanted.iter().filter(|(wanted, _)| *wanted) {
            if keys.contains(*secret) {
                let error = SecretsError::AlreadyInitialized {
                    secret: *secret,
                    path: keys.path(*secret),
                };
                anyhow::bail!(
                    "{error} at {}: show it by `peerwork secrets output`, or name another --data-dir",
                    keys.path(*secret).display()
                );
            }
        }
    }
    Ok(())
}

fn directories(base: &Path, num: u32) -> Vec<PathBuf> {
    if num == 1 {
        return vec![base.to_owned()];
    }
    let numbered = |number: u32| {
        let mut name = base.as_os_str().to_owned();
        name.push(number.to_string());
        PathBuf::from(name)
    };
    (1..=num).map(numbered).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn several_key_sets_go_to_numbered_directories() {
        assert_eq!(directories(Path::new("d"), 1), [Path::new("d")]);
        assert_eq!(
            directories(Path::new("d"), 2),
            [Path::new("d1"), Path::new("d2")]
        );
    }

    #[test]
    fn the_number_of_key_sets_is_bounded() {
        assert_eq!((count("1"), count("30")), (Ok(1), Ok(30)));
        for wrong in ["0", "31", "x", "-1"] {
            assert_eq!(
                count(wrong).unwrap_err(),
                "num flag value should be between 1 and 30"
            );
        }
    }

    #[test]
    fn the_forms_are_those_of_the_readme() {
        let sets = KeySets(vec![KeySet {
            address: "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1".into(),
            node_id: "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi".into(),
            insecure: true,
        }]);
        assert_eq!(
            sets.text(),
            "\n[SECRETS INIT]\n\
             Public key (address) = 0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1\n\
             Node ID              = 16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi\n"
        );
        assert_eq!(
            serde_json::to_string(&sets).unwrap(),
            r#"[{"address":"0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1","node_id":"16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi","insecure":true}]"#
        );
    }
}

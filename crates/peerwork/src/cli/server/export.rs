//! `peerwork server export`: writes all settings with their defaults into a file.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;

use super::flags::ServerFlags;
use crate::cli::{
    files::flag,
    output::{Answer, Form, section},
    settings::{Setting, defaults_of, is_json, schema},
};

/// `peerwork server export`
#[derive(Args, Debug)]
pub(crate) struct ExportFlags {
    /// toml or json; --config reads both [default: by the name of --to, or toml]
    #[arg(long = "type", value_name = "FORMAT",
          value_parser = PossibleValuesParser::new(["toml", "json", "yaml"]), hide_possible_values = true)]
    format: Option<String>,
    /// The file to write, which must not exist [default: default-config.toml, or .json]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl ExportFlags {
    fn format(&self) -> &str {
        let of_name = || match self.to.as_deref().is_some_and(is_json) {
            true => "json",
            false => "toml",
        };
        self.format.as_deref().unwrap_or_else(of_name)
    }
}

#[derive(Serialize)]
struct Exported {
    export_result: String,
    /// The command that uses the file.
    next: String,
}

impl Answer for Exported {
    fn text(&self) -> String {
        let Self {
            export_result,
            next,
        } = self;
        section(
            "EXPORT SUCCESS",
            &format!("{export_result}\nUse it by: {next}"),
        )
    }
}

/// Writes `default-config.toml` or `default-config.json` into the current folder, or the file that the
/// flags name.
///
/// # Errors
/// When the file exists or cannot be written, or its format is YAML.
pub(super) fn run(flags: &ExportFlags, form: Form) -> anyhow::Result<()> {
    let format = flags.format();
    let text = match format {
        "toml" => toml_text(),
        "json" => json_text()?,
        _ => anyhow::bail!("settings are not written as YAML: use --type toml or --type json"),
    };
    let path = match &flags.to {
        Some(path) if is_json(path) != (format == "json") => anyhow::bail!(
            "{} is not a name for {format}: --config reads files that end in .json as JSON, and all \
             others as TOML",
            path.display()
        ),
        Some(path) => path.clone(),
        None => PathBuf::from(format!("default-config.{format}")),
    };
    crate::cli::files::write_new(&path, text.as_bytes(), 0o644)
        .context("cannot export the settings")?;
    let export_result = format!("Default settings written to {}", path.display());
    let next = format!("peerwork server {}", flag("--config", &path));
    form.show(&Exported {
        export_result,
        next,
    })
}

/// All settings of `peerwork server`.
fn all() -> Vec<Setting> {
    defaults_of(&schema::<ServerFlags>())
}

fn toml_text() -> String {
    let mut text = String::from(
        "# Settings of a Peerwork node, with their defaults.\n\
         # A flag overrides an environment variable (PEERWORK_…), which overrides this file.\n",
    );
    for Setting { key, help, default } in all() {
        let line = match default.to_toml() {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} ="),
        };
        write!(text, "\n# {help}\n{line}\n").expect("invariant: writing to a String succeeds");
    }
    text
}

fn json_text() -> anyhow::Result<String> {
    let pairs = all()
        .into_iter()
        .map(|setting| Ok((setting.key, serde_json::to_value(setting.default)?)));
    let map: serde_json::Map<_, _> = pairs.collect::<serde_json::Result<_>>()?;
    Ok(serde_json::to_string_pretty(&map)? + "\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_exported_file_names_every_setting_and_is_toml() {
        let table: toml::Table = toml_text().parse().unwrap();
        assert_eq!(table["libp2p"].as_str(), Some("127.0.0.1:50001"));
        assert_eq!(table["json-rpc-batch-request-limit"].as_integer(), Some(20));
        assert_eq!(table["relay-on"].as_bool(), Some(false));
        assert!(table["app-port"].as_array().unwrap().is_empty());
        assert!(toml_text().contains("# grpc-address ="));
        assert!(!toml_text().contains("max-slots"));
    }

    #[test]
    fn the_json_form_has_the_same_keys() {
        let map: serde_json::Value = serde_json::from_str(&json_text().unwrap()).unwrap();
        assert_eq!(map["jsonrpc"], "0.0.0.0:50002");
        assert!(map["data-dir"].is_null());
    }
}

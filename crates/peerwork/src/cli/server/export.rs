//! `peerwork server export`: all settings with their defaults, as a file to start from.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::{ArgAction, Args, builder::PossibleValuesParser};
use serde::Serialize;

use crate::cli::{
    output::{Answer, Form, section},
    settings,
};

/// `peerwork server export`
#[derive(Args, Debug)]
pub(crate) struct ExportFlags {
    /// toml, which --config reads, or json, for other programs
    #[arg(long = "type", value_name = "FORMAT", default_value = "toml",
          value_parser = PossibleValuesParser::new(["toml", "json", "yaml"]), hide_possible_values = true)]
    format: String,
}

#[derive(Serialize)]
struct Exported {
    export_result: String,
}

impl Answer for Exported {
    fn text(&self) -> String {
        section("EXPORT SUCCESS", &self.export_result)
    }
}

/// Writes `default-config.toml` or `default-config.json` into the current folder.
///
/// # Errors
/// When the file exists, cannot be written, or is asked for in YAML.
pub(super) fn run(flags: &ExportFlags, form: Form) -> anyhow::Result<()> {
    let text = match flags.format.as_str() {
        "toml" => toml_text(),
        "json" => json_text()?,
        _ => anyhow::bail!("settings are not written as YAML: use --type toml or --type json"),
    };
    let path = PathBuf::from(format!("default-config.{}", flags.format));
    crate::cli::files::write_new(&path, text.as_bytes(), 0o644)
        .context("cannot export the settings")?;
    let export_result = format!("Default settings written to {}", path.display());
    form.show(&Exported { export_result })
}

/// A setting with its default.
struct Setting {
    key: String,
    help: String,
    default: Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Absent,
    Switch(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

fn all() -> Vec<Setting> {
    let command = settings::schema();
    let shown = command.get_arguments().filter(|arg| {
        !arg.is_hide_set()
            && arg
                .get_long()
                .is_some_and(|long| !matches!(long, "config" | "version"))
    });
    let each = shown.map(|arg| {
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|v| v.to_string_lossy().into_owned())
            .collect();
        let default = match (arg.get_action(), defaults.as_slice()) {
            (ArgAction::Append, _) => Value::List(defaults),
            (_, [text]) => match (text.parse(), text.parse()) {
                (Ok(switch), _) => Value::Switch(switch),
                (_, Ok(number)) => Value::Number(number),
                _ => Value::Text(text.clone()),
            },
            _ => Value::Absent,
        };
        Setting {
            key: arg.get_long().unwrap_or_default().to_owned(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            default,
        }
    });
    each.collect()
}

fn toml_text() -> String {
    let mut text = String::from(
        "# Settings of a Peerwork node, with their defaults.\n\
         # A flag counts before an environment variable (PEERWORK_…), that before this file.\n",
    );
    for Setting { key, help, default } in all() {
        let value = match default {
            Value::Absent => None,
            Value::Switch(switch) => Some(toml::Value::Boolean(switch)),
            Value::Number(number) => Some(toml::Value::Integer(number)),
            Value::Text(text) => Some(toml::Value::String(text)),
            Value::List(list) => Some(list.into()),
        };
        let line = match value {
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

//! Reads the settings file: TOML with one key for each flag, in kebab-case or snake_case.
//!
//! A table holds the settings of one role: key `k` of the table `t` is the flag `--t-k`, and the table
//! itself turns on the switch `--t`.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use anyhow::Context as _;
use clap::{
    ArgAction, Command,
    error::{ContextKind, ContextValue},
};
use toml::Value;

use super::{
    Schema,
    layer::Layer,
    schema::{is_section, settings, takes},
};

/// Settings that belong to one call of the program and are not allowed in a file.
const NOT_IN_A_FILE: [&str; 1] = ["config"];

/// Reads the file at `path` for the settings of `command`. Keys that only another command in `others`
/// knows are skipped. Mistakes in single settings are added to `mistakes`.
///
/// # Errors
/// When the file cannot be read, or is not TOML.
pub(super) fn read(
    path: &Path,
    command: &Command,
    others: &[Schema],
    mistakes: &mut Vec<String>,
) -> anyhow::Result<Layer> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("the settings file {} is not TOML", path.display()))?;
    let mut reading = Reading {
        path,
        command,
        others: others.iter().map(|schema| schema()).collect(),
        mistakes,
        layer: Layer::default(),
        seen: BTreeMap::new(),
    };
    for (written, value) in table {
        reading.entry(written, value);
    }
    Ok(reading.layer)
}

/// The state while a file is read.
struct Reading<'a> {
    path: &'a Path,
    command: &'a Command,
    others: Vec<Command>,
    mistakes: &'a mut Vec<String>,
    layer: Layer,
    /// The spelling in the file of each key that was read.
    seen: BTreeMap<String, String>,
}

impl Reading<'_> {
    fn entry(&mut self, written: String, value: Value) {
        let name = written.replace('_', "-");
        match value {
            Value::Table(table) if self.known(&name, is_section) => {
                self.section(&written, &name, table);
            }
            value => self.setting(written, name, value, takes),
        }
    }

    fn section(&mut self, written: &str, name: &str, mut table: toml::Table) {
        let on = table.remove("enabled").unwrap_or(Value::Boolean(true));
        self.setting(written.to_owned(), name.to_owned(), on, takes);
        for (inner, value) in table {
            let key = format!("{name}-{}", inner.replace('_', "-"));
            let shown = format!("{written}.{inner}");
            self.setting(shown, key, value, |command, key| {
                is_section(command, name) && takes(command, key)
            });
        }
    }

    /// Reads a setting of the command; `known` tells whether a given command has the setting.
    fn setting(
        &mut self,
        written: String,
        key: String,
        value: Value,
        known: impl Fn(&Command, &str) -> bool,
    ) {
        let shown = format!("{written} in {}", self.path.display());
        if let Some(earlier) = self.seen.insert(key.clone(), written) {
            let text = format!("{shown}: the same as {earlier}; keep one of them");
            return self.mistakes.push(text);
        }
        let command = self.command;
        let arg = settings(command).find(|(name, _)| *name == key && known(command, name));
        let Some((_, arg)) = arg else {
            if !self.others.iter().any(|other| known(other, &key)) {
                self.mistakes
                    .push(format!("{shown}: {}", unknown(command, &self.others, &key)));
            }
            return;
        };
        if NOT_IN_A_FILE.contains(&key.as_str()) {
            let text = format!("{shown}: a settings file cannot name another one");
            return self.mistakes.push(text);
        }
        match texts(value, matches!(arg.get_action(), ArgAction::Append)) {
            Ok(values) => {
                self.layer
                    .insert_checked(command, &key, &shown, values, self.mistakes);
            }
            Err(reason) => self.mistakes.push(format!("{shown}: {reason}")),
        }
    }

    fn known(&self, name: &str, known: fn(&Command, &str) -> bool) -> bool {
        known(self.command, name) || self.others.iter().any(|other| known(other, name))
    }
}

fn texts(value: Value, repeatable: bool) -> Result<Vec<OsString>, String> {
    match value {
        Value::Array(values) if repeatable => values.into_iter().map(text).collect(),
        Value::Array(_) => Err("it takes one value, not a list".into()),
        value => text(value).map(|text| vec![text]),
    }
}

fn text(value: Value) -> Result<OsString, String> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Integer(number) => Ok(number.to_string().into()),
        Value::Boolean(answer) => Ok(answer.to_string().into()),
        other => Err(format!(
            "a {} has no meaning here: write text, a number, true or false",
            other.type_str()
        )),
    }
}

/// Describes an unknown key, and names the most similar known key by clap's own measure.
fn unknown(command: &Command, others: &[Command], key: &str) -> String {
    let mut commands = std::iter::once(command).chain(others);
    match commands.find_map(|command| nearest(command, key)) {
        Some(nearest) => format!("there is no such setting; the nearest is `{nearest}`"),
        None => "there is no such setting; `peerwork server export` writes all of them".into(),
    }
}

fn nearest(command: &Command, key: &str) -> Option<String> {
    let error = command
        .clone()
        .no_binary_name(true)
        .try_get_matches_from([format!("--{key}=x")])
        .err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
}

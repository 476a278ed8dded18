//! Reads the settings file: TOML, or JSON where its name ends in .json, with one key for each flag, in
//! kebab-case or snake_case.
//!
//! A table holds the settings of one role: key `k` of the table `t` is the flag `--t-k`, and the table
//! itself turns on the switch `--t`.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use anyhow::Context as _;
use clap::{ArgAction, Command};
use toml::Value;

use super::{
    Schema,
    layer::Layer,
    schema::{is_section, settings, takes},
    unknown::{Commands, kebab},
};

/// Settings that belong to one call of the program and are not allowed in a file.
const NOT_IN_A_FILE: [&str; 1] = ["config"];

/// Reads the file at `path` for the settings of `command`. Keys that only another command in `others`
/// knows are skipped. Mistakes in single settings are added to `mistakes`.
///
/// # Errors
/// When the file cannot be read, or is not in its format.
pub(super) fn read(
    path: &Path,
    command: &Command,
    others: &[Schema],
    mistakes: &mut Vec<String>,
) -> anyhow::Result<Layer> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    let table = match is_json(path) {
        true => json(&text).with_context(|| {
            format!("the settings file {} is not JSON settings", path.display())
        })?,
        false => text
            .parse()
            .with_context(|| format!("the settings file {} is not TOML", path.display()))?,
    };
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

/// Whether a settings file of this name is JSON.
pub(crate) fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json")
}

/// Parses an object of JSON. A setting that is null is not set, because TOML has no null.
fn json(text: &str) -> anyhow::Result<toml::Table> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    object.retain(|_, value| {
        if let Some(table) = value.as_object_mut() {
            table.retain(|_, value| !value.is_null());
        }
        !value.is_null()
    });
    Ok(toml::Table::try_from(object)?)
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

/// A key of the file.
struct Key {
    /// The key in the file, with its table in front.
    shown: String,
    /// The name of the flag.
    flag: String,
    place: Place,
}

/// The place of a key in the file.
enum Place {
    /// Outside of any table; the key as it is written.
    Top(String),
    /// The head of a known table, or its key `enabled`.
    Head,
    /// In a table: its name, and the key as it is written there.
    Table(String, String),
}

impl Key {
    /// Whether `command` has the setting.
    fn is_of(&self, command: &Command) -> bool {
        takes(command, &self.flag)
            && match &self.place {
                Place::Top(_) | Place::Head => true,
                Place::Table(section, _) => is_section(command, section),
            }
    }
}

impl Reading<'_> {
    fn entry(&mut self, written: String, value: Value) {
        let flag = kebab(&written);
        match value {
            Value::Table(table) if self.has_section(&flag) => {
                self.section(&written, &flag, table);
            }
            value => {
                let shown = written.clone();
                let place = Place::Top(written);
                self.setting(Key { shown, flag, place }, value);
            }
        }
    }

    fn section(&mut self, written: &str, name: &str, mut table: toml::Table) {
        let on = table.remove("enabled").unwrap_or(Value::Boolean(true));
        let head = Key {
            shown: written.to_owned(),
            flag: name.to_owned(),
            place: Place::Head,
        };
        self.setting(head, on);
        for (inner, value) in table {
            let key = Key {
                shown: format!("{written}.{inner}"),
                flag: format!("{name}-{}", kebab(&inner)),
                place: Place::Table(name.to_owned(), inner),
            };
            self.setting(key, value);
        }
    }

    fn setting(&mut self, key: Key, value: Value) {
        let shown = format!("{} in {}", key.shown, self.path.display());
        if let Some(earlier) = self.seen.insert(key.flag.clone(), key.shown.clone()) {
            let text = format!("{shown}: the same as {earlier}; keep one of them");
            return self.mistakes.push(text);
        }
        let command = self.command;
        let arg = settings(command).find(|(name, _)| *name == key.flag && key.is_of(command));
        let Some((_, arg)) = arg else {
            if !self.others.iter().any(|other| key.is_of(other)) {
                let unknown = self.unknown(&key, &value);
                self.mistakes.push(format!("{shown}: {unknown}"));
            }
            return;
        };
        if NOT_IN_A_FILE.contains(&key.flag.as_str()) {
            let text = format!("{shown}: a settings file cannot name another one");
            return self.mistakes.push(text);
        }
        match texts(value, matches!(arg.get_action(), ArgAction::Append)) {
            Ok(values) => {
                self.layer
                    .insert_checked(command, &key.flag, &shown, values, self.mistakes);
            }
            Err(reason) => self.mistakes.push(format!("{shown}: {reason}")),
        }
    }

    fn unknown(&self, key: &Key, value: &Value) -> String {
        let all = std::iter::once(self.command).chain(&self.others).collect();
        let commands = Commands { all };
        match (&key.place, value) {
            (Place::Table(section, written), _) => commands.unknown_in_table(section, written),
            (Place::Top(written), Value::Table(_)) => commands.unknown_table(written),
            (Place::Top(written), _) => commands.unknown_setting(written),
            (Place::Head, _) => commands.unknown_setting(&key.shown),
        }
    }

    fn has_section(&self, name: &str) -> bool {
        let mut all = std::iter::once(self.command).chain(&self.others);
        all.any(|command| is_section(command, name))
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

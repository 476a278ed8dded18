//! The settings file: TOML, one key for each flag, in kebab-case or snake_case.

use std::{ffi::OsString, path::Path};

use anyhow::Context as _;
use clap::{
    ArgAction, Command,
    error::{ContextKind, ContextValue},
};
use toml::Value;

use super::layer::{Layer, settings};

/// Settings that say how this very call works, and so have no place in a file.
const NOT_IN_A_FILE: [&str; 1] = ["config"];

/// Reads the file at `path`, for the settings of `command`; those of `other` are for another time.
/// What is wrong with single settings goes to `mistakes`.
///
/// # Errors
/// When the file cannot be read, or is not TOML.
pub(super) fn read(
    path: &Path,
    command: &Command,
    other: &Command,
    mistakes: &mut Vec<String>,
) -> anyhow::Result<Layer> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings file {}", path.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("the settings file {} is not TOML", path.display()))?;
    let mut layer = Layer::default();
    let mut seen = std::collections::BTreeMap::new();
    for (written, value) in table {
        let shown = format!("{written} in {}", path.display());
        let key = written.replace('_', "-");
        if let Some(earlier) = seen.insert(key.clone(), written.clone()) {
            mistakes.push(format!("{shown}: the same as {earlier}; keep one of them"));
            continue;
        }
        let Some((_, arg)) = settings(command).find(|(name, _)| *name == key) else {
            if settings(other).any(|(name, _)| name == key) {
                continue;
            }
            mistakes.push(format!("{shown}: {}", unknown(command, &key)));
            continue;
        };
        if NOT_IN_A_FILE.contains(&key.as_str()) {
            mistakes.push(format!("{shown}: a settings file cannot name another one"));
            continue;
        }
        match texts(value, matches!(arg.get_action(), ArgAction::Append)) {
            Ok(values) => layer.insert_checked(command, &key, &shown, values, mistakes),
            Err(reason) => mistakes.push(format!("{shown}: {reason}")),
        }
    }
    Ok(layer)
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

/// Says that there is no such key, and which one is nearest by clap's own measure.
fn unknown(command: &Command, key: &str) -> String {
    let flag = format!("--{key}=x");
    let error = command
        .clone()
        .no_binary_name(true)
        .try_get_matches_from([flag]);
    let nearest = match error
        .as_ref()
        .err()
        .and_then(|e| e.get(ContextKind::SuggestedArg))
    {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    };
    match nearest {
        Some(nearest) => format!("there is no such setting; the nearest is `{nearest}`"),
        None => "there is no such setting; `peerwork server export` writes all of them".into(),
    }
}

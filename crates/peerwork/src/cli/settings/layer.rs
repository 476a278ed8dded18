//! The settings of one source: flag names with the texts given for them.

use std::{collections::BTreeMap, error::Error as _, ffi::OsString};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use super::{
    environment::{Environment, variable},
    schema::settings,
};

/// Settings by the names of their flags, without leading dashes.
#[derive(Debug, Default)]
pub(super) struct Layer(BTreeMap<String, Vec<OsString>>);

impl Layer {
    /// The flags of the command line.
    pub(super) fn from_flags(command: &Command, matches: &ArgMatches) -> Self {
        let written = |arg: &Arg| {
            let id = arg.get_id().as_str();
            let given = matches.try_contains_id(id).unwrap_or(false)
                && matches.value_source(id) == Some(ValueSource::CommandLine);
            given.then(|| {
                matches
                    .get_raw(id)
                    .into_iter()
                    .flatten()
                    .map(Into::into)
                    .collect()
            })
        };
        Self(
            settings(command)
                .filter_map(|(key, arg)| Some((key, written(arg)?)))
                .collect(),
        )
    }

    /// The set environment variables `PEERWORK_…`; several values are separated by commas.
    pub(super) fn from_environment(
        command: &Command,
        environment: &Environment,
        mistakes: &mut Vec<String>,
    ) -> Self {
        let mut layer = Self::default();
        for (key, arg) in settings(command) {
            let variable = variable(&key);
            let Some(value) = environment.get(&variable) else {
                continue;
            };
            let values = match (arg.get_action(), value.to_str()) {
                (ArgAction::Append, Some(text)) => {
                    let parts = text
                        .split(',')
                        .map(str::trim)
                        .filter(|part| !part.is_empty());
                    parts.map(OsString::from).collect()
                }
                _ => vec![value.clone()],
            };
            layer.insert_checked(command, &key, &variable, values, mistakes);
        }
        layer
    }

    /// Adds values for `key`, or reports in `mistakes` why they are invalid; `shown` is the key's name
    /// in its source.
    pub(super) fn insert_checked(
        &mut self,
        command: &Command,
        key: &str,
        shown: &str,
        values: Vec<OsString>,
        mistakes: &mut Vec<String>,
    ) {
        for value in &values {
            let argument = argument(key, value);
            if let Err(error) = command
                .clone()
                .no_binary_name(true)
                .try_get_matches_from([argument])
            {
                let value = value.to_string_lossy();
                mistakes.push(format!("{shown} = `{value}`: {}", reason(&error)));
            }
        }
        self.0.insert(key.to_owned(), values);
    }

    /// The last value of a setting that has a single value.
    pub(super) fn last(&self, key: &str) -> Option<&OsString> {
        self.0.get(key).and_then(|values| values.last())
    }

    /// Whether the layer gives no setting.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Merges layers, of which earlier ones override later ones.
    pub(super) fn merge<const N: usize>(layers: [Self; N]) -> Self {
        let mut merged = BTreeMap::new();
        for layer in layers.into_iter().rev() {
            merged.extend(layer.0);
        }
        Self(merged)
    }

    /// The settings as command-line arguments.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let each = self
            .0
            .iter()
            .flat_map(|(key, values)| values.iter().map(move |v| (key, v)));
        each.map(|(key, value)| argument(key, value)).collect()
    }
}

fn argument(key: &str, value: &OsString) -> OsString {
    let mut argument = OsString::from(format!("--{key}="));
    argument.push(value);
    argument
}

/// The reason for which clap refused a value, without clap's text around it.
pub(super) fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        return format!("it is one of {}", values.join(", "));
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

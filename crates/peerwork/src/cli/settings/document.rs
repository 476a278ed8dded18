//! Lists all settings of a command with their defaults, to write a settings file from.

use clap::{ArgAction, Command};
use serde::Serialize;

/// A setting with its default.
pub(crate) struct Setting {
    /// The name of the setting's flag.
    pub(crate) key: String,
    /// The setting's line in `--help`.
    pub(crate) help: String,
    /// The setting's default.
    pub(crate) default: Value,
}

/// The default of a setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// The setting has no default.
    Absent,
    /// A switch, on or off.
    Switch(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// The values of a setting that may be repeated.
    List(Vec<Self>),
}

impl Value {
    fn parse(text: &str) -> Self {
        match (text.parse(), text.parse()) {
            (Ok(switch), _) => Self::Switch(switch),
            (_, Ok(number)) => Self::Number(number),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// The default as a TOML value; `None` where there is no default.
    pub(crate) fn to_toml(&self) -> Option<toml::Value> {
        Some(match self {
            Self::Absent => return None,
            Self::Switch(switch) => toml::Value::Boolean(*switch),
            Self::Number(number) => toml::Value::Integer(*number),
            Self::Text(text) => toml::Value::String(text.clone()),
            Self::List(list) => list
                .iter()
                .filter_map(Self::to_toml)
                .collect::<Vec<_>>()
                .into(),
        })
    }
}

/// The settings of `command` that may be in a file, in the order of its help.
pub(crate) fn all(command: &Command) -> Vec<Setting> {
    let shown = command.get_arguments().filter(|arg| {
        let long = arg.get_long();
        !arg.is_hide_set() && long.is_some_and(|long| !matches!(long, "config" | "version"))
    });
    let each = shown.map(|arg| {
        let defaults = arg.get_default_values().iter();
        let defaults: Vec<Value> = defaults
            .map(|value| Value::parse(&value.to_string_lossy()))
            .collect();
        Setting {
            key: arg.get_long().unwrap_or_default().to_owned(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            default: match (arg.get_action(), defaults.as_slice()) {
                (ArgAction::Append, _) => Value::List(defaults),
                (_, [value]) => value.clone(),
                _ => Value::Absent,
            },
        }
    });
    each.collect()
}

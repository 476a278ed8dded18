//! `peerwork node init`: writes a settings file with all settings as comments.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use super::{compose::GRPC_ADDRESS, flags::NodeFlags};
use crate::cli::{
    files::{make_folder, write_new},
    output::{Answer, Form, section},
    settings::{FILE_NAME, Resolved, Setting, Value, defaults_of, schema},
};

/// The roles, each of which has a table in the file. The tables follow the other settings in this
/// order.
const ROLES: [&str; 3] = ["relay", "edge", "store"];
/// The setting that is left out: a file found through the data directory cannot name the data
/// directory.
const NOT_IN_THE_FILE: &str = "data-dir";

#[derive(Serialize)]
struct Written {
    file: String,
    /// The flag that makes other commands find the file; empty where they find it without.
    #[serde(skip)]
    data_dir: String,
}

impl Answer for Written {
    fn text(&self) -> String {
        let text = format!(
            "Settings written to {1}\nRemove the # in front of a setting to change it, and in front \
             of [relay], [edge] or [store] to run that role.\nThen: peerwork node check{0}, and peerwork node{0}",
            self.data_dir, self.file
        );
        section("NODE INIT", &text)
    }
}

/// Writes `peerwork.toml` into the data directory, which is created when it is missing.
///
/// # Errors
/// When the file exists, or cannot be written.
pub(super) fn run(resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let dir = &resolved.data_dir;
    make_folder(dir)?;
    let path = dir.join(FILE_NAME);
    // The file is readable by its owner alone, because it may hold tokens.
    write_new(&path, text().as_bytes(), 0o600).context("cannot write the settings")?;
    let data_dir = match resolved.data_dir_is_default {
        true => String::new(),
        false => format!(" --data-dir {}", dir.display()),
    };
    form.show(&Written {
        file: path.display().to_string(),
        data_dir,
    })
}

/// The content of the file: every setting as a comment, with its default.
pub(super) fn text() -> String {
    let mut text = String::from(
        "# Settings of `peerwork node`, with their defaults.\n\
         # A flag overrides an environment variable (PEERWORK_…), which overrides this file.\n\
         # Remove the # in front of a setting to change it, and in front of [relay], [edge] or\n\
         # [store] to run that role.\n",
    );
    let (roles, node): (Vec<_>, Vec<_>) = defaults_of(&schema::<NodeFlags>())
        .into_iter()
        .filter(|setting| setting.key != NOT_IN_THE_FILE)
        .partition(|setting| role_of(&setting.key).is_some());
    for setting in node {
        write_setting(&mut text, &setting.key, &setting);
    }
    for role in ROLES {
        let of_role = roles.iter().filter(|s| role_of(&s.key) == Some(role));
        for setting in of_role {
            match setting
                .key
                .strip_prefix(role)
                .map(|key| key.trim_start_matches('-'))
            {
                None | Some("") => write_line(&mut text, &setting.help, &format!("[{role}]")),
                Some(key) => write_setting(&mut text, key, setting),
            }
        }
    }
    text
}

/// The role whose table holds the setting.
fn role_of(key: &str) -> Option<&'static str> {
    ROLES.into_iter().find(|role| {
        let rest = key.strip_prefix(role);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

fn write_setting(text: &mut String, key: &str, setting: &Setting) {
    let (help, default) = match key {
        // `peerwork node` has a default of its own for this setting; the other commands have another.
        "grpc-address" => (
            "The address of the operator API, or off; port 0 takes a free port, which commands find \
             through the data directory",
            Value::Text(GRPC_ADDRESS.to_owned()),
        ),
        _ => (setting.help.as_str(), setting.default.clone()),
    };
    let line = match default.to_toml() {
        Some(value) => format!("{key} = {value}"),
        None => format!("{key} ="),
    };
    write_line(text, help, &line);
}

fn write_line(text: &mut String, help: &str, line: &str) {
    write!(text, "\n# {help}\n# {line}\n").expect("invariant: writing to a String succeeds");
}

#[cfg(test)]
mod tests;

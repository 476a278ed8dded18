//! Describes a key of the settings file that no command has, with the most likely correction.

use clap::Command;

use super::{
    nearest::nearest,
    schema::{is_section, settings, takes},
};

/// The commands that may read a settings file.
pub(super) struct Commands<'a> {
    pub(super) all: Vec<&'a Command>,
}

impl Commands<'_> {
    /// Describes the unknown key `written` outside of any table.
    pub(super) fn unknown_setting(&self, written: &str) -> String {
        match nearest(&kebab(written), self.settings()) {
            Some(nearest) => {
                let nearest = spelled_like(written, &nearest);
                format!("there is no such setting; the nearest is `{nearest}`")
            }
            None => "there is no such setting; `peerwork node init` and `peerwork server export` \
                     write all of them"
                .to_owned(),
        }
    }

    /// Describes the unknown table `written`.
    pub(super) fn unknown_table(&self, written: &str) -> String {
        match nearest(&kebab(written), self.sections()) {
            Some(nearest) => {
                let nearest = spelled_like(written, &nearest);
                format!("there is no such table; the nearest is `[{nearest}]`")
            }
            None => {
                let all = self.sections().map(|name| format!("`[{name}]`"));
                let mut all: Vec<String> = all.collect();
                all.sort_unstable();
                all.dedup();
                format!("there is no such table; the tables are {}", all.join(", "))
            }
        }
    }

    /// Describes the unknown key `written` in the table `section`.
    pub(super) fn unknown_in_table(&self, section: &str, written: &str) -> String {
        let key = kebab(written);
        let own: Vec<String> = self.of_table(section).collect();
        let without_role = key.strip_prefix(&format!("{section}-")).map(str::to_owned);
        if let Some(own) = without_role.filter(|rest| own.contains(rest)) {
            let own = spelled_like(written, &own);
            return format!("in the table `[{section}]` it is written `{own}`");
        }
        if self.all.iter().any(|command| takes(command, &key)) {
            return "it belongs to no table: write it above the first table".to_owned();
        }
        if let Some(other) = self.sections().find(|other| self.has(other, &key)) {
            return format!("it is a setting of the table `[{other}]`");
        }
        match nearest(&key, own) {
            Some(nearest) => {
                let nearest = spelled_like(written, &nearest);
                format!("the table has no such setting; the nearest is `{nearest}`")
            }
            None => {
                "the table has no such setting; `peerwork node init` writes all of them".to_owned()
            }
        }
    }

    fn settings(&self) -> impl Iterator<Item = String> {
        let each = self.all.iter().flat_map(|command| settings(command));
        each.filter(|(_, arg)| !arg.is_hide_set())
            .map(|(name, _)| name)
    }

    /// The names of the tables: the switches of commands with settings that begin with their names.
    fn sections(&self) -> impl Iterator<Item = String> {
        let each = self.all.iter().flat_map(|command| {
            let begins = |name: &str| {
                let prefix = format!("{name}-");
                settings(command).any(|(key, _)| key.starts_with(&prefix))
            };
            settings(command).filter(move |(name, arg)| {
                !arg.is_hide_set()
                    && !arg.is_global_set()
                    && is_section(command, name)
                    && begins(name)
            })
        });
        each.map(|(name, _)| name)
    }

    /// The keys that may be in a table, in its own spelling.
    fn of_table(&self, section: &str) -> impl Iterator<Item = String> {
        let begins = format!("{section}-");
        let commands = self.all.iter();
        let commands = commands.filter(move |command| is_section(command, section));
        let keys = commands.flat_map(|command| settings(command));
        let own = keys.filter_map(move |(key, _)| Some(key.strip_prefix(&begins)?.to_owned()));
        own.chain(["enabled".to_owned()])
    }

    fn has(&self, section: &str, key: &str) -> bool {
        self.of_table(section).any(|own| own == key)
    }
}

/// The name of the flag for a key in kebab-case or snake_case.
pub(super) fn kebab(written: &str) -> String {
    written.replace('_', "-")
}

/// Writes `key` in snake_case where `written` is in snake_case.
fn spelled_like(written: &str, key: &str) -> String {
    match written.contains('_') && !written.contains('-') {
        true => key.replace('-', "_"),
        false => key.to_owned(),
    }
}

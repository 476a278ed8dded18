//! A `Cargo.toml` with the line numbers of its parts, which `cargo metadata` does not give.

use anyhow::{Context as _, Result};
use cargo_metadata::DependencyKind;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A manifest, of the root or of a member.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) dependencies: Vec<Dependency>,
    /// The dependencies of the workspace's table, in the root manifest alone.
    pub(super) workspace_dependencies: Vec<Dependency>,
    /// Names like `rust.missing_docs`, in the root manifest alone.
    pub(super) workspace_lints: Vec<String>,
    /// The value of `[workspace.package] version`, in the root manifest alone.
    pub(super) workspace_version: Option<String>,
    /// Whether the manifest has `[lints] workspace = true`.
    pub(super) uses_workspace_lints: bool,
}

/// A line of a dependency table.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) kind: DependencyKind,
    /// Whether the line has `workspace = true`.
    pub(super) from_workspace: bool,
    /// Whether the line has `path = …`: a crate of this repository.
    pub(super) by_path: bool,
}

const TABLES: [(&str, DependencyKind); 3] = [
    ("dependencies", DependencyKind::Normal),
    ("dev-dependencies", DependencyKind::Development),
    ("build-dependencies", DependencyKind::Build),
];

impl Manifest {
    /// Reads the text of the manifest at `path`.
    ///
    /// # Errors
    /// When it is not TOML.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self> {
        let table = DeTable::parse(text).with_context(|| format!("reading {path}"))?;
        let root = table.get_ref();
        let workspace = table_in(root, "workspace");
        let mut dependencies = dependencies_of(root, text);
        for (_name, target) in table_in(root, "target").into_iter().flat_map(DeTable::iter) {
            if let Some(target) = target.get_ref().as_table() {
                dependencies.extend(dependencies_of(target, text));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            dependencies,
            workspace_dependencies: workspace
                .and_then(|workspace| table_in(workspace, "dependencies"))
                .map(|entries| entries_of(entries, DependencyKind::Normal, text))
                .unwrap_or_default(),
            workspace_lints: workspace
                .and_then(|workspace| table_in(workspace, "lints"))
                .map(lint_names)
                .unwrap_or_default(),
            workspace_version: workspace
                .and_then(|workspace| table_in(workspace, "package"))
                .and_then(|package| string_in(package, "version")),
            uses_workspace_lints: table_in(root, "lints")
                .is_some_and(|lints| is_true(lints, "workspace")),
        })
    }

    /// The line of a dependency in the tables of its kind, or the first.
    pub(super) fn line_of(&self, name: &str, kind: DependencyKind) -> usize {
        self.dependencies
            .iter()
            .find(|it| it.name == name && it.kind == kind)
            .map_or(1, |it| it.line)
    }
}

fn dependencies_of(table: &DeTable<'_>, text: &str) -> Vec<Dependency> {
    TABLES
        .iter()
        .filter_map(|(name, kind)| Some((table_in(table, name)?, *kind)))
        .flat_map(|(entries, kind)| entries_of(entries, kind, text))
        .collect()
}

fn entries_of(entries: &DeTable<'_>, kind: DependencyKind, text: &str) -> Vec<Dependency> {
    entries
        .iter()
        .map(|(name, value)| Dependency {
            name: package_name(name.get_ref(), value.get_ref()),
            line: text[..name.span().start].matches('\n').count() + 1,
            kind,
            from_workspace: value
                .get_ref()
                .as_table()
                .is_some_and(|it| is_true(it, "workspace")),
            by_path: value
                .get_ref()
                .as_table()
                .is_some_and(|it| it.contains_key("path")),
        })
        .collect()
}

/// The crate's own name, also where the manifest renames it.
fn package_name(key: &str, value: &DeValue<'_>) -> String {
    value
        .as_table()
        .and_then(|table| string_in(table, "package"))
        .unwrap_or_else(|| key.to_owned())
}

fn lint_names(lints: &DeTable<'_>) -> Vec<String> {
    lints
        .iter()
        .filter_map(|(tool, names)| Some((tool.get_ref(), names.get_ref().as_table()?)))
        .flat_map(|(tool, names)| {
            names
                .keys()
                .map(move |name| format!("{tool}.{}", name.get_ref()))
        })
        .collect()
}

fn get<'table, 'text>(table: &'table DeTable<'text>, key: &str) -> Option<&'table DeValue<'text>> {
    table.get(key).map(Spanned::get_ref)
}

fn table_in<'table, 'text>(
    table: &'table DeTable<'text>,
    key: &str,
) -> Option<&'table DeTable<'text>> {
    get(table, key)?.as_table()
}

fn string_in(table: &DeTable<'_>, key: &str) -> Option<String> {
    get(table, key)?.as_str().map(str::to_owned)
}

fn is_true(table: &DeTable<'_>, key: &str) -> bool {
    get(table, key).and_then(DeValue::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_all_tables_come_with_their_lines() {
        let text = "\
[package]
name = \"one\"
[dependencies]
bytes.workspace = true
old = { package = \"hex\", version = \"1\" }
[target.'cfg(unix)'.dependencies]
nix = { workspace = true }
[dev-dependencies]
proptest.workspace = true
[lints]
workspace = true
";
        let manifest = Manifest::parse("one/Cargo.toml", text).expect("it is TOML");
        let found: Vec<(&str, usize, bool)> = manifest
            .dependencies
            .iter()
            .map(|it| (it.name.as_str(), it.line, it.from_workspace))
            .collect();
        assert_eq!(
            found,
            [
                ("bytes", 4, true),
                ("hex", 5, false),
                ("proptest", 9, true),
                ("nix", 7, true)
            ]
        );
        assert!(manifest.uses_workspace_lints);
    }

    #[test]
    fn the_root_tells_its_tables_and_its_version() {
        let text = "\
[workspace.package]
version = \"0.1.0\"
[workspace.dependencies]
one = { path = \"one\" }
hex = \"0.4\"
[workspace.lints.rust]
missing_docs = \"warn\"
";
        let manifest = Manifest::parse("Cargo.toml", text).expect("it is TOML");
        assert_eq!(manifest.workspace_version.as_deref(), Some("0.1.0"));
        assert_eq!(manifest.workspace_lints, ["rust.missing_docs"]);
        let table = &manifest.workspace_dependencies;
        assert!(table.iter().any(|it| it.name == "one" && it.by_path));
        assert!(
            table
                .iter()
                .any(|it| it.name == "hex" && !it.by_path && it.line == 5)
        );
    }

    #[test]
    fn a_broken_manifest_is_an_error_that_names_the_file() {
        let error = Manifest::parse("one/Cargo.toml", "[package").expect_err("it is not TOML");
        assert!(error.to_string().contains("one/Cargo.toml"));
    }
}

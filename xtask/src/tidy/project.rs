//! The repository as the rules see it: its text files, its members, its root manifest.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::manifest::Manifest;
use super::rust_source::RustSource;

/// Folders that builds and tools make, and libraries of other projects, which are kept as they are.
const FOLDERS_LEFT_OUT: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    "corpus",
    "artifacts",
    "dist",
    "third_party",
];

/// The endings of files that the rules read; pictures, keys and lock files hold no prose.
const ENDINGS: &[&str] = &[
    "rs", "toml", "md", "txt", "proto", "html", "css", "js", "mjs", "ts", "go", "py", "sh", "yml",
    "yaml",
];
const NAMES: &[&str] = &[".gitignore", ".ci/run", "LICENSE-MIT", "LICENSE-APACHE"];

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The source of `.rs` files, split into code and comments.
    pub(super) rust: Option<RustSource>,
}

/// A member of the workspace, as cargo sees it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) manifest: Manifest,
    /// Name and kind of each dependency.
    pub(super) depends: Vec<(String, DependencyKind)>,
}

/// The files and manifests that the rules look at.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) files: Vec<File>,
    pub(super) members: Vec<Member>,
    pub(super) root: Manifest,
}

impl Project {
    /// Reads the repository at `root`.
    ///
    /// # Errors
    /// When a file cannot be read, or cargo does not understand the workspace.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut texts = Vec::new();
        read_folder(root, root, &mut texts)?;
        texts.sort();
        let mut project = Self::from_texts(texts);
        project.root = project.manifest("Cargo.toml")?;

        let metadata = MetadataCommand::new()
            .current_dir(root)
            .no_deps()
            .exec()
            .context("asking `cargo metadata` for the members")?;
        for package in metadata.packages {
            let path = relative(root, package.manifest_path.as_std_path());
            project.members.push(Member {
                name: package.name.to_string(),
                manifest: project.manifest(&path)?,
                depends: package
                    .dependencies
                    .into_iter()
                    .map(|it| (it.name, it.kind))
                    .collect(),
            });
        }
        Ok(project)
    }

    /// A project of files alone, given as path and text.
    pub(super) fn from_texts(texts: Vec<(String, String)>) -> Self {
        let mut files: Vec<File> = texts
            .into_iter()
            .map(|(path, text)| File {
                rust: path.ends_with(".rs").then(|| RustSource::new(&path, &text)),
                path,
                text,
            })
            .collect();
        mark_test_modules(&mut files);
        Self {
            files,
            ..Self::default()
        }
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files, each with its path.
    pub(super) fn rust_files(&self) -> impl Iterator<Item = (&File, &RustSource)> {
        self.files
            .iter()
            .filter_map(|file| Some((file, file.rust.as_ref()?)))
    }

    fn manifest(&self, path: &str) -> Result<Manifest> {
        let file = self
            .file(path)
            .with_context(|| format!("{path} is not in the repository"))?;
        Manifest::parse(path, &file.text)
    }
}

/// Makes test code of the files behind `#[cfg(test)] mod name;`, and of what those files declare.
fn mark_test_modules(files: &mut [File]) {
    loop {
        let paths: Vec<String> = files
            .iter()
            .filter_map(|file| file.rust.as_ref())
            .flat_map(RustSource::test_module_paths)
            .collect();
        let mut marked = false;
        for file in files.iter_mut().filter(|file| paths.contains(&file.path)) {
            let rust = file.rust.as_mut().expect("module paths end in .rs");
            marked |= rust.mark_all_as_test();
        }
        if !marked {
            return;
        }
    }
}

fn read_folder(root: &Path, folder: &Path, texts: &mut Vec<(String, String)>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        let path = entry.path();
        let name = entry.file_name();
        let kind = entry
            .file_type()
            .with_context(|| format!("looking at {}", path.display()))?;
        if kind.is_dir() {
            if !FOLDERS_LEFT_OUT.iter().any(|left_out| name == *left_out) {
                read_folder(root, &path, texts)?;
            }
        } else if kind.is_file() && is_text(&relative(root, &path)) {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("reading {} as UTF-8", path.display()))?;
            texts.push((relative(root, &path), text));
        }
    }
    Ok(())
}

fn is_text(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_name, ending)| ending);
    NAMES.contains(&path) || ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

#[cfg(test)]
impl Project {
    /// A project of tests, from paths and texts.
    pub(super) fn of_files(files: &[(&str, &str)]) -> Self {
        Self::from_texts(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    /// Adds the member `name` in a folder of that name, with the dependencies of the manifest.
    pub(super) fn with_member(mut self, name: &str, manifest: &str) -> Self {
        let path = format!("{name}/Cargo.toml");
        let manifest = Manifest::parse(&path, manifest).expect("the test's manifest is valid");
        let depends = manifest
            .dependencies
            .iter()
            .map(|it| (it.name.clone(), it.kind))
            .collect();
        self.members.push(Member {
            name: name.to_owned(),
            manifest,
            depends,
        });
        self
    }

    /// Sets the root manifest.
    pub(super) fn with_root(mut self, manifest: &str) -> Self {
        self.root = Manifest::parse("Cargo.toml", manifest).expect("the test's manifest is valid");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_behind_a_test_module_are_test_code_all_the_way_down() {
        let project = Project::of_files(&[
            ("c/src/lib.rs", "#[cfg(test)]\nmod samples;\nmod code;\n"),
            ("c/src/samples.rs", "mod deeper;\nfn x() {}\n"),
            ("c/src/samples/deeper.rs", "fn y() {}\n"),
            ("c/src/code.rs", "fn z() {}\n"),
        ]);
        let is_test = |path: &str| {
            let rust = project.file(path).and_then(|file| file.rust.as_ref());
            rust.expect("the file is there").is_test(1)
        };
        assert!(is_test("c/src/samples.rs"));
        assert!(is_test("c/src/samples/deeper.rs"));
        assert!(!is_test("c/src/code.rs"));
    }

    #[test]
    fn a_repository_on_disk_is_read_without_what_builds_leave_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("can be made");
            fs::write(path, text).expect("can be written");
        };
        write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"one\"]\n",
        );
        write(
            "one/Cargo.toml",
            "[package]\nname = \"one\"\nedition = \"2024\"\n",
        );
        write("one/src/lib.rs", "//! One.\n");
        write("target/debug/build.rs", "made\n");
        write("picture.png", "not text\n");

        let project = Project::read(folder.path()).expect("a small workspace is read");
        let paths: Vec<&str> = project
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(paths, ["Cargo.toml", "one/Cargo.toml", "one/src/lib.rs"]);
        assert_eq!(project.members[0].name, "one");
    }
}

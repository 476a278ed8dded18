//! Adding one large file and a folder of small files, durably, beside hashing and copying them.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    arguments::StoreArgs,
    files, kubo,
    table::{Row, Table, seconds_of},
    timed::{self, Run, command},
};

const HASH: &str = "openssl dgst -sha256";
const COPY: &str = "cp, then sync";
const COPY_ALL: &str = "cp -r, then sync";
const OURS: &str = "peerwork store add";
const OURS_ALL: &str = "peerwork store add -r";
const KUBO: &str = "ipfs add";

/// The tables of both.
pub(super) struct Figures {
    large: Table,
    small: Table,
}

/// Measures both in rounds.
pub(super) fn measure(args: &StoreArgs, folder: &Path) -> anyhow::Result<Figures> {
    let bench = Bench { args, folder };
    Ok(Figures {
        large: bench.large()?,
        small: bench.small()?,
    })
}

struct Bench<'a> {
    args: &'a StoreArgs,
    folder: &'a Path,
}

impl Bench<'_> {
    fn large(&self) -> anyhow::Result<Table> {
        let file = self.folder.join("large");
        files::large(&file, self.args.file_mib, 1)?;
        let path = text(&file);
        let mut rows = self.rows(&[HASH, COPY, OURS]);
        for _ in 0..self.args.rounds.max(1) {
            timed::warm_memory()?;
            for row in &mut rows {
                let run = match row.name {
                    HASH => timed::run(&mut [program("openssl", &["dgst", "-sha256", &path])])?,
                    COPY => self.copy(&path, &[])?,
                    OURS => self.ours(&[&path])?,
                    _ => self.kubo(&path)?,
                };
                row.push(run);
            }
        }
        std::fs::remove_file(&file)?;
        let longer = seconds_of(&rows, HASH).max(seconds_of(&rows, COPY));
        #[expect(clippy::cast_precision_loss, reason = "a size for a table")]
        let mib = self.args.file_mib as f64;
        Ok(Table {
            title: format!("one file of {} MiB", self.args.file_mib),
            mib,
            ratio: ("the longer of hashing and copying", longer),
            rows,
        })
    }

    fn small(&self) -> anyhow::Result<Table> {
        let files = self.folder.join("small");
        files::small(&files, self.args.small_files)?;
        let path = text(&files);
        let mut rows = self.rows(&[COPY_ALL, OURS_ALL]);
        for _ in 0..self.args.rounds.max(1) {
            timed::warm_memory()?;
            for row in &mut rows {
                let run = match row.name {
                    COPY_ALL => self.copy(&path, &["-r"])?,
                    OURS_ALL => self.ours(&["-r", &path])?,
                    _ => self.kubo(&path)?,
                };
                row.push(run);
            }
        }
        let copied = seconds_of(&rows, COPY_ALL);
        #[expect(clippy::cast_precision_loss, reason = "a size for a table")]
        let bytes = (self.args.small_files * files::SMALL_BYTES) as f64;
        Ok(Table {
            title: format!("{} files of 4 KiB", self.args.small_files),
            mib: bytes / f64::from(1 << 20),
            ratio: ("copying", copied),
            rows,
        })
    }

    fn rows(&self, names: &[&'static str]) -> Vec<Row> {
        let mut rows: Vec<Row> = names.iter().copied().map(Row::new).collect();
        rows.extend(self.args.kubo.is_some().then(|| Row::new(KUBO)));
        rows
    }

    fn copy(&self, path: &str, flags: &[&str]) -> anyhow::Result<Run> {
        let copy = self.folder.join("copy");
        let to = text(&copy);
        let mut arguments = flags.to_vec();
        arguments.extend([path, &to]);
        let run = timed::run(&mut [program("cp", &arguments), program("sync", &["-f", &to])])?;
        remove(&copy)?;
        Ok(run)
    }

    fn ours(&self, arguments: &[&str]) -> anyhow::Result<Run> {
        let data = self.folder.join("ours");
        let data_dir = text(&data);
        let mut add = command(
            &self.args.program,
            &["store", "add", "--store-max", "100GB"],
        );
        add.args(["--data-dir", &data_dir]).args(arguments);
        let run = timed::run(&mut [add])?;
        remove(&data)?;
        Ok(run)
    }

    fn kubo(&self, path: &str) -> anyhow::Result<Run> {
        let ipfs = self
            .args
            .kubo
            .clone()
            .unwrap_or_else(|| PathBuf::from("ipfs"));
        let repository = self.folder.join("kubo");
        kubo::init(&ipfs, &repository)?;
        let run = timed::run(&mut [kubo::add(&ipfs, &repository, path)])?;
        remove(&repository)?;
        Ok(run)
    }
}

fn program(name: &str, arguments: &[&str]) -> Command {
    command(Path::new(name), arguments)
}

pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Removes a file or folder.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.large, self.small)
    }
}

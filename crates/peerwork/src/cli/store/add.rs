//! `peerwork store add`: files and folders as blocks, with the CIDs of `ipfs add`.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use bytes::Bytes;
use cid::{Cid, Version};
use clap::Args;
use peerwork_store::{
    Block, DAG_PB, Sink as _,
    dag::{Node, NodeLink},
    unixfs::{AddEvent, AddOptions, Kind, Profile, Root, add, add_reader},
};
use serde_json::json;

use super::{
    access::Opened,
    context::Context,
    progress::{Display, Meter},
    sink::Blocks,
};
use crate::cli::{
    output::{Form, print_line, remark},
    printable::printable,
    size::size,
};

/// The longest name of a pin, as the API has it.
const NAME_BYTES_MAX: usize = 1024;
/// The most paths of one command: the API pins so many roots at once.
const PATHS_MAX: usize = 1024;

/// `peerwork store add`
#[derive(Args, Debug, Clone)]
pub(super) struct AddFlags {
    /// The files and folders, or - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Add folders with all that is in them
    #[arg(short = 'r', long)]
    recursive: bool,
    /// Add names that begin with a dot too
    #[arg(short = 'H', long)]
    hidden: bool,
    /// Put the paths into one directory, whose CID is the last one
    #[arg(short = 'w', long)]
    wrap_with_directory: bool,
    /// Only compute the CIDs: nothing is stored, and no node is asked
    #[arg(short = 'n', long)]
    only_hash: bool,
    /// Print the CIDs alone
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Print the last CID alone, when everything is stored
    #[arg(short = 'Q', long)]
    quieter: bool,
    /// Pin what was added, so that it is kept
    #[arg(long, default_value_t = true)]
    pin: bool,
    /// The name of the pin [default: the name of the path]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The parameters that decide the CIDs: unixfs-v0-2015, as `ipfs add` does it, or unixfs-v1-2025
    #[arg(long, value_name = "PROFILE", default_value = "unixfs-v0-2015")]
    profile: Profile,
    /// Keep the permission bits of files and folders; CIDs differ from those without
    #[arg(long)]
    preserve_mode: bool,
    /// Keep the times of change; CIDs differ from those without
    #[arg(long)]
    preserve_mtime: bool,
    /// The name of standard input in the directory of --wrap-with-directory
    #[arg(long, value_name = "NAME")]
    stdin_name: Option<String>,
}

impl AddFlags {
    fn is_stdin(&self) -> bool {
        self.paths == [Path::new("-")]
    }

    fn check(&self) -> anyhow::Result<()> {
        let dash = self.paths.iter().any(|path| path == Path::new("-"));
        anyhow::ensure!(
            self.is_stdin() || !dash,
            "standard input (-) is added alone; a file of that name is ./-"
        );
        anyhow::ensure!(
            !(self.is_stdin() && self.wrap_with_directory) || self.stdin_name.is_some(),
            "standard input needs a --stdin-name in a directory"
        );
        anyhow::ensure!(
            self.paths.len() <= PATHS_MAX,
            "at most {PATHS_MAX} paths are added at once; put them into a folder, or use --wrap-with-directory"
        );
        let name = self.name.as_deref().unwrap_or_default();
        anyhow::ensure!(
            name.len() <= NAME_BYTES_MAX,
            "the name of a pin has at most {NAME_BYTES_MAX} bytes"
        );
        Ok(())
    }

    /// Refuses folders in which the data directory is, or which are in its store: the node's keys would be
    /// given to others, and the store would grow by itself.
    fn spare(&self, data_dir: &Path) -> anyhow::Result<()> {
        for path in &self.paths {
            anyhow::ensure!(
                !self.recursive || !holds(path, data_dir, self.hidden),
                "{} holds the data directory {} with the store and the keys of its node: add what is \
                 beside it, or move it out",
                path.display(),
                data_dir.display()
            );
        }
        Ok(())
    }

    fn options(&self) -> AddOptions {
        AddOptions {
            profile: self.profile,
            recursive: self.recursive,
            hidden: self.hidden,
            preserve_mode: self.preserve_mode,
            preserve_mtime: self.preserve_mtime,
        }
    }

    fn shown(&self) -> Display {
        match self.quiet || self.quieter {
            true => Display::No,
            false => Display::Yes,
        }
    }

    /// The roots to pin, with their names.
    fn pins(&self, roots: &[Root]) -> Vec<(Cid, String)> {
        if !self.pin {
            return Vec::new();
        }
        let named = roots.iter().map(|root| {
            let name = self.name.clone().unwrap_or_else(|| root.path.clone());
            (root.cid, name)
        });
        named.collect()
    }
}

/// Adds the paths.
///
/// # Errors
/// When a path cannot be read, or the store does not take the blocks.
pub(super) async fn run(flags: AddFlags, context: &Context) -> anyhow::Result<()> {
    flags.check()?;
    let blocks = match flags.only_hash {
        true => Blocks::forgotten(context),
        false => {
            let Opened { access, data_dir } = context.open_with_folder().await?;
            flags.spare(&data_dir)?;
            Blocks::kept(&access, context).await?
        }
    };
    let form = context.form;
    let total = Arc::new(AtomicU64::new(0));
    if flags.shown() == Display::Yes && !flags.is_stdin() {
        let (paths, hidden, total) = (flags.paths.clone(), flags.hidden, Arc::clone(&total));
        // The sum is only for the progress: nothing waits for it, and the program's end ends it.
        drop(tokio::task::spawn_blocking(move || {
            let bytes = paths.iter().map(|path| content_bytes(path, hidden)).sum();
            total.store(bytes, Ordering::Relaxed);
        }));
    }
    let adding = tokio::task::spawn_blocking(move || Adding::new(flags, form, total).run(blocks));
    adding.await.context("adding ended early")?
}

/// Bytes of all files below a path; what cannot be read counts nothing here, and is an error where it is
/// added.
fn content_bytes(path: &Path, hidden: bool) -> u64 {
    let Ok(found) = path.symlink_metadata() else {
        return 0;
    };
    if found.is_file() {
        return found.len();
    }
    if !found.is_dir() {
        return 0;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let visible =
        entries.filter(|entry| hidden || !entry.file_name().as_encoded_bytes().starts_with(b"."));
    visible
        .map(|entry| content_bytes(&entry.path(), hidden))
        .sum()
}

/// Whether adding the folder `path` would add the data directory, or files of its store.
fn holds(path: &Path, data_dir: &Path, hidden: bool) -> bool {
    // A symbolic link is added as a link; a path that cannot be looked at is an error where it is added.
    let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let (Ok(path), Ok(data_dir)) = (path.canonicalize(), data_dir.canonicalize()) else {
        return false;
    };
    let is_seen = |below: &Path| {
        let mut names = below.iter().map(OsStr::as_encoded_bytes);
        hidden || names.all(|name| !name.starts_with(b"."))
    };
    let is_around = data_dir.strip_prefix(&path).is_ok_and(is_seen);
    is_folder && (is_around || path.starts_with(data_dir.join("store")))
}

/// The state of a run.
struct Adding {
    flags: AddFlags,
    form: Form,
    meter: Meter,
    total: Arc<AtomicU64>,
    files: u64,
    directories: u64,
    bytes: u64,
}

impl Adding {
    fn new(flags: AddFlags, form: Form, total: Arc<AtomicU64>) -> Self {
        let meter = Meter::new("add", form, flags.shown());
        Self {
            flags,
            form,
            meter,
            total,
            files: 0,
            directories: 0,
            bytes: 0,
        }
    }

    fn run(mut self, mut blocks: Blocks) -> anyhow::Result<()> {
        let roots = self.add(&mut blocks)?;
        let roots = match self.flags.wrap_with_directory {
            true => vec![self.wrap(&roots, &mut blocks)?],
            false => roots,
        };
        let pins = self.flags.pins(&roots);
        let count = blocks.blocks();
        blocks.finish(&pins)?;
        let last = roots.last().map(|root| root.cid);
        self.finish(last, count)
    }

    fn add(&mut self, blocks: &mut Blocks) -> anyhow::Result<Vec<Root>> {
        let (paths, options) = (self.flags.paths.clone(), self.flags.options());
        let mut unwritten = Ok(());
        let on = &mut |event| {
            let result = self.on(event);
            if unwritten.is_ok() {
                unwritten = result;
            }
        };
        let roots = match paths == [Path::new("-")] {
            true => vec![add_reader(io::stdin(), &options, blocks, on)?],
            false => add(&paths, &options, blocks, on)?,
        };
        unwritten?;
        Ok(roots)
    }

    fn on(&mut self, event: AddEvent) -> anyhow::Result<()> {
        match event {
            AddEvent::Bytes(bytes) => {
                let total = self.total.load(Ordering::Relaxed);
                self.meter.set_total(Some(total).filter(|total| *total > 0));
                self.bytes += bytes;
                self.meter.add(bytes);
                Ok(())
            }
            AddEvent::Added {
                cid,
                path,
                size,
                kind,
            } => {
                match kind {
                    Kind::Directory => self.directories += 1,
                    Kind::File | Kind::Symlink => self.files += 1,
                }
                self.added(&cid, &path, size, kind)
            }
        }
    }

    /// Prints the line of an entry.
    fn added(&self, cid: &Cid, path: &str, size: u64, kind: Kind) -> anyhow::Result<()> {
        let line = match self.form {
            _ if self.flags.quieter => return Ok(()),
            Form::Json => json!({
                "event": "added",
                "cid": cid.to_string(),
                "path": path,
                "size": size,
                "kind": kind_of(kind),
            })
            .to_string(),
            Form::Text if self.flags.quiet => cid.to_string(),
            Form::Text => format!("added {cid} {}", printable(path)),
        };
        self.meter.beside(|| print_line(&line))
    }

    /// Puts the roots into a directory.
    fn wrap(&mut self, roots: &[Root], blocks: &mut Blocks) -> anyhow::Result<Root> {
        let stdin_name = self.flags.stdin_name.as_deref();
        let name = |root: &Root| match stdin_name.filter(|_| self.flags.is_stdin()) {
            Some(name) => name.to_owned(),
            None => root.path.clone(),
        };
        let mut links: Vec<NodeLink> = roots
            .iter()
            .map(|root| NodeLink {
                name: Bytes::from(name(root)),
                cid: root.cid,
                tsize: root.size,
            })
            .collect();
        links.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = links.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let name = String::from_utf8_lossy(&twice[0].name).into_owned();
            anyhow::bail!("two paths are called `{name}`: a directory has each name once");
        }
        let tsize: u64 = links.iter().map(|link| link.tsize).sum();
        let node = Node {
            links,
            // A UnixFS message with the kind of a directory alone.
            data: Some(Bytes::from_static(&[8, 1])),
        };
        let version = roots
            .first()
            .map_or(Version::V0, |root| match self.flags.profile {
                Profile::UnixfsV0_2015 => Version::V0,
                _ => root.cid.version(),
            });
        let block = Block::new(version, DAG_PB, node.encode())?;
        let size = tsize + block.data().len() as u64;
        let cid = *block.cid();
        blocks.put(block)?;
        self.directories += 1;
        self.added(&cid, "", size, Kind::Directory)?;
        Ok(Root {
            cid,
            path: String::new(),
            size,
            content: self.bytes,
        })
    }

    /// Says that everything is stored.
    fn finish(self, last: Option<Cid>, blocks: u64) -> anyhow::Result<()> {
        let Self {
            flags,
            form,
            meter,
            files,
            directories,
            bytes,
            ..
        } = self;
        drop(meter);
        let pinned = flags.pin && !flags.only_hash;
        match form {
            Form::Json => print_line(
                &json!({
                    "event": "total",
                    "cid": last.map(|cid| cid.to_string()),
                    "files": files,
                    "directories": directories,
                    "bytes": bytes,
                    "blocks": blocks,
                    "stored": !flags.only_hash,
                    "pinned": pinned,
                })
                .to_string(),
            ),
            Form::Text if flags.quieter => match last {
                Some(cid) => print_line(&cid.to_string()),
                None => Ok(()),
            },
            Form::Text if flags.quiet => Ok(()),
            Form::Text => {
                io::stdout().flush().ok();
                let end = match (flags.only_hash, pinned) {
                    (true, _) => "nothing was stored",
                    (_, true) => "stored and pinned",
                    (_, false) => "stored and not pinned",
                };
                remark(&format!(
                    "{files} files, {directories} directories, {} in {blocks} blocks: {end}",
                    size(bytes)
                ));
                Ok(())
            }
        }
    }
}

/// The word of a kind in JSON.
pub(super) fn kind_of(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
    }
}

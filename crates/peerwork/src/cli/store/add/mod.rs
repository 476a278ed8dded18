//! `peerwork store add`: files and folders as blocks, with the CIDs of `ipfs add`.
//!
//! ```text
//!  flags.rs ─▶ mod.rs ─ paths ─▶ peerwork_store::unixfs ─ blocks ─▶ ../sink.rs
//!     │          ├── events ─▶ report.rs: lines, progress, the sum
//!  paths.rs      └── roots ──▶ wrap.rs: the directory around them
//! ```

mod flags;
mod paths;
mod report;
mod wrap;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use peerwork_store::{
    Sink as _,
    unixfs::{AddEvent, Kind, Root, add, add_reader},
};

pub(super) use self::{flags::AddFlags, report::kind_of};
use self::{
    paths::content_bytes,
    report::{Added, Report},
};
use super::{access::Opened, context::Context, progress::Display, sink::Blocks};

/// Adds the paths.
///
/// # Errors
/// When a path cannot be read, or the store does not take the blocks.
pub(super) async fn run(flags: AddFlags, context: &Context) -> anyhow::Result<()> {
    let flags = flags.with_input()?;
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
    let report = Report::new(&flags, form);
    let adding = Adding {
        flags,
        report,
        total,
    };
    let adding = tokio::task::spawn_blocking(move || adding.run(blocks));
    adding.await.context("adding ended early")?
}

/// The state of a run.
struct Adding {
    flags: AddFlags,
    report: Report,
    total: Arc<AtomicU64>,
}

impl Adding {
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
        self.report.finish(last, count)
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
                self.report
                    .read(bytes, Some(total).filter(|total| *total > 0));
                Ok(())
            }
            AddEvent::Added {
                cid,
                path,
                size,
                kind,
            } => self.report.added(&Added {
                cid,
                path: &path,
                size,
                kind,
            }),
        }
    }

    /// Puts the roots into a directory.
    fn wrap(&mut self, roots: &[Root], blocks: &mut Blocks) -> anyhow::Result<Root> {
        let stdin_name = self.flags.stdin_name.as_deref();
        let stdin_name = stdin_name.filter(|_| self.flags.is_stdin());
        let (block, root) = wrap::directory(roots, stdin_name, self.flags.profile)?;
        blocks.put(block)?;
        self.report.added(&Added {
            cid: root.cid,
            path: &root.path,
            size: root.size,
            kind: Kind::Directory,
        })?;
        Ok(root)
    }
}

//! Long tasks of a store: `pin`, `unpin`, `rm`, `gc`, `verify`, `provide`.

use std::{future::Future, sync::Arc};

use anyhow::Context as _;
use cid::Cid;
use clap::Args;
use peerwork::store::{Reading, findings, offline::OfflineStore};
use peerwork_api::store::v1;
use peerwork_store::{PinError, Progress, Repair, Store, StoreError};
use serde::Serialize;
use serde_json::json;
use tonic::{Code, Response, Status, Streaming};

use super::{
    access::Access,
    address::root,
    context::Context,
    failures::{not_pinned, told},
    progress::{Display, Meter},
    remote::next,
    source::SourceFlags,
    teller::message,
};
use crate::cli::{
    output::{Answer, Form, remark},
    size::size,
};

/// The flag of commands that show their progress.
#[derive(Args, Debug, Clone, Copy, Default)]
pub(super) struct QuietFlag {
    /// Show no progress
    #[arg(short = 'q', long)]
    quiet: bool,
}

impl QuietFlag {
    pub(super) fn shown(self) -> Display {
        match self.quiet {
            true => Display::No,
            false => Display::Yes,
        }
    }
}

/// A root on the command line.
#[derive(Args, Debug, Clone)]
pub(super) struct RootFlag {
    /// The root: CID, /ipfs/CID or ipfs://CID
    #[arg(value_name = "CID", value_parser = root)]
    pub(super) cid: Cid,
}

/// `peerwork store pin`
#[derive(Args, Debug, Clone)]
pub(super) struct PinFlags {
    #[command(flatten)]
    root: RootFlag,
    /// A name for the pin
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    name: String,
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    quiet: QuietFlag,
}

/// `peerwork store gc`
#[derive(Args, Debug, Clone, Copy)]
pub(super) struct CollectFlags {
    #[command(flatten)]
    quiet: QuietFlag,
}

/// `peerwork store verify`
#[derive(Args, Debug, Clone, Copy)]
pub(super) struct VerifyFlags {
    /// Remove damaged blocks, so that they can be fetched or added again
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    quiet: QuietFlag,
}

/// The result of a task.
#[derive(Serialize)]
struct Done {
    event: &'static str,
    /// The root that the task was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<String>,
    blocks: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_pins: Option<u64>,
}

impl Done {
    fn of(event: &'static str, cid: Option<Cid>) -> Self {
        Self {
            event,
            cid: cid.map(|cid| cid.to_string()),
            blocks: 0,
            bytes: 0,
            damaged: None,
            repaired: None,
            broken_pins: None,
        }
    }

    fn with(self, outcome: v1::Outcome) -> Self {
        let v1::Outcome {
            blocks,
            bytes,
            damaged,
            repaired,
            broken_pins,
            deliveries: _,
        } = outcome;
        let verified = self.event == "verified";
        Self {
            blocks,
            bytes,
            damaged: verified.then_some(damaged),
            repaired: verified.then_some(repaired),
            broken_pins: verified.then_some(broken_pins),
            ..self
        }
    }
}

impl Answer for Done {
    fn text(&self) -> String {
        let amount = format!("{} blocks, {}", self.blocks, size(self.bytes));
        match (&self.cid, self.damaged) {
            (Some(cid), _) if self.event == "removed" && self.blocks == 0 => format!(
                "removed {cid}: {amount}, because its blocks are not here, or other pins keep them"
            ),
            (Some(cid), _) if self.event == "removed" => format!("removed {cid}: {amount}"),
            (Some(cid), _) => format!("{} {cid}", self.event),
            (None, Some(damaged)) => {
                let repaired = self.repaired.unwrap_or_default();
                match self.broken_pins.unwrap_or_default() {
                    0 if damaged == 0 => format!("verified {amount}: nothing is damaged"),
                    broken => format!(
                        "verified {amount}: {damaged} blocks are damaged, {repaired} were removed; \
                         {broken} pins lack blocks"
                    ),
                }
            }
            (None, None) => format!("{} {amount}", self.event),
        }
    }
}

/// Writes what a task found to standard error.
fn found(form: Form, text: &str) {
    match form {
        Form::Text => remark(text),
        Form::Json => remark(&json!({"event": "finding", "text": text}).to_string()),
    }
}

/// Watches a task of a node until it is done.
async fn watch(
    begun: impl Future<Output = Result<Response<Streaming<v1::TaskResponse>>, Status>>,
    meter: &mut Meter,
    form: Form,
) -> anyhow::Result<v1::Outcome> {
    use v1::task_response::Kind;
    let mut events = begun.await.map_err(|status| told(&status))?.into_inner();
    while let Some(event) = next(&mut events).await? {
        match event.kind {
            Some(Kind::Progress(at)) => {
                meter.set_total(at.bytes_total);
                meter.at(at.blocks, at.bytes);
            }
            Some(Kind::Dropped(dropped)) => meter.teller().dropped(&dropped),
            Some(Kind::Finding(finding)) => meter.beside(|| found(form, &finding.text)),
            Some(Kind::Done(outcome)) => return Ok(outcome),
            None => {}
        }
    }
    anyhow::bail!("the node ended the task before its end")
}

/// Runs a task on the store of a folder, on a thread that may block.
async fn on_folder<T: Send + 'static>(
    folder: &Arc<OfflineStore>,
    context: &Context,
    mut meter: Meter,
    task: impl FnOnce(&Store, &mut dyn FnMut(Progress) -> bool) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (folder, stop) = (Arc::clone(folder), context.stop.clone());
    let running = tokio::task::spawn_blocking(move || {
        let mut on = |at: Progress| {
            meter.set_total(at.bytes_total);
            meter.at(at.blocks, at.bytes);
            !stop.is_cancelled()
        };
        task(folder.store(), &mut on)
    });
    let ended = running.await.context("the task ended early")?;
    anyhow::ensure!(!context.stop.is_cancelled(), Context::stopped());
    ended
}

fn outcome(at: Progress) -> v1::Outcome {
    v1::Outcome {
        blocks: at.blocks,
        bytes: at.bytes,
        ..v1::Outcome::default()
    }
}

/// Pins a root.
///
/// # Errors
/// When a block below the root is missing and cannot be fetched.
pub(super) async fn pin(flags: PinFlags, context: &Context) -> anyhow::Result<()> {
    let access = context.open().await?;
    flags.sources.check(&access)?;
    context.kept.fetches_from(&access);
    let root = flags.root.cid;
    let mut meter = Meter::new("pin", context.form, flags.quiet.shown());
    let outcome = match access {
        Access::Node(mut client) => {
            let request = v1::PinRequest {
                root: root.to_bytes(),
                name: flags.name,
                sources: Some(flags.sources.message()),
            };
            let watched = watch(client.pin(request), &mut meter, context.form);
            let outcome = context.unless_stopped(watched).await?;
            meter.teller().delivered(&outcome.deliveries);
            outcome
        }
        Access::Folder(folder) => {
            let name = flags.name;
            let fetched = match flags.sources.offline {
                true => None,
                false => {
                    let fetching =
                        async { Ok(folder.fetch(root, |bytes| meter.add(bytes)).await?) };
                    context.unless_stopped(fetching).await?
                }
            };
            let deliveries = fetched.iter().flat_map(Reading::deliveries).map(message);
            meter.teller().delivered(&deliveries.collect::<Vec<_>>());
            let pin = move |store: &Store, _: &mut dyn FnMut(Progress) -> bool| {
                if let Some(fetched) = &fetched {
                    fetched.commit()?;
                }
                store.pin(&root, &name).map_err(|error| match error {
                    PinError::Store(StoreError::Missing(_)) => {
                        anyhow::Error::new(error).context("no node runs here that could fetch it")
                    }
                    error => error.into(),
                })
            };
            on_folder(&folder, context, meter, pin).await?;
            v1::Outcome::default()
        }
    };
    context
        .form
        .show(&Done::of("pinned", Some(root)).with(outcome))
}

/// Ends a pin.
///
/// # Errors
/// When there is no such pin.
pub(super) async fn unpin(RootFlag { cid }: RootFlag, context: &Context) -> anyhow::Result<()> {
    match context.open().await? {
        Access::Node(mut client) => {
            let root = cid.to_bytes();
            let answer = client.unpin(v1::RootRequest { root }).await;
            answer.map_err(|status| match status.code() {
                Code::NotFound => not_pinned(&cid),
                _ => told(&status),
            })?;
        }
        Access::Folder(folder) => {
            let unpinned = tokio::task::spawn_blocking(move || folder.store().unpin(&cid)).await;
            if !unpinned?? {
                return Err(not_pinned(&cid));
            }
        }
    }
    context.form.show(&Done::of("unpinned", Some(cid)))
}

/// Ends a pin and removes the blocks that nothing else keeps.
///
/// # Errors
/// When the store fails.
pub(super) async fn remove(RootFlag { cid }: RootFlag, context: &Context) -> anyhow::Result<()> {
    let mut meter = Meter::new("rm", context.form, Display::Yes);
    let outcome = match context.open().await? {
        Access::Node(mut client) => {
            let root = cid.to_bytes();
            let watched = watch(
                client.remove(v1::RootRequest { root }),
                &mut meter,
                context.form,
            );
            context.unless_stopped(watched).await?
        }
        Access::Folder(folder) => {
            let remove = move |store: &Store, on: &mut dyn FnMut(Progress) -> bool| {
                store.unpin(&cid)?;
                Ok(store.remove(&cid, on)?)
            };
            outcome(on_folder(&folder, context, meter, remove).await?)
        }
    };
    context
        .form
        .show(&Done::of("removed", Some(cid)).with(outcome))
}

/// Removes all blocks that nothing keeps.
///
/// # Errors
/// When the store fails.
pub(super) async fn collect(flags: CollectFlags, context: &Context) -> anyhow::Result<()> {
    let mut meter = Meter::new("gc", context.form, flags.quiet.shown());
    let outcome = match context.open().await? {
        Access::Node(mut client) => {
            let watched = watch(
                client.collect(v1::CollectRequest {}),
                &mut meter,
                context.form,
            );
            context.unless_stopped(watched).await?
        }
        Access::Folder(folder) => {
            let collect = |store: &Store, on: &mut dyn FnMut(Progress) -> bool| Ok(store.gc(on)?);
            outcome(on_folder(&folder, context, meter, collect).await?)
        }
    };
    context
        .form
        .show(&Done::of("collected", None).with(outcome))
}

/// Compares the whole store with its checksums.
///
/// # Errors
/// When the store fails, blocks are damaged and were not removed, or pins lack blocks.
pub(super) async fn verify(flags: VerifyFlags, context: &Context) -> anyhow::Result<()> {
    let mut meter = Meter::new("verify", context.form, flags.quiet.shown());
    let (repair, form) = (flags.repair, context.form);
    let outcome = match context.open().await? {
        Access::Node(mut client) => {
            let watched = watch(
                client.verify(v1::VerifyRequest { repair }),
                &mut meter,
                context.form,
            );
            context.unless_stopped(watched).await?
        }
        Access::Folder(folder) => {
            let verify = move |store: &Store, on: &mut dyn FnMut(Progress) -> bool| {
                let (mode, dropped) = match repair {
                    true => (Repair::DropDamaged, 1),
                    false => (Repair::No, 0),
                };
                let verified = store.verify(mode, on)?.ok_or_else(Context::stopped)?;
                let findings = findings(&verified);
                findings.iter().for_each(|(_, text)| found(form, text));
                Ok(v1::Outcome {
                    blocks: verified.blocks,
                    bytes: verified.bytes,
                    damaged: verified.damaged_total,
                    repaired: verified.damaged_total * dropped,
                    broken_pins: verified.broken_pins_total,
                    deliveries: Vec::new(),
                })
            };
            on_folder(&folder, context, meter, verify).await?
        }
    };
    let left = outcome.damaged.saturating_sub(outcome.repaired);
    let broken = outcome.broken_pins;
    context
        .form
        .show(&Done::of("verified", None).with(outcome))?;
    anyhow::ensure!(
        left == 0,
        "{left} blocks are damaged: `peerwork store verify --repair` removes them, and `peerwork store \
         pin` or `add` brings them again"
    );
    anyhow::ensure!(
        broken == 0,
        "{broken} pins lack blocks: `peerwork store pin CID` fetches them from other nodes, `add` adds \
         them again, and `unpin CID` gives the pin up"
    );
    Ok(())
}

/// Announces a root to the network.
///
/// # Errors
/// When no node runs, or it serves nothing.
pub(super) async fn provide(RootFlag { cid }: RootFlag, context: &Context) -> anyhow::Result<()> {
    let Access::Node(mut client) = context.open().await? else {
        anyhow::bail!("only a running node can be found by others: start `peerwork node --store`");
    };
    let root = cid.to_bytes();
    let answer = client.provide(v1::RootRequest { root }).await;
    answer.map_err(|status| told(&status))?;
    context.form.show(&Done::of("provided", Some(cid)))
}

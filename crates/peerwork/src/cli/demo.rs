//! `peerwork demo`: runs a whole network in one process.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use peerwork::demo::{CheckReport, Demo, DemoOptions};
use serde::Serialize;

use super::{
    command::{Call, Command},
    output::{Answer, Form, aligned},
    runtime::block_on,
    signals::{STOP_DEADLINE, Signals},
};

/// `peerwork demo`
#[derive(Args, Debug)]
pub(crate) struct DemoFlags {
    /// Make the calls, print the answers, and exit with 0 or 1
    #[arg(long)]
    check: bool,
    /// The first of the ports to use; without it, free ones are taken
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    base_port: Option<u16>,
}

impl Command for DemoFlags {
    const NAME: &'static str = "demo";
    const ABOUT: &'static str =
        "Run a whole network on this machine: two relays, an edge and a web app";

    /// Fails when the network cannot start or does not stop in time, or a call of the check failed.
    fn run(self, call: &Call<'_>) -> anyhow::Result<()> {
        let (_, form) = call.with_quiet_log()?;
        block_on(run(self, form))
    }
}

/// Runs the demo until a signal, or checks it and ends.
async fn run(flags: DemoFlags, form: Form) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let options = DemoOptions {
        base_port: flags.base_port,
    };
    let demo = tokio::select! {
        biased;
        signal = signals.next() => anyhow::bail!("ended by a signal before the demo ran: {signal}"),
        demo = Demo::start(options) => demo.context("cannot start the demo")?,
    };
    if flags.check {
        return check(demo, form).await;
    }
    form.announce(&Running::from(&demo));
    signals.stop_on_signal(Box::pin(demo.stop())).await
}

async fn check(demo: Demo, form: Form) -> anyhow::Result<()> {
    let report = demo.check().await;
    let stopped = tokio::time::timeout(STOP_DEADLINE, demo.stop()).await;
    form.show(&Checked::from(&report))?;
    anyhow::ensure!(
        report.passed(),
        "the demo network did not answer as it should"
    );
    stopped.context("the demo did not end in time")
}

/// The URLs and node id of a running demo.
#[derive(Serialize)]
struct Running {
    edge: String,
    webapp: SocketAddr,
    app_urls: [String; 2],
    event_urls: [String; 2],
}

impl From<&Demo> for Running {
    fn from(demo: &Demo) -> Self {
        Self {
            edge: demo.edge().to_string(),
            webapp: demo.webapp(),
            app_urls: demo.app_urls(),
            event_urls: demo.event_urls(),
        }
    }
}

impl Answer for Running {
    fn text(&self) -> String {
        let [app, other_app] = &self.app_urls;
        let [events, other_events] = &self.event_urls;
        let rows = aligned(&[
            ("Edge", self.edge.clone()),
            ("Web app", format!("http://{}/home", self.webapp)),
            ("Through relay 1", format!("{app}/home")),
            ("Through relay 2", format!("{other_app}/home")),
            ("Events, relay 1", events.clone()),
            ("Events, relay 2", other_events.clone()),
        ]);
        format!(
            "\n[DEMO]\n{rows}\nTwo relays, an edge and a web app run in this process. \
             Call the app through a relay:\n\n  \
             curl {app}/echo -H 'Content-Type: application/json' --data '{{\"message\":\"hello\"}}'\n\n\
             Ctrl-C ends the demo.\n"
        )
    }
}

/// The result of the check.
#[derive(Serialize)]
struct Checked {
    passed: bool,
    steps: Vec<Step>,
    #[serde(skip)]
    text: String,
}

#[derive(Serialize)]
struct Step {
    what: String,
    saw: String,
    ok: bool,
}

impl From<&CheckReport> for Checked {
    fn from(report: &CheckReport) -> Self {
        let steps = report.steps.iter().map(|step| Step {
            what: step.what.clone(),
            saw: step.saw.clone(),
            ok: step.ok,
        });
        Self {
            passed: report.passed(),
            steps: steps.collect(),
            text: report.to_string(),
        }
    }
}

impl Answer for Checked {
    fn text(&self) -> String {
        let verdict = if self.passed {
            "All calls were answered as they should."
        } else {
            "Something is wrong."
        };
        format!("\n[DEMO CHECK]\n{}\n{verdict}\n", self.text)
    }
}

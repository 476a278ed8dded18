//! `peerwork relay top`: shows the figures of a running relay in the terminal.

mod view;

use std::{io::IsTerminal as _, time::Duration};

use anyhow::Context as _;
use clap::Args;
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use hyper::Method;
use peerwork::{addresses::reachable, http_call, runtime_file::RuntimeFile};
use peerwork_api::RelayReport;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cli::{
    nodes,
    output::{Answer, Form},
    settings::Resolved,
};

/// The pause between two requests for the report.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the relay may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// The largest report that is read. A report with five hundred nodes, circuits and topics each has less
/// than a tenth of this size.
const REPORT_BYTES_MAX: usize = 8 << 20;

/// `peerwork relay top`
#[derive(Args, Debug)]
pub(crate) struct TopFlags {
    /// The relay's port for browsers, http://HOST:PORT [default: of the relay of the data
    /// directory, or of the only one that runs]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Print the report once and end, also without a terminal
    #[arg(long)]
    once: bool,
}

/// One report, as text or JSON.
#[derive(Serialize)]
#[serde(transparent)]
struct Once(RelayReport);

impl Answer for Once {
    fn text(&self) -> String {
        view::as_text(&self.0)
    }
}

/// # Errors
/// When the relay does not answer at the start, or the terminal cannot be drawn on.
pub(super) async fn run(flags: &TopFlags, resolved: &Resolved, form: Form) -> anyhow::Result<()> {
    let url = match &flags.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => of_running_relay(resolved).await?,
    };
    let first = look(&url).await?;
    if flags.once || form == Form::Json || !std::io::stdout().is_terminal() {
        return form.show(&Once(first));
    }
    let mut terminal = ratatui::try_init().context("the terminal cannot be drawn on")?;
    let watched = watch(&url, first, &mut terminal).await;
    ratatui::restore();
    watched
}

/// The URL of the port for browsers of the relay that the data directory names, or of the only running
/// relay that has such a port.
async fn of_running_relay(resolved: &Resolved) -> anyhow::Result<String> {
    let dir = resolved.data_dir.display();
    let file = if resolved.data_dir_is_default {
        let mut running = nodes::running(&resolved.data_dir).await;
        if running.iter().any(|running| running.node.front.is_some()) {
            running.retain(|running| running.node.front.is_some());
        }
        nodes::only(running).await?.node
    } else {
        RuntimeFile::load(&resolved.data_dir)?
            .with_context(|| format!("no relay runs with {dir}: name its --data-dir or its URL"))?
    };
    let front = file.front.with_context(|| {
        format!(
            "the node {} has no port for browsers: `peerwork relay` starts one that has",
            file.node_id
        )
    })?;
    Ok(format!("http://{}", reachable(front)))
}

async fn look(url: &str) -> anyhow::Result<RelayReport> {
    let at = format!("{url}/status.json");
    let call = timeout(
        DEADLINE,
        http_call::call(Method::GET, &at, "", REPORT_BYTES_MAX),
    )
    .await;
    let answer = call.map_err(|_| format!("no answer within {DEADLINE:?}"));
    let (status, body) = answer
        .and_then(|answer| answer)
        .map_err(|reason| anyhow::anyhow!("{at}: {reason}"))?;
    anyhow::ensure!(
        status == 200,
        "{at} answered {status}: it is no relay's port for browsers"
    );
    serde_json::from_str(&body).with_context(|| format!("{at} is not what a relay answers"))
}

async fn watch(
    url: &str,
    first: RelayReport,
    terminal: &mut ratatui::DefaultTerminal,
) -> anyhow::Result<()> {
    let mut keys = EventStream::new();
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut report, mut trouble) = (first, None);
    loop {
        terminal.draw(|frame| view::draw(frame, &report, trouble.as_deref()))?;
        tokio::select! {
            _ = ticks.tick() => match look(url).await {
                Ok(latest) => (report, trouble) = (latest, None),
                Err(error) => trouble = Some(format!("{error:#}")),
            },
            event = keys.next() => match event {
                Some(Ok(event)) if ends(&event) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}

fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

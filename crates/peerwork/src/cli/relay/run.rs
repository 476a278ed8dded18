//! Runs a relay until a signal.

use std::{path::Path, time::Duration};

use peerwork::{Node, config::Config};
use peerwork_api::RelayReport;
use serde::Serialize;
use tokio::time::{Instant, interval_at};
use tokio_util::task::AbortOnDropHandle;

use super::{compose, flags::RelayNodeFlags, peer_log::log_peers};
use crate::cli::{
    network_file::Chosen,
    network_sources::Sources,
    nodes::records_folder,
    output::{Answer, Form},
    running::Found,
    runtime::block_on,
    settings::Resolved,
    signals::Signals,
};

/// # Errors
/// When settings are invalid, the relay cannot start, or it does not stop in time.
pub(super) fn run(resolved: &Resolved<RelayNodeFlags>, form: Form) -> anyhow::Result<()> {
    let flags = &resolved.own;
    let found = Found::new(resolved, || network(flags, &resolved.data_dir))?;
    let has_secret = !found.network.network.secrets.is_empty();
    let mut config = compose::config(flags, found)?;
    if has_secret {
        tracing::warn!(
            "the network has a secret, so this relay refuses pages and programs that do not prove it by \
             /peerwork/network/1, as libp2p libraries alone do not"
        );
    }
    config.records = records_folder();
    block_on(serve(config, flags, form))
}

/// Loads the network. Without a network file, this relay is the only node of the network with the id 0.
fn network(flags: &RelayNodeFlags, data_dir: &Path) -> anyhow::Result<Chosen> {
    let sources = Sources {
        named: flags.network.as_deref(),
        ticket: flags.join.as_deref(),
        data_dir,
    };
    sources.join()?;
    let chosen = sources.choose()?;
    Ok(chosen.unwrap_or_else(Chosen::without_a_file))
}

/// The output of a running relay: its addresses.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reach {
    peer_id: String,
    relay_address: Option<String>,
    browsers: Vec<String>,
    programs: Vec<String>,
    page: Option<String>,
}

impl Answer for Reach {
    fn text(&self) -> String {
        let mut lines = vec![format!("Peer Id: {}", self.peer_id)];
        // Each line has three words, so that scripts can take the third.
        lines.extend(
            self.relay_address
                .iter()
                .map(|a| format!("Relay Address: {a}")),
        );
        let browsers = self.browsers.iter().map(|a| format!("For browsers: {a}"));
        lines.extend(browsers);
        let programs = self.programs.iter().map(|a| format!("For programs: {a}"));
        lines.extend(programs);
        lines.extend(self.page.iter().map(|page| format!("Live page: {page}")));
        lines.join("\n")
    }
}

impl Reach {
    fn of(node: &Node, report: Option<RelayReport>) -> Self {
        let addresses = report.map(|report| report.addresses).unwrap_or_default();
        // Without a port for browsers there is no report, and the lists are empty.
        let own = node.p2p_addresses().into_iter().map(|a| a.to_string());
        let (to_browsers, to_programs): (Vec<_>, Vec<_>) = own.partition(|a| for_browsers(a));
        let or = |listed: Vec<String>, own| if listed.is_empty() { own } else { listed };
        let browsers = or(addresses.browsers, to_browsers);
        let programs = or(addresses.programs, to_programs);
        let page = node.addresses().front_url().map(|url| format!("{url}/"));
        let first = browsers.first().or(programs.first());
        Self {
            peer_id: node.node_id().to_string(),
            relay_address: first.cloned(),
            browsers,
            programs,
            page,
        }
    }
}

fn for_browsers(address: &str) -> bool {
    address.contains("/ws") || address.contains("/webrtc-direct")
}

async fn serve(config: Config, flags: &RelayNodeFlags, form: Form) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let node = Node::start(config).await?;
    let report = node.relay_reporter();
    form.announce(&Reach::of(&node, report.as_ref().map(|report| report())));
    let every = flags.report_every;
    let _reporting = report.filter(|_| !every.is_zero()).map(|report| {
        let reporting = report_again_and_again(report, every);
        AbortOnDropHandle::new(tokio::spawn(reporting))
    });
    let _peer_log = (!flags.no_peer_log).then(|| {
        let logging = log_peers(node.network().clone());
        AbortOnDropHandle::new(tokio::spawn(logging))
    });
    signals
        .stop_on_signal(async move {
            node.stop().await;
        })
        .await
}

async fn report_again_and_again(report: impl Fn() -> RelayReport, every: Duration) {
    let mut ticks = interval_at(Instant::now() + every, every);
    loop {
        ticks.tick().await;
        let report = report();
        tracing::info!(
            connections = report.connections,
            reservations = report.reservations.held,
            circuits = report.circuits.open,
            topics = report.topics.len(),
            received_bytes = report.traffic.received_bytes,
            sent_bytes = report.traffic.sent_bytes,
            refused = report.reservations.refused.values().sum::<u64>(),
            "the relay's figures"
        );
    }
}

//! Fetching one file from another node, beside the same bytes over plain TCP, a tunnel and `sendme`.

use std::{fmt, path::Path};

use super::{
    adding::{remove, text},
    arguments::StoreArgs,
    files, nodes, sendme,
    table::{Row, Table, seconds_of},
    timed::{self, Run, command},
};
use crate::{body, children::output, topology::Routes};

const PLAIN: &str = "plain HTTP over TCP, to memory";
const TUNNEL: &str = "a tunnel (relay → edge), to memory";
const FETCH: &str = "peerwork store pin (fetched and stored durably)";
const GET: &str = "peerwork store get (the same, and written as a file)";
const SENDME: &str = "sendme receive (fetched, and written as a file)";

/// The table.
pub(super) struct Figures(Table);

/// Measures all in rounds.
pub(super) async fn measure(args: &StoreArgs, folder: &Path) -> anyhow::Result<Figures> {
    let bytes = args.fetch_mib << 20;
    let mut rows: Vec<Row> = [PLAIN, TUNNEL, FETCH, GET].map(Row::new).into();
    rows.extend(args.sendme.is_some().then(|| Row::new(SENDME)));
    let bench = Bench::start(args, folder)?;
    let routes = Routes::start(&args.program).await?;
    for round in 0..args.rounds.max(1) {
        timed::warm_memory()?;
        for row in &mut rows {
            let run = match row.name {
                PLAIN => body_of(&routes, "web app directly", bytes).await?,
                TUNNEL => body_of(&routes, "relay → edge", bytes).await?,
                FETCH => bench.ours(round, &["pin"], &[])?,
                GET => bench.ours(round, &["get"], &["-o", &text(&folder.join("got"))])?,
                _ => bench.sendme()?,
            };
            row.push(run);
        }
    }
    let tunnel = seconds_of(&rows, TUNNEL);
    #[expect(clippy::cast_precision_loss, reason = "a size for a table")]
    let mib = args.fetch_mib as f64;
    Ok(Figures(Table {
        title: format!("{} MiB from another process on loopback", args.fetch_mib),
        mib,
        ratio: ("the tunnel", tunnel),
        rows,
    }))
}

async fn body_of(routes: &Routes, name: &str, bytes: u64) -> anyhow::Result<Run> {
    let route = routes.routes.iter().find(|route| route.name == name);
    let route = route.ok_or_else(|| anyhow::anyhow!("there is no route {name}"))?;
    let mib_per_second = body::throughput(&route.target, bytes).await?;
    #[expect(clippy::cast_precision_loss, reason = "a size for a table")]
    let mib = bytes as f64 / f64::from(1 << 20);
    Ok(Run {
        seconds: mib / mib_per_second,
        peak_mib: 0.0,
    })
}

struct Bench<'a> {
    args: &'a StoreArgs,
    folder: &'a Path,
    network: std::path::PathBuf,
    cid: String,
    _server: nodes::Node,
    offered: Option<sendme::Offered>,
}

impl<'a> Bench<'a> {
    fn start(args: &'a StoreArgs, folder: &'a Path) -> anyhow::Result<Self> {
        let file = folder.join("fetched");
        files::large(&file, args.fetch_mib, 2)?;
        let path = text(&file);
        let (server, network) = nodes::server(&args.program, folder)?;
        let add = ["store", "add", "-Q", "--data-dir", &server.data_dir, &path];
        let cid = output(&args.program, &add)?;
        let offered = match &args.sendme {
            Some(program) => Some(sendme::offer(program, &path, folder)?),
            None => None,
        };
        Ok(Self {
            args,
            folder,
            network,
            cid,
            _server: server,
            offered,
        })
    }

    /// A command of a fresh node; its start is not counted.
    fn ours(&self, round: usize, verb: &[&str], more: &[&str]) -> anyhow::Result<Run> {
        let data = self.folder.join(format!("client-{}-{round}", verb[0]));
        let node = nodes::client(&self.args.program, &data, &self.network)?;
        let mut fetch = command(&self.args.program, &["store"]);
        fetch
            .args(verb)
            .args([&self.cid, "--data-dir", &node.data_dir]);
        fetch.args(more);
        let run = timed::run(&mut [fetch])?;
        drop(node);
        remove(&data)?;
        if let [_, path] = more {
            remove(Path::new(path))?;
        }
        Ok(run)
    }

    fn sendme(&self) -> anyhow::Result<Run> {
        let (Some(program), Some(offered)) = (&self.args.sendme, &self.offered) else {
            anyhow::bail!("sendme was not given");
        };
        let into = self.folder.join("received");
        std::fs::create_dir_all(&into)?;
        let quiet = ["--relay", "disabled", "--no-progress"];
        let mut receive = command(program, &["receive", &offered.ticket]);
        receive.args(quiet).current_dir(&into);
        let run = timed::run(&mut [receive])?;
        remove(&into)?;
        Ok(run)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

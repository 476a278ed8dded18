//! The benches of `cargo xtask bench …`: each route to the same web app, measured side by side.
//!
//! ```text
//!  load ─▶ app                                     direct
//!  load ─▶ proxy ─▶ app                            a plain hyper reverse proxy
//!  load ─▶ proxy 1 ─▶ proxy 2 ─▶ app               the steps of relay and edge, without encryption
//!  load ─▶ proxy 1 ═▶ proxy 2 ─▶ app               the same with TLS between the proxies
//!  load ─▶ relay ─▶ edge ─▶ app                    the edge's reservation connection
//!  load ─▶ relay A ─▶ relay B ─▶ edge ─▶ app       a circuit
//! ```
//! `relay` measures the relay for browsers beside one of js-libp2p, see [`relay`]; `store` the content
//! store beside hashing, copying, kubo and sendme, see [`store`].
//! Every box is a process of its own, so that the system counts its CPU time and memory apart.

mod app;
mod body;
mod children;
mod edges;
mod load;
mod proxy;
mod relay;
mod report;
mod say;
mod store;
mod tls;
mod topology;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The cost of Peerwork, measured beside its peers")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Requests, latency and body throughput on each route to a web app
    Tunnel(TunnelArgs),
    /// Reservations, circuits, gossip and memory, beside a relay of js-libp2p
    Relay(relay::RelayArgs),
    /// Adding files to the content store, and fetching them from another node
    Store(store::StoreArgs),
    /// The web app behind everything (a child of `tunnel`)
    #[command(hide = true)]
    App { listen: SocketAddr },
    /// The plain reverse proxy (a child of `tunnel`)
    #[command(hide = true)]
    Proxy(proxy::ProxyArgs),
    /// Many edges in one process (a child of `tunnel`)
    #[command(hide = true)]
    Edges { network: PathBuf, count: usize },
}

#[derive(clap::Args)]
struct TunnelArgs {
    /// The `peerwork` program to measure
    #[arg(long)]
    program: PathBuf,
    /// Seconds per measurement of requests
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds over all routes; the median of the rounds is printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Size of the large body in MiB
    #[arg(long, default_value_t = 1024)]
    body_mib: u64,
    /// Edges registered at one relay for the memory figure
    #[arg(long, default_value_t = 1000)]
    edges: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(args.bench))
}

async fn run(bench: Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Tunnel(args) => tunnel(args).await,
        Bench::Relay(args) => {
            let figures = relay::measure(&args).await?;
            Ok(say::line(figures.to_string().trim_end())?)
        }
        Bench::Store(args) => store::measure(&args).await,
        Bench::App { listen } => app::serve(listen).await,
        Bench::Proxy(args) => proxy::serve(args).await,
        Bench::Edges { network, count } => edges::hold(&network, count).await,
    }
}

async fn tunnel(args: TunnelArgs) -> anyhow::Result<()> {
    let routes = topology::Routes::start(&args.program).await?;
    let plan = report::Plan {
        duration: Duration::from_secs(args.seconds),
        rounds: args.rounds.max(1),
        body_bytes: args.body_mib << 20,
    };
    let figures = report::measure(&routes, &plan).await?;
    say::line(figures.to_string().trim_end())?;
    drop(routes);
    let cost = edges::measure(&args.program, args.edges).await?;
    Ok(say::line(format_args!("\n{cost}"))?)
}

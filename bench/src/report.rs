//! Measures all routes in rounds, and prints the medians as a table.

use std::{fmt, time::Duration};

use crate::{
    body,
    children::Usage,
    load::{self, Latency},
    topology::{CHAIN, PROXY, Route, Routes},
};

/// The size of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) duration: Duration,
    pub(crate) rounds: usize,
    pub(crate) body_bytes: u64,
}

#[derive(Debug, Clone, Default)]
struct Row {
    one: Vec<Latency>,
    many: Vec<Latency>,
    mib_per_second: Vec<f64>,
    cpu: Duration,
    requests: f64,
}

/// The figures of all routes.
#[derive(Debug)]
pub(crate) struct Figures {
    rows: Vec<(&'static str, Row)>,
    memory: Vec<(&'static str, Usage)>,
}

/// Connections of the heavy load.
const MANY: usize = 64;
/// The time of load before the measured load.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures each route in turn, round after round, so that changes of the machine's speed affect all
/// routes alike.
pub(crate) async fn measure(routes: &Routes, plan: &Plan) -> anyhow::Result<Figures> {
    let mut rows = vec![Row::default(); routes.routes.len()];
    for _ in 0..plan.rounds {
        for (row, route) in rows.iter_mut().zip(&routes.routes) {
            round(routes, route, plan, row).await?;
        }
    }
    let mut memory = Vec::new();
    for process in &routes.processes {
        memory.push((process.name, process.usage()?));
    }
    let names = routes.routes.iter().map(|route| route.name);
    Ok(Figures {
        rows: names.zip(rows).collect(),
        memory,
    })
}

async fn round(routes: &Routes, route: &Route, plan: &Plan, row: &mut Row) -> anyhow::Result<()> {
    load::run(&route.target, 1, WARM_UP).await?;
    row.one
        .push(load::run(&route.target, 1, plan.duration).await?);
    load::run(&route.target, MANY, WARM_UP).await?;
    let before = cpu(routes, route)?;
    let many = load::run(&route.target, MANY, plan.duration).await?;
    row.cpu += cpu(routes, route)?.saturating_sub(before);
    row.requests += many.per_second * plan.duration.as_secs_f64();
    row.many.push(many);
    let rate = body::throughput(&route.target, plan.body_bytes).await?;
    row.mib_per_second.push(rate);
    Ok(())
}

/// CPU time of all processes between the load and the web app.
fn cpu(routes: &Routes, route: &Route) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for name in &route.through {
        if let Some(process) = routes.process(name) {
            sum += process.usage()?.cpu;
        }
    }
    Ok(sum)
}

/// The median; of an even number of values the upper one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Row {
    fn of(values: &[Latency], of: impl Fn(&Latency) -> f64) -> f64 {
        median(values.iter().map(of).collect())
    }

    fn p50_at_one(&self) -> f64 {
        Self::of(&self.one, |l| l.p50_us.into())
    }

    fn rate_at_many(&self) -> f64 {
        Self::of(&self.many, |l| l.per_second)
    }
}

impl Figures {
    /// Latency and rate of `row` as multiples of those of the route `peer`.
    fn ratios(&self, row: &Row, peer: &str) -> (f64, f64) {
        let peer = self.rows.iter().find(|(name, _row)| *name == peer);
        let ratio = |of: fn(&Row) -> f64| of(row) / peer.map_or(f64::NAN, |(_name, row)| of(row));
        (ratio(Row::p50_at_one), ratio(Row::rate_at_many))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| route | p50 at 1, µs | p99 at 1, µs | requests/s at 1 | requests/s at {MANY} \
             | p50 at {MANY}, µs | p99 at {MANY}, µs | body, MiB/s | CPU per request, µs \
             | p50 ÷ proxy | requests/s ÷ proxy | p50 ÷ chain | requests/s ÷ chain |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|"
        )?;
        for (name, row) in &self.rows {
            write!(
                f,
                "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0}",
                row.p50_at_one(),
                Row::of(&row.one, |l| l.p99_us.into()),
                Row::of(&row.one, |l| l.per_second),
                row.rate_at_many(),
                Row::of(&row.many, |l| l.p50_us.into()),
                Row::of(&row.many, |l| l.p99_us.into()),
                median(row.mib_per_second.clone()),
                row.cpu.as_secs_f64() * 1e6 / row.requests.max(1.0),
            )?;
            for peer in [PROXY, CHAIN] {
                let (p50, rate) = self.ratios(row, peer);
                write!(f, " | {p50:.2} | {rate:.2}")?;
            }
            writeln!(f, " |")?;
        }
        writeln!(
            f,
            "\n| process | CPU time, s | peak memory, MiB |\n|---|---|---|"
        )?;
        for (name, usage) in &self.memory {
            let mib = usage.peak_kib as f64 / 1024.0;
            writeln!(f, "| {name} | {:.1} | {mib:.0} |", usage.cpu.as_secs_f64())?;
        }
        Ok(())
    }
}

//! Draws a relay's report in a terminal.

use std::{fmt::Write as _, time::Duration};

use peerwork_api::{RelayReport, Sample};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Gauge, Paragraph, Row, Sparkline, Table},
};

use crate::cli::size::size;

const ACCENT: Color = Color::Cyan;

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, report: &RelayReport, trouble: Option<&str>) {
    let [head, gauges, traffic, peers, topics, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(3),
        Constraint::Length(5),
        Constraint::Fill(2),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(report)), head);
    draw_gauges(frame, gauges, report);
    draw_traffic(frame, traffic, report);
    draw_peers(frame, peers, report);
    draw_topics(frame, topics, report);
    let last = match trouble {
        Some(trouble) => Line::styled(trouble.to_owned(), Color::Red),
        None => Line::styled("q ends", Modifier::DIM),
    };
    frame.render_widget(last, foot);
}

fn heading(report: &RelayReport) -> Vec<Line<'static>> {
    let up = Duration::from_millis(report.now.saturating_sub(report.started_at));
    let bold = |text: &str| Span::styled(text.to_owned(), Modifier::BOLD);
    let addresses = &report.addresses;
    let address = addresses.browsers.iter().chain(&addresses.programs).next();
    vec![
        Line::from(vec![
            bold(&report.name),
            Span::raw(format!(" {}, up {}", report.version, span(up))),
        ]),
        Line::raw(report.peer_id.clone()),
        Line::styled(address.cloned().unwrap_or_default(), Modifier::DIM),
    ]
}

fn draw_gauges(frame: &mut Frame<'_>, area: Rect, report: &RelayReport) {
    let [connections, reservations, circuits] =
        Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let limits = &report.limits;
    let connections_max = usize::try_from(limits.connections).unwrap_or(usize::MAX);
    for (area, title, now, max) in [
        (
            connections,
            "connections",
            report.connections,
            connections_max,
        ),
        (
            reservations,
            "reservations",
            report.reservations.held,
            limits.reservations,
        ),
        (circuits, "circuits", report.circuits.open, limits.circuits),
    ] {
        let gauge = Gauge::default()
            .block(Block::bordered().title(title))
            .gauge_style(ACCENT)
            .label(format!("{now} of {max}"))
            .ratio((now as f64 / max.max(1) as f64).min(1.0));
        frame.render_widget(gauge, area);
    }
}

/// The byte rates per second of the last samples.
fn rates(samples: &[Sample], interval: u64, of: impl Fn(&Sample) -> u64) -> Vec<u64> {
    let pairs = samples.windows(2);
    // A counter decreases when the relay was restarted.
    let rate = |pair: &[Sample]| of(&pair[1]).saturating_sub(of(&pair[0])) / interval.max(1);
    pairs.map(rate).collect()
}

fn draw_traffic(frame: &mut Frame<'_>, area: Rect, report: &RelayReport) {
    let [received, sent] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
    let (samples, interval) = (&report.history.samples, report.history.interval_seconds);
    let received_rates = rates(samples, interval, |sample| sample.received_bytes);
    let sent_rates = rates(samples, interval, |sample| sample.sent_bytes);
    for (area, title, rates) in [(received, "in", received_rates), (sent, "out", sent_rates)] {
        let now = rates
            .last()
            .map_or("–".to_owned(), |rate| format!("{}/s", size(*rate)));
        let width = usize::from(area.width.saturating_sub(2));
        let shown = rates[rates.len().saturating_sub(width)..].to_vec();
        let line = Sparkline::default()
            .block(Block::bordered().title(format!("{title} {now}")))
            .style(ACCENT)
            .data(shown);
        frame.render_widget(line, area);
    }
}

fn draw_peers(frame: &mut Frame<'_>, area: Rect, report: &RelayReport) {
    let mut peers: Vec<_> = report.peers.iter().collect();
    peers.sort_by_key(|peer| std::cmp::Reverse(peer.received_bytes + peer.sent_bytes));
    let rows = peers.into_iter().map(|peer| {
        let rtt = peer
            .rtt_ms
            .map_or("–".to_owned(), |rtt| format!("{rtt:.1} ms"));
        Row::new([
            Cell::new(short(&peer.id)),
            Cell::new(peer.transport.clone()),
            Cell::new(if peer.reserved { "yes" } else { "" }),
            Cell::new(rtt),
            Cell::new(size(peer.received_bytes)),
            Cell::new(size(peer.sent_bytes)),
            Cell::new(peer.agent.as_deref().map(plain).unwrap_or_default()),
        ])
    });
    let widths = [
        Constraint::Length(16),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Fill(1),
    ];
    let head = ["node", "by", "reserved", "round trip", "in", "out", "agent"];
    table(
        frame,
        area,
        format!("nodes {}", report.connections),
        head,
        widths,
        rows,
    );
}

fn draw_topics(frame: &mut Frame<'_>, area: Rect, report: &RelayReport) {
    let rows = report.topics.iter().map(|topic| {
        Row::new([
            Cell::new(topic.subscribers.to_string()),
            Cell::new(topic.messages.to_string()),
            Cell::new(size(topic.bytes)),
            Cell::new(topic.dropped.to_string()),
            Cell::new(plain(&topic.name)),
        ])
    });
    let widths = [
        Constraint::Length(11),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    let head = ["subscribers", "messages", "bytes", "dropped", "topic"];
    table(
        frame,
        area,
        format!("topics {}", report.topics.len()),
        head,
        widths,
        rows,
    );
}

fn table<'a, const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    head: [&'static str; N],
    widths: [Constraint; N],
    rows: impl Iterator<Item = Row<'a>>,
) {
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::DIM));
    let table = Table::new(rows, widths)
        .header(head)
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// Removes control characters, which could steer the terminal, from a text of other nodes.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Shortens a node id to `12D3KooW…7ea6`.
fn short(id: &str) -> String {
    match id.char_indices().nth_back(5) {
        Some((end, _)) if id.len() > 16 && id.is_char_boundary(8) => {
            format!("{}…{}", &id[..8], &id[end..])
        }
        _ => plain(id),
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Renders the report as text, for output that is not a terminal.
pub(super) fn as_text(report: &RelayReport) -> String {
    let mut text = String::new();
    for line in heading(report) {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{line}");
    }
    let limits = &report.limits;
    let _ = write!(
        text,
        "{} of {} connections, {} of {} reservations, {} of {} circuits\n{} in, {} out; {} topics",
        report.connections,
        limits.connections,
        report.reservations.held,
        limits.reservations,
        report.circuits.open,
        limits.circuits,
        size(report.traffic.received_bytes),
        size(report.traffic.sent_bytes),
        report.topics.len(),
    );
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_api::{RelayPeer, RelayTopic};
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;

    fn report() -> RelayReport {
        let peer = |n: u64, agent: &str| RelayPeer {
            id: format!("12D3KooWB2KUtJvaDcqXnZa6vWwurMjeAbZbwKbkBZLfaa4kK{n}"),
            agent: Some(agent.to_owned()),
            transport: "websocket".into(),
            rtt_ms: Some(12.34),
            reserved: true,
            received_bytes: n * 2048,
            ..RelayPeer::default()
        };
        let sample = |n: u64| Sample {
            received_bytes: n * 5 * 1024,
            ..Sample::default()
        };
        let mut report = RelayReport {
            name: "peerwork relay".into(),
            version: "v0.1.0".into(),
            now: 90_061_000,
            connections: 2,
            peers: vec![peer(1, "js-libp2p/3.3.11"), peer(2, "evil\x1b[2J\nagent")],
            topics: vec![RelayTopic {
                name: "room".into(),
                subscribers: 2,
                ..RelayTopic::default()
            }],
            ..RelayReport::default()
        };
        report.limits.reservations = 100;
        report.reservations.held = 2;
        report.history.interval_seconds = 5;
        report.history.samples = (0..10).map(sample).collect();
        report
    }

    fn drawn(trouble: Option<&str>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal
            .draw(|frame| draw(frame, &report(), trouble))
            .unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_screen_shows_figures_nodes_and_topics() {
        let screen = drawn(None);
        for part in [
            "peerwork relay v0.1.0, up 1 d 1 h",
            "2 of 100",
            "in 1.0 KiB/s",
            "12D3KooW…aa4kK2",
            "12.3 ms",
            "js-libp2p/3.3.11",
            "evil[2Jagent",
            "room",
            "q ends",
        ] {
            assert!(screen.contains(part), "{part}: {screen}");
        }
    }

    #[test]
    fn the_screen_says_that_the_relay_does_not_answer() {
        assert!(drawn(Some("no answer within 5s")).contains("no answer within 5s"));
    }

    #[test]
    fn a_small_terminal_is_drawn_without_an_error() {
        for (width, height) in [(1, 1), (20, 5), (40, 12)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &report(), None)).unwrap();
        }
    }

    #[test]
    fn ids_sizes_and_times_are_short() {
        assert_eq!(short("short"), "short");
        assert_eq!(
            (size(0), size(1023), size(1536)),
            ("0 B".into(), "1023 B".into(), "1.5 KiB".into())
        );
        let seconds = |s| span(Duration::from_secs(s));
        assert_eq!(
            [seconds(5), seconds(65), seconds(3700)],
            ["5 s", "1 min 5 s", "1 h 1 min"]
        );
    }
}

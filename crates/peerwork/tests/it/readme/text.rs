//! Reads `README.md`: its blocks of commands and the rows of its tables, in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use peerwork_testkit::own_loopback;

/// The port that an edge offers when no flag names one; it keeps its number.
const EXAMPLE_PORT: u16 = 9527;

/// A block or a table row of the README.
#[derive(Debug, Default)]
pub(crate) struct Item {
    /// The language of a block with its first line, or the first cell of a row.
    pub(crate) name: String,
    /// The text of a block, or the further cells of a row.
    pub(crate) text: String,
    /// The prose between the item before and this one.
    pub(crate) before: String,
    /// The prose between this item and the next one.
    pub(crate) after: String,
}

impl Item {
    /// The texts between backticks in a row.
    pub(crate) fn spans(&self) -> Vec<&str> {
        spans(&self.text)
    }
}

/// The texts between backticks.
pub(crate) fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Splits the README into its blocks and rows.
pub(crate) fn items(readme: &str) -> Vec<Item> {
    let (mut items, mut prose): (Vec<Item>, String) = (Vec::new(), String::new());
    let mut lines = readme.lines().peekable();
    while let Some(line) = lines.next() {
        let found = if let Some(language) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| !line.starts_with("```"));
            Some(block_of(language, block))
        } else if line.starts_with('|') {
            let is_head = lines.peek().is_some_and(|next| next.starts_with("|---"));
            let is_rule = line.starts_with("|---");
            (!is_head && !is_rule).then(|| row(line))
        } else {
            prose.push_str(line);
            prose.push('\n');
            None
        };
        if let Some(item) = found {
            let before = std::mem::take(&mut prose);
            if let Some(last) = items.last_mut() {
                last.after.clone_from(&before);
            }
            items.push(Item { before, ..item });
        }
    }
    if let Some(last) = items.last_mut() {
        last.after = prose;
    }
    items
}

fn block_of<'a>(language: &str, lines: impl Iterator<Item = &'a str>) -> Item {
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let first = text.lines().find(|line| !line.is_empty());
    Item {
        name: format!("{language}: {}", first.unwrap_or_default()),
        text,
        ..Item::default()
    }
}

fn row(line: &str) -> Item {
    let cells = line.trim_matches('|').split_once('|');
    let (name, text) = cells.expect("a row of a table has two cells");
    Item {
        name: name.trim().to_owned(),
        text: text.trim().to_owned(),
        ..Item::default()
    }
}

/// The Unix socket of the README.
const SOCKET: &str = "/run/app.sock";

/// The addresses, ports and the Unix socket that stand for those of the README: an address that this test
/// has for itself, ports outside of the range from which systems take free ports, and a socket in `home`.
pub(crate) struct Local {
    ip: Ipv4Addr,
    ports: BTreeMap<u16, u16>,
    home: PathBuf,
}

impl Local {
    /// Takes a free port for each port in the commands of the README.
    pub(crate) fn new(home: &Path, items: &[Item]) -> Self {
        let ip = own_loopback();
        let mut named = BTreeSet::new();
        for item in items {
            replace_numbers(&item.text, |number| {
                named.insert(number);
                None
            });
        }
        named.remove(&EXAMPLE_PORT);
        let offset = u16::try_from(std::process::id() % 10_000).expect("below 10000");
        let mut free = (10_000 + offset..32_000).filter(|port| {
            *port != EXAMPLE_PORT && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()
        });
        let taken = named.into_iter().map(|port| {
            let free = free.next().expect("some ports are free");
            (port, free)
        });
        let ports = taken.collect();
        let home = home.to_owned();
        Self { ip, ports, home }
    }

    /// The path of the Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("app.sock")
    }

    /// Replaces the addresses, ports and the socket in a text of the README.
    pub(crate) fn apply(&self, text: &str) -> String {
        let text = replace_numbers(text, |port| self.ports.get(&port).copied());
        let ip = self.ip.to_string();
        let text = text.replace(SOCKET, &self.socket().display().to_string());
        ["127.0.0.1", "0.0.0.0", "localhost"]
            .into_iter()
            .fold(text, |text, host| text.replace(host, &ip))
    }
}

/// Replaces the numbers that may be ports of a user: from 1024, and no part of a word, a version or an
/// address.
fn replace_numbers(text: &str, mut with: impl FnMut(u16) -> Option<u16>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut replaced = String::new();
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let word = piece.trim_end_matches(|c| !is_part(c));
        let port = word.parse().ok().filter(|port| *port >= 1024);
        match port.and_then(&mut with) {
            Some(port) => {
                replaced.push_str(&port.to_string());
                replaced.push_str(&piece[word.len()..]);
            }
            None => replaced.push_str(piece),
        }
    }
    replaced
}

/// Replaces addresses of owners and node ids by their kinds.
pub(crate) fn without_ids(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let id = word.trim_end();
        let kind = match id {
            _ if id.starts_with("0x") && id.len() == 42 => "<address>",
            _ if id.starts_with("16Uiu2HA") && id.len() == 53 => "<node id>",
            _ => return word.to_owned(),
        };
        word.replace(id, kind)
    });
    words.collect()
}

#[test]
fn blocks_and_rows_are_found_with_the_prose_around_them() {
    let found = items("a\n```sh\nx\n```\nb `c`\n| h | i |\n|---|---|\n| r | s `t` |\n");
    let names: Vec<_> = found.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["sh: x", "r"]);
    assert_eq!(
        (found[0].text.as_str(), found[0].before.as_str()),
        ("x\n", "a\n")
    );
    assert_eq!(
        (spans(&found[0].after), found[1].spans()),
        (vec!["c"], vec!["t"])
    );
}

#[test]
fn only_ports_of_users_are_replaced() {
    let one_more = |text| replace_numbers(text, |port| Some(port + 1));
    let text = "0.0.0.0:50000 --id 1000 /tcp/50001/p2p/16Uiu2 2222 $EDGE:22 v1.5000";
    let replaced = "0.0.0.0:50001 --id 1000 /tcp/50002/p2p/16Uiu2 2223 $EDGE:22 v1.5000";
    assert_eq!(one_more(text), replaced);
}

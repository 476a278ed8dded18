//! Follows `README.md` word for word: each block and each row of its tables is run in a shell, in order,
//! or is named with the reason why it is not.
//!
//! The addresses of the README are replaced by one of this test alone, its ports by free ones, and its
//! Unix socket by one in the test's folder ([`text::Local`]); everything else is run as it is written.

mod apps;
mod rows;
pub(crate) mod shell;
mod statuses;
pub(crate) mod text;
mod web_socket;

use serde_json::Value;

use self::{
    shell::Shell,
    text::{Item, Local, items, spans, without_ids},
    web_socket::WebSocket,
};
use crate::network::eventually;

const README: &str = include_str!("../../../../../README.md");
const PREPARED: &str = "the node runs";

/// The handling of one item.
type Step = fn(&mut Reader, &Item);

/// All items of the README: the beginning of the item's name, and its handling.
const STEPS: &[(&str, Step)] = &[
    ("text:  curl, browser", |_, _| {}), // the picture
    ("sh: cargo run -- demo", Reader::demo),
    ("sh: peerwork secrets init --data-dir node_1", Reader::run),
    ("text: [SECRETS INIT]", Reader::shown_twice),
    ("sh: RELAY_1=$(", Reader::run),
    ("sh: peerwork genesis --dir example.json", Reader::run),
    (
        "sh: peerwork server --network example.json --data-dir node_1",
        Reader::relay_1,
    ),
    (
        "sh: peerwork server --network example.json --data-dir node_2",
        Reader::relay_2,
    ),
    ("sh: peerwork secrets init --data-dir edge_1", Reader::run),
    (
        "sh: peerwork server --network example.json --data-dir edge_1",
        Reader::edge,
    ),
    ("sh: peerwork webapp", Reader::webapp),
    ("sh: curl", Reader::call),
    ("json: ", Reader::events),
    ("sh: printf 'hello world", Reader::store),
    ("see the state of a node", rows::status),
    ("see and add peers", rows::peers),
    ("invite another machine", rows::invite),
    ("allow more ports on an edge", rows::more_ports),
    ("name where a port's app is", apps::urls),
    ("require a key", rows::keys),
    ("reach SSH on a node", rows::forward),
    ("run a node that is relay and edge", rows::node),
    ("use a settings file", rows::settings_file),
    ("give an app a port of its own", rows::app_port),
    ("enter an app in a browser", rows::browser),
    ("serve HTTP calls over TLS", rows::tls),
    ("put a reverse proxy in front", rows::proxy),
    ("serve apps that redirect", apps::redirects),
    ("watch a node with Prometheus", rows::metrics),
    ("get completions and man pages", rows::completions),
    ("400", statuses::no_such_target),
    ("401", statuses::key_missing),
    ("403", statuses::closed_port),
    ("404", statuses::unknown),
    ("405, 501", statuses::page_and_connect),
    ("414, 431", statuses::too_long),
    ("429", statuses::login_too_often),
    ("502", statuses::app_down),
    ("503", |_, _| {}), // needs a full node: the tests of peerwork-tunnel fill one
    ("504", |_, _| {}), // needs an app that is slow for a minute: the tests of peerwork-tunnel have one
];

/// A reader of the README, who runs what it says.
struct Reader {
    shell: Shell,
    local: Local,
    /// The standard output of the last block.
    output: String,
    /// The command of the edge, which further rows change.
    edge_command: String,
    /// The command of the first relay.
    relay_command: String,
}

impl Reader {
    fn new(home: &std::path::Path, items: &[Item]) -> Self {
        Self {
            shell: Shell::start(home),
            local: Local::new(home, items),
            output: String::new(),
            edge_command: String::new(),
            relay_command: String::new(),
        }
    }

    /// Runs commands of the README that must succeed.
    fn succeeds(&mut self, commands: &str) -> String {
        let commands = self.local.apply(commands);
        self.shell.succeeds(&commands)
    }

    /// Starts a command of the README in a terminal of its own.
    fn start(&mut self, name: &str, command: &str, ready: &str) {
        let (command, ready) = (self.local.apply(command), self.local.apply(ready));
        self.shell.start_job(name, &command, &ready);
    }

    /// The value of a variable of the shell.
    fn variable(&mut self, name: &str) -> String {
        self.shell.succeeds(&format!("printf %s \"${name}\""))
    }

    /// The status of a call by curl; 0 when there was no answer.
    fn status(&mut self, arguments: &str) -> u16 {
        let curl = format!("curl -s -o /dev/null -w '%{{http_code}}' {arguments}");
        let ran = self.shell.run(&self.local.apply(&curl));
        ran.stdout.parse().unwrap()
    }

    /// Repeats a call until its status is `wanted`.
    fn status_becomes(&mut self, wanted: u16, arguments: &str) {
        eventually(&format!("{wanted} of {arguments}"), || {
            (self.status(arguments) == wanted).then_some(())
        });
    }

    fn run(&mut self, item: &Item) {
        self.output = self.succeeds(&item.text);
    }

    /// The block stores a file and shows it; the prose names its CID.
    fn store(&mut self, item: &Item) {
        self.run(item);
        assert_eq!(self.output, "hello world\n");
        let cid = self.variable("CID");
        assert!(item.after.contains(&format!("`{cid}`")), "{cid}");
    }

    /// The block is the output of each of the two commands before.
    fn shown_twice(&mut self, item: &Item) {
        assert!(item.before.contains("Each prints"), "{}", item.before);
        let one = without_ids(&item.text);
        assert!(
            one.contains("<address>") && one.contains("<node id>"),
            "{one}"
        );
        assert_eq!(without_ids(&self.output), format!("{one}{one}"));
    }

    /// `cargo run --` stands for the built program here, and `cargo xtask test` runs this test.
    fn demo(&mut self, item: &Item) {
        let lines: Vec<_> = item.text.lines().collect();
        let [demo, test] = lines[..] else {
            panic!("{lines:?}");
        };
        assert!(test.starts_with("cargo xtask test"), "{test}");
        assert!(demo.contains("prints the URLs to call"), "{demo}");
        let demo = demo.replace("cargo run --", "peerwork");
        self.shell.start_job("demo", &demo, "Ctrl-C ends the demo");
        let output = self.shell.output("demo");
        let line = output
            .lines()
            .find(|line| line.trim_start().starts_with("curl "));
        let answer = self.shell.succeeds(line.unwrap());
        assert_eq!(answer.trim(), r#"{"message":"hello"}"#);
        self.shell.end("demo");
        let check = spans(&item.after)[0];
        assert_eq!(check, "peerwork demo --check");
        self.shell.succeeds(check);
    }

    fn relay_1(&mut self, item: &Item) {
        self.relay_command.clone_from(&item.text);
        self.start("relay 1", &item.text, PREPARED);
    }

    fn relay_2(&mut self, item: &Item) {
        self.start("relay 2", &item.text, PREPARED);
    }

    fn edge(&mut self, item: &Item) {
        self.edge_command.clone_from(&item.text);
        self.start("edge", &item.text, PREPARED);
        let id = self.variable("EDGE");
        self.shell.says("edge", "offers 9527 of");
        self.shell.says("edge", "callers need no key");
        let share = format!("http://RELAY/edge/{id}/PORT/");
        self.shell.says("edge", &share);
    }

    fn webapp(&mut self, item: &Item) {
        self.start("web app", &item.text, "Server is running");
    }

    /// The two calls answer with the text of the prose, once the relays know the edge; then the page
    /// that the prose names opens.
    fn call(&mut self, item: &Item) {
        let [answer, page, ..] = spans(&item.after)[..] else {
            panic!("{}", item.after);
        };
        assert!(item.after.contains(&format!("Both answer `{answer}`")));
        let calls = self.local.apply(&item.text);
        eventually("both answers", || {
            let ran = self.shell.run(&calls);
            let answers = ran.stdout.split_inclusive('}').map(str::trim);
            let answers: Vec<_> = answers.filter(|answer| !answer.is_empty()).collect();
            (answers == [answer, answer]).then_some(())
        });
        let page = page.replace("<edge id>", "$EDGE");
        assert_eq!(self.status(&page), 200, "{page}");
    }

    /// The nodes that the relay knows come at once as events.
    fn events(&mut self, item: &Item) {
        let url = spans(&item.before)
            .into_iter()
            .find(|span| span.starts_with("ws://"));
        let mut socket = WebSocket::connect(&self.local.apply(url.unwrap()));
        socket.send(item.text.trim());
        let ids = ["RELAY_2", "EDGE"].map(|name| self.variable(name));
        let mut missing: Vec<_> = ids.iter().collect();
        while !missing.is_empty() {
            let text = socket.receive();
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["method"] == "edge_subscription" {
                missing.retain(|id| !text.contains(id.as_str()));
            }
        }
        self.browser_relay(&item.after);
    }

    /// The relay for browsers needs no arguments, and shows its page. Its ports are free ones here.
    fn browser_relay(&mut self, prose: &str) {
        let mut spans = spans(prose).into_iter();
        let relay = spans
            .find(|span| span.starts_with("peerwork relay"))
            .unwrap();
        assert!(prose.contains(&format!("`{relay}` needs no arguments")));
        let ports = "PEERWORK_WEBSOCKET=127.0.0.1:0 PEERWORK_TCP=127.0.0.1:0";
        self.start("browser relay", &format!("{ports} {relay}"), "Live page: ");
        let output = self.shell.output("browser relay");
        let page = output
            .lines()
            .find_map(|line| line.strip_prefix("Live page: "));
        assert_eq!(self.status(page.unwrap()), 200);
        self.shell.end("browser relay");
    }
}

#[test]
fn the_readme_gives_what_it_says_at_each_step() {
    let dir = tempfile::tempdir().unwrap();
    let items = items(README);
    let mut reader = Reader::new(dir.path(), &items);
    for (index, item) in items.iter().enumerate() {
        let name = &item.name;
        let step = STEPS
            .get(index)
            .filter(|(start, _)| name.starts_with(start));
        let (_, step) = step.unwrap_or_else(|| {
            panic!(
                "`{name}` of the README is not item {index} of STEPS: run it, or name the reason"
            )
        });
        step(&mut reader, item);
    }
    assert_eq!(
        items.len(),
        STEPS.len(),
        "STEPS that the README does not have"
    );
}

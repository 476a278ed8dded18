//! Follows `docs/joining.md` word for word on two machines: each block of commands is run in a shell of the
//! machine that the prose names, in order, and each row of the tables is checked.
//!
//! The machines are network namespaces for two of the ways. Where this machine offers none, the ticket's way
//! runs on loopback, and that of the local network, which loopback does not have, says that it did not run.

mod failures;

use std::net::Ipv4Addr;

use peerwork_testkit::{
    machines::{Lab, Machine},
    own_loopback,
};
use tempfile::TempDir;

use crate::{
    network::eventually,
    readme::{
        shell::Shell,
        text::{Item, items},
    },
};

const PAGE: &str = include_str!("../../../../../docs/joining.md");
/// The beginning of a started node's output.
const STARTED: &str = "[NODE]";
/// The addresses of the page's machines.
const ADDRESSES: [&str; 2] = ["192.168.1.10", "192.168.1.11"];

/// The handling of one item. The number is that of the machine that the prose named last.
type Step = fn(&mut Reader, &Item, usize);

/// The text of a section, without its heading.
fn section(heading: &str) -> &'static str {
    let mut sections = PAGE.split("\n## ");
    let found = sections.find_map(|section| section.strip_prefix(heading));
    found.unwrap_or_else(|| panic!("the page has no section `{heading}`"))
}

/// A reader of the page, with a shell on each machine.
struct Reader {
    shells: [Shell; 2],
    addresses: [Ipv4Addr; 2],
    /// The length of a ticket with one secret.
    ticket_bytes: usize,
    /// The homes outlive the shells, which read files of them at their end.
    _homes: [TempDir; 2],
}

impl Reader {
    fn on(machines: [&Machine; 2]) -> Self {
        let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let shells = [0, 1].map(|at| Shell::start_on(homes[at].path(), Some(machines[at])));
        Self {
            _homes: homes,
            ticket_bytes: 0,
            shells,
            addresses: machines.map(Machine::address),
        }
    }

    /// Both machines are this one, and nodes listen on a loopback address of this test.
    fn on_loopback() -> Self {
        let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let address = own_loopback();
        let mut shells = [0, 1].map(|at| Shell::start(homes[at].path()));
        for shell in &mut shells {
            shell.succeeds(&format!("export PEERWORK_LIBP2P={address}:0"));
        }
        Self {
            _homes: homes,
            ticket_bytes: 0,
            shells,
            addresses: [address; 2],
        }
    }

    /// Runs the items of a section, each of which must be the next step.
    fn follow(&mut self, heading: &str, steps: &[(&str, Step)]) {
        let items = items(section(heading));
        let mut machine = 0;
        for (index, item) in items.iter().enumerate() {
            let named = ["**On the first machine", "**On the second machine"]
                .map(|machine| item.before.to_lowercase().rfind(&machine.to_lowercase()));
            if named.iter().any(Option::is_some) {
                machine = usize::from(named[1] > named[0]);
            }
            let name = &item.name;
            let step = steps.get(index).filter(|step| name.starts_with(step.0));
            let Some((_, step)) = step else {
                panic!(
                    "`{name}` of `{heading}` is not its step {index}: run it, or name the reason"
                );
            };
            step(self, item, machine);
        }
        assert_eq!(
            items.len(),
            steps.len(),
            "steps that `{heading}` does not have"
        );
    }

    fn text(&self, item: &Item) -> String {
        let addresses = ADDRESSES.iter().zip(self.addresses);
        addresses.fold(item.text.clone(), |text, (written, address)| {
            text.replace(written, &address.to_string())
        })
    }

    fn run(&mut self, item: &Item, machine: usize) {
        let text = self.text(item);
        self.shells[machine].succeeds(&text);
    }

    /// Runs a block that fails, and checks that its error contains a text.
    fn fails(&mut self, item: &Item, machine: usize, reason: &str) {
        let text = self.text(item);
        let ran = self.shells[machine].run(&text);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
    }

    /// Starts a node in a terminal of its own. The job has the name of the data directory.
    fn start(&mut self, item: &Item, machine: usize) {
        let text = self.text(item);
        let mut words = text.split_whitespace();
        let name = words.find(|word| *word == "--data-dir");
        let name = name.and_then(|_| words.next()).unwrap();
        self.shells[machine].start_job(name, &text, STARTED);
    }

    /// Sets the variable of the ticket on the second machine, as a person does who pastes it.
    fn paste(&mut self) -> String {
        let ticket = self.shells[0].succeeds("printf %s \"$TICKET\"");
        assert!(ticket.starts_with("peerwork1"), "{ticket}");
        self.shells[1].succeeds(&format!("TICKET={ticket}"));
        ticket
    }

    /// Runs a command until its output contains each of these texts.
    fn shows(&mut self, item: &Item, machine: usize, texts: &[String]) {
        let text = self.text(item);
        eventually(&format!("{texts:?} in the output of {text}"), || {
            let shown = self.shells[machine].run(&text).stdout;
            texts.iter().all(|id| shown.contains(id)).then_some(())
        });
    }

    /// The node ids of data directories.
    fn ids<const N: usize>(&mut self, nodes: [(usize, &str); N]) -> [String; N] {
        nodes.map(|(machine, data)| {
            let output = format!("peerwork secrets output --data-dir {data} --node-id");
            self.shells[machine].succeeds(&output).trim().to_owned()
        })
    }

    /// Both nodes are in the directory of the first.
    fn lists(&mut self, item: &Item, nodes: [(usize, &str); 2]) {
        let ids = self.ids(nodes);
        self.shows(item, 0, &ids);
    }

    /// `scp` copies the file to the second machine.
    fn copy(&mut self, item: &Item) {
        let [program, keep, file, target] = item.text.split_whitespace().collect::<Vec<_>>()[..]
        else {
            panic!("{}", item.text);
        };
        assert_eq!((program, keep), ("scp", "-p"));
        assert_eq!(target.strip_suffix(':'), Some(ADDRESSES[1]));
        let [from, to] = [0, 1].map(|at| self.shells[at].folder().join(file));
        std::fs::copy(from, to).unwrap();
    }

    /// A row of the table of tickets: the command prints a ticket.
    fn ticket_of(&mut self, flags: &str) {
        let line = format!("peerwork invite --data-dir home {flags} | tail -n 1");
        let ticket = self.shells[0].succeeds(&line);
        assert!(ticket.starts_with("peerwork1"), "{ticket}");
        if flags.is_empty() {
            self.ticket_bytes = ticket.trim().len();
        }
    }

    /// Runs the block until the running node makes a ticket with both secrets, which is longer.
    fn invite_with_new_secret(&mut self, item: &Item) {
        let text = self.text(item);
        eventually("a ticket with two secrets", || {
            self.shells[0].succeeds(&text);
            (self.paste().len() > self.ticket_bytes).then_some(())
        });
    }

    /// The number of secrets in the network file of a data directory.
    fn secrets(&mut self, machine: usize, data: &str) -> usize {
        let show = format!("peerwork network show --data-dir {data} --json");
        let shown = self.shells[machine].succeeds(&show);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        usize::try_from(shown["secrets"].as_u64().unwrap()).unwrap()
    }
}

#[test]
fn the_way_by_the_network_file_is_as_the_page_says() {
    let mut reader = Reader::on_loopback();
    reader.follow(
        "By the network file",
        &[
            ("sh: peerwork secrets init --data-dir relay", Reader::run),
            ("sh: peerwork node --network network.json", Reader::start),
            ("sh: scp", |reader, item, _| reader.copy(item)),
            ("sh: peerwork node --network network.json", Reader::start),
            ("sh: peerwork directory list", |reader, item, _| {
                reader.lists(item, [(0, "relay"), (1, "edge")]);
            }),
        ],
    );
}

/// The way by a ticket, after which the secret is changed.
const BY_TICKET: &[(&str, Step)] = &[
    ("sh: peerwork node --data-dir home", Reader::start),
    ("sh: TICKET=$(peerwork invite", |reader, item, machine| {
        reader.run(item, machine);
        reader.paste();
    }),
    ("sh: peerwork join --data-dir laptop", Reader::run),
    ("sh: peerwork node --data-dir laptop", Reader::start),
    ("sh: peerwork directory list", |reader, item, _| {
        reader.lists(item, [(0, "home"), (1, "laptop")]);
    }),
    (
        "sh: peerwork join --data-dir other",
        |reader, item, machine| {
            reader.fails(item, machine, "was used by another node already");
        },
    ),
    ("`peerwork invite`", |reader, _, _| reader.ticket_of("")),
    ("`peerwork invite --once`", |reader, _, _| {
        reader.ticket_of("--once");
    }),
    ("`peerwork invite --expires 1h`", |reader, _, _| {
        reader.ticket_of("--expires 1h");
    }),
    (
        "sh: peerwork network new-secret",
        |reader, item, machine| {
            reader.run(item, machine);
            assert_eq!(reader.secrets(0, "home"), 2);
        },
    ),
    ("sh: TICKET=$(peerwork invite", |reader, item, _| {
        reader.invite_with_new_secret(item);
    }),
    ("sh: peerwork join --data-dir laptop", Reader::run),
    ("sh: peerwork network drop-secret", Reader::run),
    (
        "sh: peerwork network drop-secret",
        |reader, item, machine| {
            reader.run(item, machine);
            assert_eq!(
                [(0, "home"), (1, "laptop")].map(|(at, data)| reader.secrets(at, data)),
                [1, 1]
            );
            let [laptop] = reader.ids([(1, "laptop")]);
            let peers = "peerwork peers list --data-dir home";
            eventually("the node with the changed secret at the relay", || {
                reader.shells[0]
                    .succeeds(peers)
                    .contains(&laptop)
                    .then_some(())
            });
        },
    ),
];

#[test]
fn the_way_by_a_ticket_is_as_the_page_says_also_across_a_router() {
    match Lab::or_say() {
        Some(mut lab) => {
            let [near, far] = lab.routed_networks([1, 1]);
            Reader::on([&near[0], &far[0]]).follow("By a ticket", BY_TICKET);
        }
        None => Reader::on_loopback().follow("By a ticket", BY_TICKET),
    }
}

#[test]
fn the_way_on_the_local_network_is_as_the_page_says() {
    let Some(mut lab) = Lab::or_say() else { return };
    let machines = lab.local_network(2);
    Reader::on([&machines[0], &machines[1]]).follow(
        "On the local network",
        &[
            ("sh: peerwork node --mdns --data-dir one", Reader::start),
            ("sh: peerwork node --mdns --data-dir two", Reader::start),
            ("sh: peerwork peers list", |reader, item, machine| {
                let ids = reader.ids([(1, "two")]);
                reader.shows(item, machine, &ids);
            }),
        ],
    );
}

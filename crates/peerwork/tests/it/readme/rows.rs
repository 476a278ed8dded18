//! The rows of the README's table of daily use.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
};

use super::{PREPARED, Reader, text::Item};
use crate::{network::eventually, secure::certificate};

/// The texts between backticks of a row, of which the first `N` are checked by their beginnings.
pub(super) fn commands<'a, const N: usize>(item: &'a Item, starts: [&str; N]) -> [&'a str; N] {
    let spans = item.spans();
    assert!(spans.len() >= N, "{spans:?}");
    let mut found = [""; N];
    for (index, start) in starts.into_iter().enumerate() {
        assert!(spans[index].starts_with(start), "{start}: {}", spans[index]);
        found[index] = spans[index];
    }
    found
}

/// The app's own port in the README.
const APP_PORT: &str = "0.0.0.0:8081=$EDGE:9527";

/// Starts the first relay again, with flags behind the README's command.
pub(super) fn restart_relay(reader: &mut Reader, flags: &str) {
    reader.shell.end("relay 1");
    let command = format!("{} {flags}", reader.relay_command.trim_end());
    reader.start("relay 1", &command, PREPARED);
}

/// Starts the first relay again, with the app at a port of its own, and asks callers for keys.
pub(super) fn relay_with_keys(reader: &mut Reader) {
    reader.shell.end("relay 1");
    let open = reader.relay_command.replace("--app-no-auth", "");
    let command = format!("{} --app-listen {APP_PORT}", open.trim_end());
    reader.start("relay 1", &command, PREPARED);
}

/// Starts the first relay again, as the README does.
pub(super) fn relay_as_written(reader: &mut Reader) {
    restart_relay(reader, "");
}

/// Starts the edge again, with the command that `change` makes of the README's.
pub(super) fn restart_edge(reader: &mut Reader, change: impl FnOnce(&str) -> String) {
    reader.shell.end("edge");
    let command = change(reader.edge_command.trim_end());
    reader.start("edge", &command, PREPARED);
}

pub(super) fn status(reader: &mut Reader, item: &Item) {
    let [status, flag] = commands(item, ["peerwork status", "--data-dir"]);
    let id = reader.variable("RELAY_1");
    let shown = reader.succeeds(status);
    assert!(
        shown.contains(&id) && shown.contains("Listens on"),
        "{shown}"
    );
    // Three nodes run, so the command without the flag lists them.
    let (without, _) = status.split_once(flag).unwrap();
    let ran = reader.shell.run(without);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for name in ["RELAY_1", "RELAY_2", "EDGE"] {
        let id = reader.variable(name);
        assert!(ran.stderr.contains(&id), "{}", ran.stderr);
    }
}

pub(super) fn peers(reader: &mut Reader, item: &Item) {
    let starts = [
        "peerwork peers list",
        "peerwork peers add",
        "peerwork peers status",
    ];
    let [list, add, status] = commands(item, starts);
    let edge = reader.variable("EDGE");
    let shown = reader.succeeds(list);
    assert!(shown.contains(&edge), "{shown}");
    let added = reader.succeeds(add);
    assert!(added.contains("Peers added  = 1"), "{added}");
    let other = reader.variable("RELAY_2");
    let shown = reader.succeeds(status);
    assert!(shown.contains(&other) && shown.contains("/tcp/"), "{shown}");
}

/// The ticket goes through a file: the shell replaces ports in commands, and a ticket may look like one.
pub(super) fn invite(reader: &mut Reader, item: &Item) {
    let starts = [
        "peerwork invite",
        "--once",
        "--expires",
        "peerwork join TICKET",
        "peerwork node",
    ];
    let [invite, once, expires, join, node] = commands(item, starts);
    for flags in ["", &format!("{once} {expires}")] {
        reader.succeeds(&format!("{invite} {flags} > ticket"));
        let join = join.replace("TICKET", "$(tail -n 1 ticket)");
        let joined = reader.succeeds(&join);
        let id = reader.variable("RELAY_1");
        assert!(joined.contains(&format!("reachable: {id}")), "{joined}");
    }
    let node = format!("PEERWORK_LIBP2P=127.0.0.1:0 {node}");
    reader.start("joined node", &node, "[NODE]");
    let list = "peerwork peers list --data-dir new_node";
    let id = reader.variable("RELAY_1");
    eventually("the relay of the ticket", || {
        reader.succeeds(list).contains(&id).then_some(())
    });
    reader.shell.end("joined node");
}

/// The `…` of the row stands for the flags of the edge.
pub(super) fn more_ports(reader: &mut Reader, item: &Item) {
    let [server] = commands(item, ["peerwork server … --app-port 9527"]);
    let (_, flags) = server.split_once('…').unwrap();
    restart_edge(reader, |edge| format!("{edge} {flags}"));
    let output = reader.shell.output("edge");
    for flag in flags.split("--app-port").skip(1) {
        let port = reader.local.apply(flag.trim());
        assert!(output.contains(&port), "{port}: {output}");
    }
    assert!(!output.contains("9527 is closed"), "{output}");
    restart_edge(reader, str::to_owned);
}

pub(super) fn keys(reader: &mut Reader, item: &Item) {
    let starts = [
        "--app-no-auth",
        "peerwork key create",
        "Peerwork-Edge-Key: KEY",
    ];
    let [flag, create, header] = commands(item, starts);
    let ran = reader.shell.run(create);
    assert!(ran.stderr.contains("protects nothing"), "{ran:?}");
    restart_edge(reader, |edge| edge.replace(flag, ""));
    let ran = reader.shell.run(create);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let key = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Key = "));
    let key = key.unwrap();
    let app = "http://127.0.0.1:50005/edge/$EDGE/9527/home";
    reader.status_becomes(401, app);
    let header = header.replace("KEY", key);
    // A running node reads the file of keys again within a second.
    reader.status_becomes(200, &format!("-H '{header}' {app}"));

    let flag = item
        .spans()
        .into_iter()
        .find(|span| span.starts_with("--edge-key"));
    let forward = format!(
        "peerwork forward --network example.json {} {key} 127.0.0.1:2222 $EDGE:9527",
        flag.unwrap()
    );
    reader.start("forward", &forward, "Ctrl-C ends it");
    reader.status_becomes(200, "http://127.0.0.1:2222/home");
    reader.shell.end("forward");
    restart_edge(reader, str::to_owned);
}

/// The edge refuses the port first, and opens it with the flag of the row. The SSH client of the row
/// needs a server at port 22: `foreign.rs` has one, at a port of its own.
pub(super) fn forward(reader: &mut Reader, item: &Item) {
    let [flag, forward, ssh] = commands(item, ["--app-port 22", "peerwork forward", "ssh -p 2222"]);
    reader.start("forward", forward, "is port 22 of");
    let port = reader.local.apply(ssh);
    let port = port.split_whitespace().nth(2).unwrap().parse().unwrap();
    // A port alone is one of 127.0.0.1.
    let connect = (Ipv4Addr::LOCALHOST, port);
    eventually("the reason of the refusal", || {
        let mut socket = TcpStream::connect(connect).unwrap();
        // The socket may be closed before the client has sent anything.
        let _ = socket.write_all(b"SSH-2.0-x\r\n");
        let _ = socket.read(&mut [0]);
        let output = reader.shell.output("forward");
        output.contains("does not allow this port").then_some(())
    });
    reader.shell.end("forward");
    restart_edge(reader, |edge| format!("{edge} {flag}"));
    reader.shell.says("edge", "offers 22 of");
    restart_edge(reader, str::to_owned);
}

/// The node listens on all addresses by default; the test stays on loopback.
pub(super) fn node(reader: &mut Reader, item: &Item) {
    let [node] = commands(item, ["peerwork node --data-dir"]);
    reader.start(
        "node",
        &format!("PEERWORK_LIBP2P=127.0.0.1:0 {node}"),
        "[NODE]",
    );
    reader.shell.end("node");
}

/// The file gets the data directory and the network of the first relay, whose place the node takes.
pub(super) fn settings_file(reader: &mut Reader, item: &Item) {
    let starts = [
        "peerwork server export",
        "data-dir",
        "network",
        "peerwork server --config",
    ];
    let [export, data_dir, network, server] = commands(item, starts);
    let printed = reader.succeeds(export);
    assert!(printed.contains(server), "{printed}");
    let file = reader
        .shell
        .folder()
        .join(server.rsplit(' ').next().unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    let set = |line: &str| match line.trim_start_matches("# ").split_once(" =") {
        Some((key, _)) if key == data_dir => format!("{key} = 'node_1'\n"),
        Some((key, _)) if key == network => format!("{key} = 'example.json'\n"),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(set).collect();
    std::fs::write(&file, reader.local.apply(&text)).unwrap();
    reader.shell.end("relay 1");
    // The file does not name the operator's port, whose default another program may hold.
    let server = format!("PEERWORK_GRPC_ADDRESS=127.0.0.1:0 {server}");
    reader.start("relay 1", &server, PREPARED);
    let id = reader.variable("RELAY_1");
    reader.shell.says("relay 1", &id);
    reader.shell.end("relay 1");
    let command = reader.relay_command.clone();
    reader.start("relay 1", &command, PREPARED);
}

pub(super) fn app_port(reader: &mut Reader, item: &Item) {
    let [flag, secure] = commands(item, ["--app-listen ", "https://0.0.0.0:8443="]);
    let (_, app) = flag.split_once('=').unwrap();
    assert!(flag.ends_with(APP_PORT), "{flag}");
    restart_relay(reader, flag);
    reader.status_becomes(200, "http://127.0.0.1:8081/home");
    certificate(reader.shell.folder());
    let secure = secure.replace('…', app);
    let flags = format!("--tls-cert cert.pem --tls-key key.pem --app-listen {secure}");
    restart_relay(reader, &flags);
    reader.status_becomes(200, "-k https://127.0.0.1:8443/home");
}

/// curl stands for the browser, with its cookies in a file.
pub(super) fn browser(reader: &mut Reader, item: &Item) {
    let [_, query, basic] = commands(item, ["--app-listen", "?key=KEY", "curl -u any:KEY"]);
    relay_with_keys(reader);
    let created = reader.succeeds("peerwork key create --data-dir node_1 --label browser");
    let key = created.lines().find_map(|line| line.strip_prefix("Key = "));
    let key = key.unwrap();
    let browser = "-H 'accept: text/html' -b cookies -c cookies -L http://127.0.0.1:8081/home";
    reader.status_becomes(401, browser);
    // A running node reads the file of keys again within a second.
    let basic = basic.replace("curl ", "").replace("KEY", key);
    reader.status_becomes(200, &format!("{basic} http://127.0.0.1:8081/home"));
    let query = query.replace("KEY", key);
    reader.status_becomes(200, &format!("{browser}'{query}'"));
    reader.status_becomes(200, browser);
    relay_as_written(reader);
}

/// The certificate is one that nobody signed, so curl does not check it.
pub(super) fn tls(reader: &mut Reader, item: &Item) {
    let [flags, port] = commands(item, ["--tls-cert", "--trans-proxy"]);
    let folder = reader.shell.folder().to_owned();
    certificate(&folder);
    for (made, named) in [("cert.pem", "fullchain.pem"), ("key.pem", "privkey.pem")] {
        assert!(flags.contains(named), "{flags}");
        std::fs::rename(folder.join(made), folder.join(named)).unwrap();
    }
    restart_relay(reader, flags);
    let (_, at) = reader.relay_command.split_once(port).unwrap();
    let at = at.split_whitespace().next().unwrap().to_owned();
    for url in [format!("-k https://{at}/"), format!("http://{at}/")] {
        reader.status_becomes(200, &url);
    }
}

/// curl stands for the proxy, which begins its connections with the PROXY header.
pub(super) fn proxy(reader: &mut Reader, item: &Item) {
    let spans = item.spans();
    let flag = |start: &str| *spans.iter().find(|span| span.starts_with(start)).unwrap();
    let trusted = flag("--trusted-proxy").replace("IP", "127.0.0.0/8");
    let proxied = flag("--proxy-protocol");
    restart_relay(reader, &format!("{trusted} {proxied}"));
    reader.status_becomes(200, "--haproxy-protocol http://127.0.0.1:50005/");
    restart_relay(reader, "");
}

pub(super) fn metrics(reader: &mut Reader, item: &Item) {
    let [paths @ .., metrics] = commands(item, ["/metrics", "/healthz", "/readyz", "--metrics"]);
    for path in paths {
        reader.status_becomes(200, &format!("http://127.0.0.1:50002{path}"));
    }
    let (_, at) = metrics.split_once(' ').unwrap();
    restart_edge(reader, |edge| format!("{edge} {metrics}"));
    reader.status_becomes(200, &format!("http://{at}/metrics"));
    restart_edge(reader, str::to_owned);
}

pub(super) fn completions(reader: &mut Reader, item: &Item) {
    let [bash, man] = commands(item, ["peerwork completions bash", "peerwork man"]);
    let script = reader.succeeds(bash);
    assert!(script.contains("_peerwork"), "{script}");
    reader.succeeds(man);
    let folder = reader.shell.folder().join(man.rsplit(' ').next().unwrap());
    assert!(folder.join("peerwork-server.1").is_file());
}

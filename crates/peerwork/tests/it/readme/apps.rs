//! The README's rows about apps with URLs of their own, and about apps that redirect and set cookies.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
};

use super::{
    Reader,
    rows::{commands, restart_edge, restart_relay},
    text::Item,
};
use crate::secure::certificate;

/// The app behind the third URL of the row about URLs.
const AT_SOCKET: &str = "http://127.0.0.1:50005/edge/$EDGE/80";
/// The third flag of that row.
const SOCKET_FLAG: &str = "--app-port 80=unix:/run/app.sock";

/// Each app of the row runs at its URL, and is called at its offered port.
pub(super) fn urls(reader: &mut Reader, item: &Item) {
    let starts = [
        "--app-port 443=https:",
        "--app-port 50051=h2c:",
        SOCKET_FLAG,
    ];
    let flags = commands(item, starts);
    certificate(reader.shell.folder());
    let https = "openssl s_server -www -accept 127.0.0.1:8443 -cert cert.pem -key key.pem";
    reader.start("https app", https, "ACCEPT");
    // The example app speaks HTTP/2 with prior knowledge, too.
    let h2c = "peerwork webapp --listen 127.0.0.1:50051";
    reader.start("h2c app", h2c, "Server is running");
    serve_at_socket(&reader.local.socket());
    // An address of the test stands for localhost, which alone is in the certificate.
    let flags = format!("{} --app-insecure", flags.join(" "));
    restart_edge(reader, |edge| format!("{edge} {flags}"));
    reader.status_becomes(200, "http://127.0.0.1:50005/edge/$EDGE/443/");
    reader.status_becomes(200, "http://127.0.0.1:50005/edge/$EDGE/50051/home");
    reader.status_becomes(200, &format!("{AT_SOCKET}/login"));
    reader.shell.end("https app");
    reader.shell.end("h2c app");
    restart_edge(reader, str::to_owned);
}

/// The app at the Unix socket redirects to `/login` with a cookie for `/`: curl arrives there, and has a
/// cookie for the app alone; with the flag of the row the redirect leaves the app.
pub(super) fn redirects(reader: &mut Reader, item: &Item) {
    let [prefix, keep] = commands(item, ["/edge/<node>/<port>", "--keep-paths"]);
    restart_edge(reader, |edge| format!("{edge} {SOCKET_FLAG}"));
    reader.status_becomes(200, &format!("-L -c jar {AT_SOCKET}/"));
    let id = reader.variable("EDGE");
    let cookies = std::fs::read_to_string(reader.shell.folder().join("jar")).unwrap();
    let path = prefix.replace("<node>", &id).replace("<port>", "80");
    let cookie = cookies.lines().find(|line| line.ends_with("\tseen\tyes"));
    assert!(
        cookie.unwrap().contains(&format!("\t{path}\t")),
        "{cookies}"
    );
    restart_relay(reader, keep);
    reader.status_becomes(200, &format!("{AT_SOCKET}/login"));
    assert_eq!(reader.status(&format!("-L {AT_SOCKET}/")), 404);
    restart_relay(reader, "");
    restart_edge(reader, str::to_owned);
    // Both are known again at the other relay, too.
    for port in ["50005", "51005"] {
        let app = format!("http://127.0.0.1:{port}/edge/$EDGE/9527/home");
        reader.status_becomes(200, &app);
    }
}

/// Serves HTTP/1.1 at a Unix socket until the test process ends: `/login` is a page, and every other path
/// redirects there.
fn serve_at_socket(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A caller may go at any time.
            let _ = answer(stream);
        }
    });
}

fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let status = if head.starts_with(b"GET /login ") {
        "200 OK\r\n"
    } else {
        "302 Found\r\nlocation: /login\r\nset-cookie: seen=yes; Path=/\r\n"
    };
    let more = "content-length: 0\r\nconnection: close";
    stream.write_all(format!("HTTP/1.1 {status}{more}\r\n\r\n").as_bytes())
}

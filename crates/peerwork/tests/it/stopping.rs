//! Stops a relay that has calls under way, with real processes.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Duration,
};

use peerwork_testkit::DEADLINE;

use crate::{
    network::{Node, World, curl, eventually},
    program::run,
};

/// An app that keeps its connections open, and answers a request when the test tells it to.
struct PatientApp {
    port: u16,
    /// Receives a message for each request that arrived.
    requests: mpsc::Receiver<()>,
    answer: mpsc::Sender<()>,
}

impl PatientApp {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asking, requests) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
                    if asking.send(()).is_err()
                        || answers.recv().is_err()
                        || stream.write_all(response).is_err()
                    {
                        return;
                    }
                }
            }
        });
        Self {
            port,
            requests,
            answer,
        }
    }
}

fn knows(world: &World, at: &Node, node: &str) -> bool {
    let data = at.data().display();
    let status = run(
        world.path(),
        &format!("peers status --data-dir {data} --peer-id {node}"),
    );
    status.code == Some(0)
}

#[test]
fn a_relay_stops_in_order_with_its_last_request_and_says_goodbye() {
    let world = World::new();
    let app = PatientApp::start();
    let mut stopped = world.relay("node_1", &[], "--app-no-auth");
    let other = world.relay("node_2", &[stopped.p2p()], "--app-no-auth");
    let edge = world.edge("edge_1", &[stopped.p2p()], app.port, "--app-no-auth");
    let at = stopped.at.ingress.unwrap();
    let url = format!("http://{at}/edge/{}/{}/", edge.at.node_id, app.port);
    let first = {
        let url = url.clone();
        app.answer.send(()).unwrap();
        eventually("the edge to be known", || {
            curl(&url, &[]).filter(|a| a.status == 200)
        })
    };
    assert_eq!(first.body, "done");
    app.requests.recv_timeout(DEADLINE).unwrap();
    eventually("the other relay to know this one", || {
        knows(&world, &other, &stopped.at.node_id).then_some(())
    });
    let call = std::thread::spawn(move || curl(&url, &[]));
    app.requests.recv_timeout(DEADLINE).unwrap();
    stopped.process.signal("-TERM");
    eventually("the relay to take no further calls", || {
        TcpStream::connect(at).is_err().then_some(())
    });
    app.answer.send(()).unwrap();
    let answer = call
        .join()
        .unwrap()
        .expect("the request under way is answered");
    assert_eq!((answer.status, answer.body.as_str()), (200, "done"));
    assert_eq!(stopped.process.0.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(stopped.data().join("log.txt")).unwrap();
    assert!(
        !log.contains("was cut") && !log.contains("are cut"),
        "{log}"
    );
    // Without a goodbye the other relay would keep the node in its directory for 60 s.
    eventually("the goodbye", || {
        (!knows(&world, &other, &stopped.at.node_id)).then_some(())
    });
}

#[test]
fn open_connections_do_not_delay_the_stop_or_the_goodbye() {
    let world = World::new();
    let app = PatientApp::start();
    let mut stopped = world.relay("node_1", &[], "--app-no-auth");
    let other = world.relay("node_2", &[stopped.p2p()], "--app-no-auth");
    let edge = world.edge("edge_1", &[stopped.p2p()], app.port, "--app-no-auth");
    eventually("the other relay to know this one", || {
        knows(&world, &other, &stopped.at.node_id).then_some(())
    });
    let ingress = stopped.at.ingress.unwrap();
    let path = format!("/edge/{}/{}/", edge.at.node_id, app.port);
    app.answer.send(()).unwrap();
    eventually("the edge to be known", || {
        curl(&format!("http://{ingress}{path}"), &[]).filter(|a| a.status == 200)
    });
    app.requests.recv_timeout(DEADLINE).unwrap();
    let open = |at, text: &str| {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let upgrade = "GET /edge_ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let held = [
        // The connections: a silent one, half a request head, a call whose app never answers, a
        // WebSocket, a gRPC connection.
        open(ingress, ""),
        open(ingress, "GET / HT"),
        open(ingress, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")),
        open(stopped.at.jsonrpc.unwrap(), upgrade),
        open(stopped.at.jsonrpc.unwrap(), ""),
        open(stopped.at.grpc.unwrap(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];
    app.requests.recv_timeout(DEADLINE).unwrap();
    let start = std::time::Instant::now();
    stopped.process.signal("-TERM");
    assert_eq!(stopped.process.0.wait().unwrap().code(), Some(0));
    // The stop takes at most five seconds; the rest is for a busy machine. Each of these connections
    // alone would last longer.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
    eventually("the goodbye", || {
        (!knows(&world, &other, &stopped.at.node_id)).then_some(())
    });
    drop(held);
}

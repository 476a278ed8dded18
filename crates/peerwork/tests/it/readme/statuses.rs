//! The rows of the README's table of statuses, each with a call that fails so.

use super::{
    PREPARED, Reader,
    rows::{relay_as_written, relay_with_keys},
    text::Item,
};

/// The port of the README's app, behind its edge and at its first relay.
const APP: &str = "http://127.0.0.1:50005/edge/$EDGE/9527/home";

/// Makes a call until its status is `wanted`, and checks that the answer says what failed.
fn fails(reader: &mut Reader, wanted: u16, arguments: &str) {
    reader.status_becomes(wanted, arguments);
    let curl = reader.local.apply(&format!("curl -s -i {arguments}"));
    let answer = reader.shell.succeeds(&curl);
    let is_problem = answer
        .to_ascii_lowercase()
        .contains("application/problem+json");
    assert!(is_problem, "{arguments}: {answer}");
}

pub(super) fn no_such_target(reader: &mut Reader, _: &Item) {
    for target in ["not-an-id/9527/", "$EDGE/not-a-port/", "$EDGE"] {
        fails(
            reader,
            400,
            &format!("http://127.0.0.1:50005/edge/{target}"),
        );
    }
    fails(reader, 400, &format!("-H 'Host: a b' {APP}"));
}

pub(super) fn key_missing(reader: &mut Reader, _: &Item) {
    reader.shell.end("edge");
    let command = reader.edge_command.replace("--app-no-auth", "");
    reader.start("edge", &command, PREPARED);
    fails(reader, 401, APP);
    fails(reader, 401, &format!("-H 'Peerwork-Edge-Key: pwk_x' {APP}"));
    reader.shell.end("edge");
    let command = reader.edge_command.clone();
    reader.start("edge", &command, PREPARED);
    reader.status_becomes(200, APP);
}

pub(super) fn closed_port(reader: &mut Reader, _: &Item) {
    fails(reader, 403, "http://127.0.0.1:50005/edge/$EDGE/1/");
}

pub(super) fn unknown(reader: &mut Reader, _: &Item) {
    let stranger = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
    for path in [format!("edge/{stranger}/9527/"), "elsewhere".to_owned()] {
        fails(reader, 404, &format!("http://127.0.0.1:50005/{path}"));
    }
}

pub(super) fn page_and_connect(reader: &mut Reader, _: &Item) {
    fails(reader, 405, "-X POST http://127.0.0.1:50005/");
    // curl sends the authority of its target, as clients of a proxy do.
    let connect = "-X CONNECT --request-target example.org:443 http://127.0.0.1:50005/";
    fails(reader, 501, connect);
}

pub(super) fn too_long(reader: &mut Reader, _: &Item) {
    fails(reader, 414, &format!("{APP}/$(printf %065536d 0)"));
    fails(reader, 431, &format!("$(seq -f '-H x-%g:1' 257) {APP}"));
}

pub(super) fn login_too_often(reader: &mut Reader, _: &Item) {
    relay_with_keys(reader);
    let form = "-d key=pwk_x http://127.0.0.1:8081/.well-known/peerwork/login";
    fails(reader, 429, form);
    relay_as_written(reader);
    reader.status_becomes(200, APP);
}

pub(super) fn app_down(reader: &mut Reader, _: &Item) {
    reader.shell.end("web app");
    fails(reader, 502, APP);
}

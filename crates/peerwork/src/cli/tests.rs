//! Tests of the whole command line.

#![allow(clippy::unwrap_used)]

use clap::FromArgMatches as _;

use super::*;
use server::ServerArgs;

fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
    command_line().try_get_matches_from(line.split_whitespace())
}

fn global(line: &str) -> Global {
    let matches = parse(line).unwrap();
    let (_, flags) = asked(&matches).unwrap();
    Global::from_arg_matches(flags).unwrap()
}

fn server(line: &str) -> ServerArgs {
    let matches = parse(line).unwrap();
    let (entry, flags) = asked(&matches).unwrap();
    assert_eq!(entry.name, "server");
    ServerArgs::from_arg_matches(flags).unwrap()
}

#[test]
fn the_command_line_is_consistent() {
    command_line().debug_assert();
}

#[test]
fn the_help_of_the_program_begins_with_its_purpose() {
    let mut program = command_line();
    let short = program.render_help().to_string();
    assert!(short.starts_with(ABOUT), "{short}");
    let long = program.render_long_help().to_string();
    // The long text is wrapped.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&long).starts_with(&words(LONG_ABOUT)), "{long}");
}

#[test]
fn every_setting_means_one_thing_in_all_commands_that_have_it() {
    let mut kinds = std::collections::BTreeMap::new();
    for schema in COMMANDS.iter().filter_map(|entry| entry.settings) {
        for arg in schema().get_arguments() {
            let kind = (
                arg.get_value_parser().type_id(),
                arg.get_action().takes_values(),
            );
            let earlier = kinds.insert(arg.get_long().map(str::to_owned), kind);
            assert!(earlier.is_none_or(|earlier| earlier == kind), "{arg:?}");
        }
    }
}

#[test]
fn json_is_recognised_even_when_the_command_line_is_wrong() {
    let asked = |line: &str, environment: Option<&str>| {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        asked_form(&line, environment.map(OsStr::new))
    };
    let form = |line: &str| asked(line, None);
    assert_eq!(asked("peerwork", Some("true")), Form::Json);
    assert_eq!(asked("peerwork --json=false", Some("true")), Form::Text);
    assert_eq!(asked("peerwork", Some("no")), Form::Text);
    assert_eq!(form("peerwork nonsense --json"), Form::Json);
    assert_eq!(form("peerwork --json=true nonsense"), Form::Json);
    assert_eq!(form("peerwork --json --json=false"), Form::Text);
    assert_eq!(form("peerwork -- --json"), Form::Text);
    assert_eq!(form("peerwork"), Form::Text);
}

#[test]
fn json_may_stand_anywhere_and_carry_a_value() {
    assert!(global("peerwork --json version").json);
    assert!(global("peerwork version --json").json);
    assert!(global("peerwork peers list --json=true").json);
    assert!(!global("peerwork version --json=false").json);
    assert!(!global("peerwork version").json);
}

#[test]
fn the_edge_line_of_the_readme_with_its_lone_dash_is_understood() {
    let line = "peerwork server --network example_edge.json --data-dir edge_1 --grpc-address \
                0.0.0.0:52000 --libp2p 0.0.0.0:52001 - --relay-on --running-mode edge \
                --app-url http://127.0.0.1 --app-no-auth --app-no-agent";
    let server = server(line);
    assert_eq!(server.stray, ["-"]);
    assert!(server.flags.edge.relay_on && server.flags.edge.app_no_auth);
    assert_eq!(server.flags.edge.app_url, "127.0.0.1");
    assert_eq!(global(line).grpc_address.as_deref(), Some("0.0.0.0:52000"));
}

#[test]
fn the_last_of_repeated_flags_counts() {
    let server = server("peerwork server --jsonrpc off --jsonrpc 127.0.0.1:7 --relay-on=false");
    assert_eq!(
        server.flags.relay.jsonrpc.address(),
        Some("127.0.0.1:7".parse().unwrap())
    );
    assert!(!server.flags.edge.relay_on);
}

#[test]
fn the_old_name_of_the_operator_address_is_understood() {
    let global = global("peerwork status --grpc 127.0.0.1:9");
    assert_eq!(global.grpc_address.as_deref(), Some("127.0.0.1:9"));
}

#[test]
fn no_arguments_and_a_bare_group_show_help() {
    for line in ["peerwork", "peerwork secrets", "peerwork key"] {
        let kind = parse(line).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    }
}

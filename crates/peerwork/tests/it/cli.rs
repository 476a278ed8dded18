//! Commands that need no running node: their output, their files and their failures.

use std::fs;

use serde_json::Value;

use crate::program::{peerwork, run};

pub(crate) const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The message of a failure in JSON form.
fn json_error(stderr: &str) -> String {
    let value = json(stderr);
    assert_eq!(value.as_object().unwrap().len(), 1);
    value["error"].as_str().unwrap().to_owned()
}

#[test]
fn secrets_init_makes_keys_and_secrets_output_names_them() {
    let dir = folder();
    let made = run(dir.path(), "secrets init --data-dir node_1").succeeded();
    let lines: Vec<&str> = made.split('\n').collect();
    assert_eq!(lines[..2], ["", "[SECRETS INIT]"]);
    assert!(lines[2].starts_with("Public key (address) = 0x"), "{made}");
    assert!(
        lines[3].starts_with("Node ID              = 16Uiu2HA"),
        "{made}"
    );
    assert_eq!(lines[4..], ["", ""]);

    let output = run(dir.path(), "secrets output --data-dir node_1").succeeded();
    assert_eq!(output, made.replace("SECRETS INIT", "SECRETS OUTPUT"));
    let node_id = run(dir.path(), "secrets output --data-dir node_1 --node-id").succeeded();
    assert_eq!(
        node_id.trim_end(),
        lines[3].trim_start_matches("Node ID              = ")
    );
    let address = json(
        &run(
            dir.path(),
            "secrets output --data-dir node_1 --validator --json",
        )
        .succeeded(),
    );
    assert_eq!(
        address.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["address"]
    );

    let network_key = fs::read_to_string(dir.path().join("node_1/libp2p/libp2p.key")).unwrap();
    assert!(network_key.len() == 72 && network_key.starts_with("08021220"));
    let validator_key =
        fs::read_to_string(dir.path().join("node_1/consensus/validator.key")).unwrap();
    assert_eq!(validator_key.len(), 64);
}

#[test]
fn known_keys_give_their_known_node_ids_and_addresses() {
    let dir = folder();
    fs::create_dir_all(dir.path().join("d/libp2p")).unwrap();
    fs::create_dir_all(dir.path().join("d/consensus")).unwrap();
    let scalar = "01".repeat(32);
    fs::write(
        dir.path().join("d/libp2p/libp2p.key"),
        format!("08021220{scalar}"),
    )
    .unwrap();
    fs::write(dir.path().join("d/consensus/validator.key"), scalar).unwrap();
    assert_eq!(
        run(dir.path(), "secrets output --data-dir d").succeeded(),
        "\n[SECRETS OUTPUT]\n\
         Public key (address) = 0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1\n\
         Node ID              = 16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi\n\n"
    );
    assert_eq!(
        run(dir.path(), "--json secrets output --data-dir d").succeeded(),
        "{\"address\":\"0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1\",\
          \"node_id\":\"16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi\"}\n"
    );
}

#[test]
fn secrets_init_in_json_is_an_array_even_for_one_key_set() {
    let dir = folder();
    let one = json(&run(dir.path(), "secrets init --data-dir d --json").succeeded());
    assert_eq!(one.as_array().unwrap().len(), 1);
    let keys: Vec<_> = one[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["address", "node_id", "insecure"]);

    let three = json(&run(dir.path(), "secrets init --data-dir n --num 3 --json").succeeded());
    assert_eq!(three.as_array().unwrap().len(), 3);
    for number in 1..=3 {
        assert!(
            dir.path()
                .join(format!("n{number}/libp2p/libp2p.key"))
                .is_file()
        );
    }
    assert!(!dir.path().join("n").exists());
}

#[test]
fn keys_are_never_overwritten() {
    let dir = folder();
    run(dir.path(), "secrets init --data-dir d2").succeeded();
    let before = fs::read(dir.path().join("d2/libp2p/libp2p.key")).unwrap();
    let error = run(dir.path(), "secrets init --data-dir d2").failed();
    assert!(
        error.contains("secrets \"validator-key\" has been already initialized"),
        "{error}"
    );
    assert_eq!(
        fs::read(dir.path().join("d2/libp2p/libp2p.key")).unwrap(),
        before
    );

    run(dir.path(), "secrets init --data-dir d --num 2").failed();
    assert!(
        !dir.path().join("d1").exists(),
        "nothing is made when one of several exists"
    );
}

#[test]
fn one_of_the_two_keys_may_be_left_out() {
    let dir = folder();
    let text = run(dir.path(), "secrets init --data-dir a --network=false").succeeded();
    assert!(text.contains("Node ID              = <none>\n"), "{text}");
    let text = run(
        dir.path(),
        "secrets init --data-dir b --ecdsa=false --key-type ed25519",
    )
    .succeeded();
    assert!(
        text.contains("= 0x0000000000000000000000000000000000000000\n"),
        "{text}"
    );
    assert!(text.contains("= 12D3KooW"), "{text}");
}

#[test]
fn without_a_data_directory_keys_go_to_the_platforms_folder_and_it_is_named() {
    let dir = folder();
    let ran = run(dir.path(), "secrets init");
    assert!(ran.stderr.contains("The keys are in "), "{ran:?}");
    ran.succeeded();
    run(dir.path(), "secrets output").succeeded();
}

#[test]
fn invalid_calls_of_secrets_commands_are_errors() {
    let dir = folder();
    let error = run(dir.path(), "secrets init --data-dir d --num 31").failed();
    assert!(
        error.contains("num flag value should be between 1 and 30"),
        "{error}"
    );
    let error = run(dir.path(), "secrets output --data-dir nowhere").failed();
    assert!(error.contains("nowhere does not exist"), "{error}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let error = run(dir.path(), "secrets output --data-dir empty").failed();
    assert!(
        error.contains("empty/consensus does not exist\n"),
        "{error}"
    );
    assert!(error.contains("empty/libp2p does not exist\n"), "{error}");
    run(
        dir.path(),
        "secrets output --data-dir empty --node-id --validator",
    )
    .failed();
}

#[test]
fn weakness_48_secrets_generate_works() {
    let dir = folder();
    let text = run(dir.path(), "secrets generate --name mine").succeeded();
    assert!(text.starts_with("\n[SECRETS GENERATE]\n"), "{text}");
    let file = fs::read_to_string(dir.path().join("secretsManagerConfig.json")).unwrap();
    let keys: Vec<String> = json(&file).as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        ["token", "server_url", "type", "name", "namespace", "extra"]
    );
    run(dir.path(), "secrets generate").failed();
    let error = run(dir.path(), "secrets generate --dir x.json --type aws-ssm").failed();
    assert!(error.contains("not supported"), "{error}");
    assert!(!dir.path().join("x.json").exists());
}

#[test]
fn version_is_shown_in_both_forms() {
    let dir = folder();
    let text = run(dir.path(), "version").succeeded();
    let release = concat!(
        "\n[VERSION INFO]\nRelease = v",
        env!("CARGO_PKG_VERSION"),
        "\nBranch  = "
    );
    assert!(text.starts_with(release), "{text}");
    let value = json(&run(dir.path(), "version --json").succeeded());
    assert_eq!(
        value.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["version", "branch", "build"]
    );
}

#[test]
fn weakness_54_errors_in_json_mode_are_json_and_exit_with_1() {
    let dir = folder();
    let error = json_error(&run(dir.path(), "direcotry --json").failed());
    assert_eq!(
        error,
        "unrecognized subcommand 'direcotry' tip: a similar subcommand exists: 'directory'"
    );
    for line in [
        "secrets output --data-dir nowhere --json",
        "--json no-such-command",
        "server --no-such-flag --json",
        "status --data-dir nowhere --grpc-address 127.0.0.1:1 --json",
    ] {
        assert!(
            !json_error(&run(dir.path(), line).failed()).is_empty(),
            "{line}"
        );
    }
}

#[test]
fn weakness_53_a_misspelt_running_mode_is_an_error_that_lists_the_modes() {
    let dir = folder();
    let error = run(dir.path(), "server --running-mode egde").failed();
    assert!(
        error.contains("egde") && error.contains("full") && error.contains("edge"),
        "{error}"
    );
}

#[test]
fn a_server_without_keys_says_how_to_make_them() {
    let dir = folder();
    let error = run(dir.path(), "server --data-dir d - --relay-on").failed();
    assert!(
        error.contains("peerwork secrets init --data-dir d"),
        "{error}"
    );
}

#[test]
fn weakness_47_a_settings_file_is_read_and_all_its_mistakes_are_reported_at_once() {
    let dir = folder();
    run(dir.path(), "secrets init --data-dir d").succeeded();
    run(dir.path(), "genesis").succeeded();
    fs::write(
        dir.path().join("node.toml"),
        "data-dir = 'd'\nrunning-mode = 'egde'\nrelayon = true\napp_port = [80, 70000]\n",
    )
    .unwrap();
    let ran = peerwork(dir.path())
        .args(["server", "--config", "node.toml"])
        .env("PEERWORK_NAT", "here")
        .output()
        .unwrap();
    let error = crate::program::Ran::from(ran).failed();
    for part in [
        "4 settings are wrong",
        "running-mode in node.toml = `egde`",
        "the nearest is `relay-on`",
        "`70000`",
        "PEERWORK_NAT = `here`",
    ] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn two_listeners_on_one_port_are_refused_before_the_start() {
    let dir = folder();
    run(dir.path(), "secrets init --data-dir d").succeeded();
    run(dir.path(), "genesis").succeeded();
    let line = "server --data-dir d --libp2p 127.0.0.1:4001 --websocket 127.0.0.1:4001";
    let error = run(dir.path(), line).failed();
    assert!(
        error.contains("--libp2p and --websocket both want port 4001"),
        "{error}"
    );
}

#[test]
fn a_command_without_a_running_node_is_an_error_with_advice() {
    let dir = folder();
    for command in [
        "status",
        "peers list",
        "peers relay",
        "relay list",
        "relay status",
    ] {
        let line = format!("{command} --data-dir d --grpc-address 127.0.0.1:1");
        let error = run(dir.path(), &line).failed();
        assert!(
            error.contains("no running node") && error.contains("127.0.0.1:1"),
            "{error}"
        );
    }
}

#[test]
fn no_arguments_print_help() {
    let dir = folder();
    assert!(run(dir.path(), "").succeeded().contains("Usage: peerwork"));
    assert!(
        run(dir.path(), "peers")
            .succeeded()
            .contains("Usage: peerwork peers")
    );
    assert!(
        run(dir.path(), "server - --help")
            .succeeded()
            .contains("--running-mode")
    );
}

#[test]
fn completions_and_manual_pages_are_made() {
    let dir = folder();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(dir.path(), &format!("completions {shell}")).succeeded();
        assert!(script.contains("running-mode"), "{shell}");
    }
    run(dir.path(), "completion bash").succeeded();
    assert!(
        run(dir.path(), "man")
            .succeeded()
            .contains(".TH peerwork 1")
    );
    run(dir.path(), "man pages").succeeded();
    for page in ["peerwork.1", "peerwork-server.1", "peerwork-secrets-init.1"] {
        assert!(dir.path().join("pages").join(page).is_file(), "{page}");
    }
}

#[test]
fn keys_are_made_listed_and_revoked_without_a_running_node() {
    let dir = folder();
    assert!(
        run(dir.path(), "key list --data-dir d")
            .succeeded()
            .contains("No keys found")
    );
    let line = format!(
        "key create --data-dir d --label mine --node {NODE} --port 22 --expires 30d --json"
    );
    let created = json(&run(dir.path(), &line).succeeded());
    let (id, key) = (
        created["id"].as_str().unwrap(),
        created["key"].as_str().unwrap(),
    );
    assert!(key.len() >= 32, "{key}");

    let kept = fs::read_to_string(dir.path().join("d/keys.json")).unwrap();
    assert!(!kept.contains(key), "only a hash is kept");
    let list = json(&run(dir.path(), "key list --data-dir d --json").succeeded());
    assert_eq!(list[0]["id"], id);
    assert_eq!(list[0]["label"], "mine");
    assert_eq!(list[0]["node"], NODE);
    assert_eq!(list[0]["port"], 22);
    assert_eq!(list[0]["expired"], false);

    run(dir.path(), &format!("key revoke --data-dir d {id}")).succeeded();
    let error = run(dir.path(), &format!("key revoke --data-dir d {id}")).failed();
    assert!(error.contains("there is no key"), "{error}");
    let error = run(dir.path(), "key create --data-dir d --expires soon").failed();
    assert!(error.contains("30d"), "{error}");
}

#[test]
fn the_log_is_appended_to_its_file_as_json_lines() {
    let dir = folder();
    for runs in 1..=2 {
        // A server without keys ends right after it began its log.
        run(
            dir.path(),
            "server --data-dir d --log-to x.log --json - surplus",
        )
        .failed();
        let log = fs::read_to_string(dir.path().join("x.log")).unwrap();
        let lines: Vec<Value> = log.lines().map(json).collect();
        assert_eq!(lines.len(), runs, "{log}");
        assert_eq!(
            lines[0]["fields"]["message"],
            "the argument `surplus` is ignored"
        );
    }
}

#[test]
fn weakness_52_flags_that_only_the_blockchain_used_are_accepted() {
    let dir = folder();
    let line = "server --data-dir d --max-slots 1 --max-enqueued 2 --json-rpc-block-range-limit 3 \
                --dev --dev-interval 4 --app-no-agent --auth-url http://x";
    let error = run(dir.path(), line).failed();
    assert!(
        error.contains("secrets init"),
        "only the keys are missing: {error}"
    );
    assert!(error.contains("--auth-url has no effect"), "{error}");
}

#[test]
fn json_and_settings_files_apply_to_every_command() {
    let dir = folder();
    let out = peerwork(dir.path())
        .env("PEERWORK_JSON", "true")
        .args(["secrets", "init", "--data-dir", "node"])
        .output()
        .unwrap();
    assert!(!json(&String::from_utf8(out.stdout).unwrap()).is_null());
    fs::write(dir.path().join("settings.toml"), "json = true\n").unwrap();
    let line = "secrets output --data-dir node --config settings.toml";
    assert!(!json(&run(dir.path(), line).succeeded()).is_null());
    for line in ["genesis --name x --network-id 1", "demo --check", "webapp"] {
        let failed = run(dir.path(), &format!("{line} --config missing.toml"));
        assert_eq!(failed.code, Some(1), "{line}");
        assert!(failed.stderr.contains("missing.toml"), "{}", failed.stderr);
    }
}

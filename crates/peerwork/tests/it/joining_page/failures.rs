//! The page's table of failures: the program gives each message.

use peerwork_net::error::Refusal as GateRefusal;
use peerwork_ticket::Refusal;

use super::section;
use crate::{
    joining::invite,
    network::World,
    program::run,
    readme::text::{items, spans},
};

/// The errors of joining that the program gives for several mistakes.
fn errors(world: &World) -> Vec<String> {
    // QUIC would wait ten seconds for the answer of an ended relay.
    let line = format!("node --data-dir home --no-quic --libp2p {}:0", world.ip);
    let mut node = world.start("home", &line);
    let open = invite(world, "home", "");
    let once = invite(world, "home", "--once");
    node.process.kill();
    std::fs::create_dir(world.path().join("other")).unwrap();
    world.run("genesis --dir other/network.json --network-id 7 --name Other");
    let changed = format!("{}{}", &once[..once.len() - 1], "2");
    let mut errors: Vec<String> = [
        "join --data-dir a hello".to_owned(),
        format!("join --data-dir a {}x", &changed[..40]),
        format!(
            "join --data-dir a {}",
            once.replacen("peerwork1", "peerwork9", 1)
        ),
        format!("join --data-dir a {once}"),
        format!("join --data-dir b {open}"),
        format!("join --data-dir other {open}"),
        format!("node --data-dir c --join {open} --network other/network.json"),
    ]
    .iter()
    .map(|line| {
        let ran = run(world.path(), line);
        assert_ne!(ran.code, Some(0), "{line}");
        ran.stderr
    })
    .collect();
    // The tests of tickets let relays give these.
    let refusals = [Refusal::UsedUp, Refusal::Expired, Refusal::Unknown];
    errors.extend(refusals.map(|refusal| refusal.to_string()));
    // Nodes show these in `peerwork status` and in the log.
    let refusals = [GateRefusal::ByOther, GateRefusal::OtherSecret];
    errors.extend(refusals.map(|refusal| refusal.to_string()));
    errors
}

#[test]
fn each_message_of_the_page_is_given_by_the_program() {
    let world = World::of_its_own_address();
    let errors = errors(&world);
    let rows = items(section("When joining fails"));
    assert!(!rows.is_empty());
    for row in &rows {
        let [message] = spans(&row.name)[..] else {
            panic!("{}", row.name);
        };
        let given = errors.iter().any(|error| error.contains(message));
        assert!(given, "no error contains `{message}`: {errors:#?}");
    }
}

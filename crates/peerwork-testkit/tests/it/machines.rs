//! Machines that are network namespaces, where this machine offers them.

use std::{path::Path, process::Command};

use peerwork_testkit::machines::{Lab, Machine};

/// Tries to connect to a port without a listener: the other machine refuses the connection when the
/// packets arrive.
fn reaches(from: &Machine, to: &Machine) -> bool {
    let mut connect = Command::new("bash");
    let script = format!("exec 3<>/dev/tcp/{}/9", to.address());
    connect.args(["-c", &script]);
    let output = from.command(&connect).env("LC_ALL", "C").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "no program listens there");
    stderr.contains("Connection refused")
}

fn namespaces() -> Vec<String> {
    let folder = Path::new("/run/netns").read_dir();
    let names = folder.into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let own = format!("pwtest-{}-", std::process::id());
    names.filter(|name| name.starts_with(&own)).collect()
}

#[test]
fn machines_of_one_network_reach_each_other_and_see_no_interface_of_the_host() {
    let Some(mut lab) = Lab::or_say() else { return };
    let [one, other] = &lab.local_network(2)[..] else {
        panic!("two machines")
    };
    assert!(reaches(one, other) && reaches(other, one));
    let links = one
        .command(Command::new("cat").arg("/proc/net/dev"))
        .output();
    let links = String::from_utf8(links.unwrap().stdout).unwrap();
    let names: Vec<_> = links
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let names: Vec<_> = names.into_iter().map(|(name, _)| name.trim()).collect();
    assert!(names.contains(&"eth0") && names.contains(&"lo"), "{links}");
    assert!(!names.iter().any(|name| name.starts_with('p')), "{links}");
}

#[test]
fn a_router_carries_packets_between_two_networks() {
    let Some(mut lab) = Lab::or_say() else { return };
    let [near, far] = lab.routed_networks([1, 1]);
    assert!(reaches(&near[0], &far[0]) && reaches(&far[0], &near[0]));
    let apart = lab.local_network(1);
    assert!(!reaches(&apart[0], &near[0]), "no route leads there");
}

#[test]
fn a_panic_removes_the_machines() {
    if Lab::or_say().is_none() {
        return;
    }
    let made = std::sync::Mutex::new(Vec::new());
    let ended = std::panic::catch_unwind(|| {
        let mut lab = Lab::new().unwrap();
        let machines = lab.local_network(1);
        let shown = format!("{machines:?}");
        *made.lock().unwrap() = namespaces()
            .into_iter()
            .filter(|name| shown.contains(name.as_str()))
            .collect();
        panic!("as a failed test does");
    });
    assert!(ended.is_err());
    let made = made.into_inner().unwrap();
    assert_eq!(made.len(), 1);
    assert!(!namespaces().contains(&made[0]), "{made:?}");
}

#[test]
fn a_killed_tests_machines_are_removed_by_the_next_lab() {
    let Some(_lab) = Lab::or_say() else { return };
    // A process id above the largest of Linux belongs to no process.
    let left = format!("pwtest-4294967295-{}-machine1-1", std::process::id());
    let added = Command::new("ip").args(["netns", "add", &left]).status();
    assert!(added.unwrap().success());
    let _next = Lab::new().unwrap();
    assert!(!Path::new("/run/netns").join(&left).exists());
}

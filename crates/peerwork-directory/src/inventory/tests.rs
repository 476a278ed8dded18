//! The text forms on machines made of files, against the published samples.

#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::symlink, path::Path};

use super::*;

/// A machine as a folder with `proc` and `sys`.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn card(&self, index: u32, address: &str, driver: &str, ids: (&str, &str)) {
        let target = format!("../../devices/pci0000:00/{address}/drm/card{index}");
        self.link(&format!("sys/class/drm/card{index}"), &target);
        self.link(&format!("sys/class/drm/card{index}-HDMI-A-1"), &target);
        let device = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{device}/vendor"), ids.0);
        self.write(&format!("{device}/device"), ids.1);
        self.write(&format!("{device}/class"), "0x030000\n");
        self.write(&format!("{device}/numa_node"), "0\n");
        self.link(
            &format!("{device}/driver"),
            &format!("../../../bus/pci/drivers/{driver}"),
        );
    }

    fn read(&self) -> Inventory {
        let at = |name| Path::join(self.0.path(), name);
        Reader::new(Roots {
            proc: at("proc"),
            sys: at("sys"),
            nvml: false,
        })
        .read()
    }
}

#[test]
fn the_cards_of_the_published_sample_are_written_as_there() {
    let machine = Machine::new();
    machine.card(1, "0000:61:00.0", "nvidia", ("0x10de\n", "0x2204\n"));
    machine.card(0, "0000:63:00.0", "ast", ("0x1a03\n", "0x2000\n"));
    let inventory = machine.read();
    let expected = concat!(
        r#"{"gpus":2,"graphics_card":["#,
        r#""card #0  [affined to NUMA node 0]@0000:63:00.0 -\u003e driver: 'ast' class: 'Display controller' vendor: 'ASPEED Technology, Inc.' product: 'ASPEED Graphics Family'","#,
        r#""card #1  [affined to NUMA node 0]@0000:61:00.0 -\u003e driver: 'nvidia' class: 'Display controller' vendor: 'NVIDIA Corporation' product: 'GA102 [GeForce RTX 3090]'"]}"#,
    );
    assert_eq!(inventory.gpu_info, expected);
    assert_eq!(inventory.gpus.len(), 2);
    assert_eq!(inventory.gpus[1].address, "0000:61:00.0");
    assert_eq!(inventory.gpus[1].memory_bytes, None);
}

#[test]
fn a_card_without_ids_or_numa_node_shows_its_address_alone() {
    let machine = Machine::new();
    let target = "../../devices/pci0000:00/0000:00:01.0/virtio0/drm/card0";
    machine.link("sys/class/drm/card0", target);
    machine.write("sys/bus/pci/devices/0000:00:01.0/numa_node", "-1\n");
    let expected = r#"{"gpus":1,"graphics_card":["card #0 @0000:00:01.0"]}"#;
    assert_eq!(machine.read().gpu_info, expected);
}

#[test]
fn a_card_that_the_database_does_not_know_is_unknown() {
    let machine = Machine::new();
    machine.card(0, "0000:00:02.0", "x", ("0xfff5\n", "0xfff5\n"));
    assert!(
        machine
            .read()
            .gpu_info
            .ends_with("vendor: 'unknown' product: 'unknown'\"]}")
    );
}

#[test]
fn cards_that_are_not_on_pci_and_other_nodes_are_left_out() {
    let machine = Machine::new();
    machine.link(
        "sys/class/drm/card0",
        "../../devices/platform/soc/gpu/drm/card0",
    );
    machine.link(
        "sys/class/drm/renderD128",
        "../../devices/pci0000:00/0000:00:02.0/drm/x",
    );
    assert_eq!(machine.read().gpu_info, r#"{"gpus":0,"graphics_card":[]}"#);
}

#[test]
fn a_machine_without_cards_has_an_empty_list_and_an_unreadable_one_nothing() {
    assert_eq!(
        Machine::new().read().gpu_info,
        r#"{"gpus":0,"graphics_card":[]}"#
    );
    let machine = Machine::new();
    machine.write("sys/class/drm", "not a folder");
    assert_eq!(machine.read().gpu_info, "");
}

#[test]
fn the_first_interface_with_an_address_counts_and_loopback_does_not() {
    let machine = Machine::new();
    for (name, index, address) in [
        ("lo", "1", "00:00:00:00:00:00"),
        ("tun0", "2", ""),
        ("wlan0", "10", "00:16:3e:00:00:02"),
        ("eth0", "3", "00:16:3E:00:AB:01"),
        ("ib0", "4", "80:00:00:48:fe:80:00:00:00:00"),
    ] {
        machine.write(
            &format!("sys/class/net/{name}/ifindex"),
            &format!("{index}\n"),
        );
        machine.write(
            &format!("sys/class/net/{name}/address"),
            &format!("{address}\n"),
        );
    }
    assert_eq!(machine.read().mac, "00:16:3e:00:ab:01");
}

#[test]
fn a_machine_that_tells_nothing_is_all_empty() {
    let inventory = Machine::new().read();
    assert_eq!(
        (inventory.mac, inventory.mem_info, inventory.cpu_info),
        Default::default()
    );
}

#[test]
fn this_machine_has_memory_and_a_processor() {
    let inventory = Reader::new(Roots {
        nvml: false,
        ..Roots::default()
    })
    .read();
    for text in [inventory.mem_info, inventory.cpu_info, inventory.gpu_info] {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value.is_object());
    }
}

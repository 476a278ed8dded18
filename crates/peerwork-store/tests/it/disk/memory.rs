//! The memory of a process that stores much, and the store's metrics.
//!
//! The process is this test binary, which runs the test below alone and finds the folder of the store
//! in a variable.

use std::{env, fs, process::Command};

use peerwork_store::{Config, Repair, Sink, Store};
use peerwork_testkit::repetitions;
use prometheus_client::{encoding::text::encode, registry::Registry};

use super::{on, open, parent, raw};

const FOLDER: &str = "PEERWORK_STORE_TEST_MEMORY";
/// The most memory of the process, in kB as the system tells it.
const MEMORY_KB_MAX: u64 = 100 << 10;

/// Adds, collects and verifies, then compares the memory; without the variable it does nothing.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let config = Config {
        max: 100_000_000_000,
        reserve: 0,
        ..Config::new(folder)
    };
    let store = Store::open(config).unwrap();
    // 10 GiB in blocks of 256 KiB, and 100,000 files.
    let (large, small) = (repetitions(40 << 10) as u64, repetitions(100_000) as u64);
    for (first, count, bytes) in [(0, large, 256 << 10), (1 << 40, small, 1000)] {
        let mut writer = store.writer();
        for seed in first..first + count {
            writer.put(raw(seed, bytes)).unwrap();
        }
        writer.commit().unwrap();
    }
    let root = parent(&[&raw(0, 256 << 10)]);
    store.writer().put(root.clone()).unwrap();
    store.pin(root.cid(), "").unwrap();
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert_eq!(report.blocks, large + small + 1);
    assert!(store.gc(&mut on).unwrap().blocks >= large + small - 1);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kb: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kb < MEMORY_KB_MAX, "{kb} kB");
}

#[test]
#[cfg(target_os = "linux")]
fn a_store_of_many_blocks_takes_less_than_100_mib() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["disk::memory::child", "--exact"])
        .env(FOLDER, folder.path().join("store"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn metrics_tell_what_the_store_holds_and_did() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut registry = Registry::default();
    store.register(&mut registry);
    let (kept, gone) = (raw(1, 1000), raw(2, 500));
    let mut writer = store.writer();
    writer.put(kept.clone()).unwrap();
    writer.put(gone.clone()).unwrap();
    writer.commit().unwrap();
    drop(writer);
    assert!(store.get(kept.cid()).unwrap().is_some());
    assert!(store.get(raw(3, 8).cid()).unwrap().is_none());
    store.pin(kept.cid(), "").unwrap();
    store.gc(&mut on).unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "peerwork_store_blocks 1",
        "peerwork_store_block_bytes 1000",
        "peerwork_store_hits_total 1",
        "peerwork_store_misses_total 1",
        "peerwork_store_evicted_blocks_total 1",
        "peerwork_store_evicted_bytes_total 550",
        "peerwork_store_collections_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        text.contains("peerwork_store_syncs_total ") && text.contains("peerwork_store_disk_bytes ")
    );
}

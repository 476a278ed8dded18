//! `kill -9` at any moment of add, gc and eviction loses nothing that was acknowledged.
//!
//! The child is this test binary, which runs the test below alone and finds the folder of the store in
//! a variable. It says on its standard output what is acknowledged.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use peerwork_store::{Config, Repair, Sink, Store, StoreError};
use peerwork_testkit::{process::Running, repetitions};

use super::{on, parent, raw};

const FOLDER: &str = "PEERWORK_STORE_TEST_FOLDER";
const ROUND: &str = "PEERWORK_STORE_TEST_ROUND";
/// Trees of about 50 KB; 60 of them stay pinned.
const TREES: u64 = 60;

fn config(path: PathBuf) -> Config {
    Config {
        max: 8 << 20,
        reserve: 0,
        ..Config::new(path)
    }
}

fn tree(number: u64) -> Vec<peerwork_store::Block> {
    let mut blocks = vec![raw(number, 25_000), raw(1000 + number, 25_000)];
    blocks.push(parent(&[&blocks[0], &blocks[1]]));
    blocks
}

fn say(word: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@{word} {number}").unwrap();
    out.flush().unwrap();
}

/// Adds, pins, unpins, collects and evicts until it is killed; without the variable it does nothing.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    // A thread that panics would leave the others running, and the parent waiting.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::abort();
    }));
    let round: u64 = env::var(ROUND).unwrap().parse().unwrap();
    let store = Store::open(config(folder.into())).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                store.gc(&mut on).unwrap();
            }
        });
        scope.spawn(|| {
            for seed in 0.. {
                let block = raw(1_000_000 * (round + 1) + seed, 100_000);
                match store.writer().put(block) {
                    Ok(()) | Err(StoreError::QuotaFull { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for number in round * 7.. {
            let blocks = tree(number % TREES);
            let root = *blocks[2].cid();
            if store.pin_of(&root).is_some() {
                say("unpinning", number % TREES);
                store.unpin(&root).unwrap();
                say("unpinned", number % TREES);
            } else {
                let mut writer = store.writer();
                // A living writer keeps whatever anyone puts meanwhile, which may fill the quota.
                let put = blocks.into_iter().try_for_each(|block| writer.put(block));
                match put {
                    Ok(()) => writer.commit().unwrap(),
                    Err(StoreError::QuotaFull { .. }) => continue,
                    Err(error) => panic!("{error}"),
                }
                say("pinning", number % TREES);
                store.pin(&root, "").unwrap();
                say("pinned", number % TREES);
            }
        }
    });
}

/// The trees of which the child said the last word, by that word.
#[derive(Default)]
struct Said {
    pinned: BTreeSet<u64>,
    /// Trees of which both is right.
    open: BTreeSet<u64>,
}

impl Said {
    fn hear(&mut self, line: &str) -> bool {
        let Some((word, number)) = line.split_once(' ') else {
            return false;
        };
        // The test harness may write in front of the child's own words.
        let word = word.rsplit('@').next().unwrap_or(word);
        let Ok(number) = number.parse() else {
            return false;
        };
        match word {
            "pinning" | "unpinning" => {
                self.open.insert(number);
            }
            "pinned" => {
                self.open.remove(&number);
                self.pinned.insert(number);
            }
            "unpinned" => {
                self.open.remove(&number);
                self.pinned.remove(&number);
            }
            _ => return false,
        }
        true
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut said = Said::default();
    let mut pins = 0;
    for round in 0..repetitions(100) as u64 {
        let child = Command::new(env::current_exe().unwrap())
            .args(["disk::crash::child", "--exact", "--nocapture"])
            .env(FOLDER, &path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Running(child);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        // From the first acknowledgement to many, with the steps of the other threads in between.
        let mut heard = 0;
        while heard < 1 + (round * 37) % 61 {
            let line = lines.next().expect("the child goes on").unwrap();
            heard += u64::from(said.hear(&line));
        }
        child.kill();
        lines.map_while(Result::ok).for_each(|line| {
            said.hear(&line);
        });
        pins += check(&path, &mut said);
    }
    assert!(pins > 0, "pins outlived kills");
}

/// Opens the store and checks it against what was said; gives the number of pins.
fn check(path: &std::path::Path, said: &mut Said) -> usize {
    let store = Store::open(config(path.to_owned())).unwrap();
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    assert!(report.is_whole(), "{report:?}");
    let pins: BTreeSet<_> = store.pins().iter().map(|pin| pin.cid).collect();
    for number in 0..TREES {
        let blocks = tree(number);
        let pinned = pins.contains(blocks[2].cid());
        if !said.open.contains(&number) {
            assert_eq!(pinned, said.pinned.contains(&number), "tree {number}");
        }
        if pinned {
            said.pinned.insert(number);
            for block in blocks {
                assert_eq!(
                    store.get(block.cid()).unwrap(),
                    Some(block),
                    "tree {number}"
                );
            }
        } else {
            said.pinned.remove(&number);
        }
    }
    said.open.clear();
    pins.len()
}

//! `NameServers` holds the resolver settings of the system, and reads them again when they change.
//!
//! A machine that joins another network gets other name servers, and a machine that boots may have none
//! yet. So settings that cannot be read are no error of the start, and a change needs no restart.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use parking_lot::Mutex;

/// The file that lists the system's name servers. Windows has no such file: the settings are read once
/// there.
const FILE: &str = "/etc/resolv.conf";

/// The name servers, and the options of the queries.
pub(super) type Settings = (ResolverConfig, ResolverOpts);

type Read = fn(&Path) -> io::Result<Settings>;

/// The metadata that tells whether the file changed, without reading it; `None` when there is no file.
type Stamp = Option<(Option<SystemTime>, u64)>;

/// The resolver settings, shared by all transports that resolve names.
#[derive(Debug, Clone)]
pub(super) struct NameServers(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    path: PathBuf,
    read: Read,
    stamp: Stamp,
    settings: Settings,
    /// The number of times that the settings were read.
    version: u64,
}

impl NameServers {
    /// Reads the system's settings.
    pub(super) fn of_system() -> Self {
        Self::read_by(system, PathBuf::from(FILE))
    }

    /// Reads the settings by `read`, and again when the file at `path` has changed.
    pub(super) fn read_by(read: Read, path: PathBuf) -> Self {
        // The stamp is taken before the file is read, so that a change during the reading is noticed.
        let stamp = stamp(&path);
        let settings = read_or_local(read, &path);
        Self(Arc::new(Mutex::new(Known {
            path,
            read,
            stamp,
            settings,
            version: 1,
        })))
    }

    /// The settings that were read last, with their version.
    pub(super) fn current(&self) -> (u64, Settings) {
        let held = self.0.lock();
        (held.version, held.settings.clone())
    }

    /// The settings with their version, unless they still have the version `known`.
    pub(super) fn newer_than(&self, known: u64) -> Option<(u64, Settings)> {
        let mut held = self.0.lock();
        let stamp = stamp(&held.path);
        if stamp != held.stamp {
            held.stamp = stamp;
            held.settings = read_or_local(held.read, &held.path);
            held.version += 1;
            tracing::info!(path = %held.path.display(), "the name servers were read again");
        }
        (held.version != known).then(|| (held.version, held.settings.clone()))
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok(), metadata.len()))
}

/// Reads the settings. Where that fails, the name server of this machine is asked, as resolv.conf(5)
/// says of a missing file.
fn read_or_local(read: Read, path: &Path) -> Settings {
    read(path).unwrap_or_else(|error| {
        tracing::warn!(
            path = %path.display(), %error,
            "the name servers of this system are unknown: only the name server of this machine is asked \
             until the file is mended"
        );
        let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
        (config, ResolverOpts::default())
    })
}

#[cfg(all(unix, not(any(target_os = "android", target_vendor = "apple"))))]
fn system(path: &Path) -> io::Result<Settings> {
    hickory_resolver::system_conf::parse_resolv_conf(fs::read(path)?).map_err(io::Error::other)
}

#[cfg(not(all(unix, not(any(target_os = "android", target_vendor = "apple")))))]
fn system(_: &Path) -> io::Result<Settings> {
    hickory_resolver::system_conf::read_system_conf().map_err(io::Error::other)
}

#[cfg(all(test, unix, not(any(target_os = "android", target_vendor = "apple"))))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn servers(settings: &Settings) -> Vec<String> {
        let servers = settings.0.name_servers().iter();
        servers.map(|server| server.ip.to_string()).collect()
    }

    #[test]
    fn a_missing_or_unusable_file_means_the_name_server_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        for content in [
            None,
            Some(""),
            Some("# no network yet\n"),
            Some("search .a..b\nnameserver 192.0.2.1\n"),
        ] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let names = NameServers::read_by(system, path.clone());
            let (_, settings) = names.current();
            assert_eq!(servers(&settings), ["127.0.0.1"], "{content:?}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let names = NameServers::read_by(system, path.clone());
        let (none, _) = names.current();
        assert!(names.newer_than(none).is_none());
        fs::write(&path, "nameserver 192.0.2.53\n").unwrap();
        let (first, settings) = names.newer_than(none).unwrap();
        assert_eq!(servers(&settings), ["192.0.2.53"]);
        assert!(names.newer_than(first).is_none());
        fs::remove_file(&path).unwrap();
        let (_, settings) = names.newer_than(first).unwrap();
        assert_eq!(servers(&settings), ["127.0.0.1"]);
    }
}

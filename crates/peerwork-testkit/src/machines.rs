//! Machines of a test: Linux network namespaces, joined by bridges and routers.
//!
//! Each [`Lab`] makes namespaces of its own under names of its own, and removes them when it is dropped,
//! after a panic too. The bridges are in namespaces as well, so that the machine of the test keeps its
//! interfaces. Namespaces that a killed test has left are removed by the next lab.
//!
//! Namespaces need Linux, root, the program `ip` and the kernel's permission. Where one of these is
//! missing, [`Lab::new`] gives the reason, and [`Lab::or_say`] writes it to the test's standard error.

use std::{
    fmt, fs,
    io::{self, Write as _},
    net::Ipv4Addr,
    path::Path,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// The beginning of all names of namespaces.
const PREFIX: &str = "pwtest-";
/// The folder in which `ip` keeps the names of namespaces.
const FOLDER: &str = "/run/netns";
/// Machines of one local network: the last byte of their addresses is counted from 1, and 254 is the
/// router.
pub const MACHINES_MAX: usize = 253;
const ROUTER: u8 = 254;

/// The reason why this machine offers no network namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "network namespaces are not to be had here: {}; they need Linux, root, `ip` (iproute2) and \
             the capabilities NET_ADMIN and SYS_ADMIN",
            self.0
        )
    }
}

/// The namespaces of one test.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    namespaces: Vec<String>,
    networks: u8,
}

/// A machine: a namespace with an address of its own.
#[derive(Debug, Clone)]
pub struct Machine {
    namespace: String,
    address: Ipv4Addr,
}

/// A local network: a bridge that carries broadcasts and multicasts.
#[derive(Debug)]
struct Bridge {
    namespace: String,
    /// The third byte of the network's addresses.
    number: u8,
    machines: usize,
}

impl Lab {
    /// Makes a first namespace with a bridge and an interface, and runs a command in it.
    ///
    /// # Errors
    /// [`Unavailable`] with the reason, when one of these steps fails.
    pub fn new() -> Result<Self, Unavailable> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        if !cfg!(target_os = "linux") {
            return Err(Unavailable("this system is not Linux".to_owned()));
        }
        remove_leftovers(Path::new(FOLDER));
        let count = LABS.fetch_add(1, Ordering::Relaxed);
        let mut lab = Self {
            prefix: format!("{PREFIX}{}-{count}-", process::id()),
            namespaces: Vec::new(),
            networks: 0,
        };
        lab.probe().map_err(Unavailable)?;
        Ok(lab)
    }

    /// The lab, or `None` with the reason on standard error, for a test that then does what loopback
    /// allows. The reason is written past the test runner, which shows the output of failed tests alone.
    #[must_use]
    pub fn or_say() -> Option<Self> {
        match Self::new() {
            Ok(lab) => Some(lab),
            Err(reason) => {
                let test = thread::current();
                let test = test.name().unwrap_or("a test");
                let _ = writeln!(io::stderr(), "{test} runs without machines: {reason}");
                None
            }
        }
    }

    /// A local network of `count` machines with the addresses 10.77.N.1, 10.77.N.2 and so on.
    ///
    /// # Panics
    /// When a command fails that succeeded at the start of the lab, or for more than [`MACHINES_MAX`].
    pub fn local_network(&mut self, count: usize) -> Vec<Machine> {
        let mut bridge = self.bridge();
        (0..count).map(|_| self.machine(&mut bridge)).collect()
    }

    /// Two local networks of these numbers of machines, with a router between them. The router forwards
    /// packets, and no multicasts.
    ///
    /// # Panics
    /// As [`Lab::local_network`].
    pub fn routed_networks(&mut self, counts: [usize; 2]) -> [Vec<Machine>; 2] {
        let router = self.namespace("router").expect("a second namespace");
        let mut side = 0;
        counts.map(|count| {
            let mut bridge = self.bridge();
            let interface = format!("eth{side}");
            side += 1;
            let gateway = Ipv4Addr::new(10, 77, bridge.number, ROUTER);
            plug(&router, &interface, gateway, &bridge.namespace, "uplink")
                .expect("a router's port");
            let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
            let mut command = ip(&["netns", "exec", &router, "sh", "-c", forward]);
            run(&mut command).expect("a namespace's own settings can be written");
            let machines = (0..count).map(|_| self.machine(&mut bridge));
            let machines: Vec<_> = machines.collect();
            for machine in &machines {
                let gateway = gateway.to_string();
                let route = ["-n", &machine.namespace, "route", "add", "default", "via"];
                run(ip(&route).arg(gateway)).expect("a route to the router");
            }
            machines
        })
    }

    fn probe(&mut self) -> Result<(), String> {
        let switch = self.namespace("probe-switch")?;
        let machine = self.namespace("probe")?;
        add_bridge(&switch)?;
        plug(&machine, "eth0", Ipv4Addr::new(10, 77, 0, 1), &switch, "p1")?;
        run(&mut ip(&["netns", "exec", &machine, "true"]))?;
        for namespace in [machine, switch] {
            run(&mut ip(&["netns", "del", &namespace]))?;
            self.namespaces.retain(|name| *name != namespace);
        }
        Ok(())
    }

    fn namespace(&mut self, name: &str) -> Result<String, String> {
        let namespace = format!("{}{name}", self.prefix);
        run(&mut ip(&["netns", "add", &namespace]))?;
        self.namespaces.push(namespace.clone());
        run(&mut ip(&["-n", &namespace, "link", "set", "lo", "up"]))?;
        Ok(namespace)
    }

    fn bridge(&mut self) -> Bridge {
        self.networks += 1;
        let number = self.networks;
        let namespace = self.namespace(&format!("switch{number}"));
        let namespace = namespace.expect("a further namespace");
        add_bridge(&namespace).expect("a further bridge");
        Bridge {
            namespace,
            number,
            machines: 0,
        }
    }

    fn machine(&mut self, bridge: &mut Bridge) -> Machine {
        bridge.machines += 1;
        assert!(bridge.machines <= MACHINES_MAX, "{bridge:?} is full");
        let number = u8::try_from(bridge.machines).expect("at most MACHINES_MAX");
        let name = format!("machine{}-{number}", bridge.number);
        let namespace = self.namespace(&name).expect("a further namespace");
        let address = Ipv4Addr::new(10, 77, bridge.number, number);
        let port = format!("p{number}");
        plug(&namespace, "eth0", address, &bridge.namespace, &port).expect("a further interface");
        Machine { namespace, address }
    }
}

impl Machine {
    /// The machine's address in its local network.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The same command, run on this machine. It keeps its arguments, folder and environment; its process
    /// id is that of the command itself.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let mut entered = ip(&["netns", "exec", &self.namespace]);
        entered.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            entered.current_dir(folder);
        }
        entered
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            // A namespace of which only the name is left is removed with the leftovers.
            let _ = run(&mut ip(&["netns", "del", namespace]));
        }
    }
}

fn add_bridge(namespace: &str) -> Result<(), String> {
    // Without snooping, the bridge floods multicasts to all ports, as a switch of a home does.
    let kind = ["type", "bridge", "mcast_snooping", "0"];
    run(ip(&["-n", namespace, "link", "add", "br0"]).args(kind))?;
    run(&mut ip(&["-n", namespace, "link", "set", "br0", "up"]))
}

/// Connects a machine's interface to a port of a bridge.
fn plug(
    machine: &str,
    interface: &str,
    address: Ipv4Addr,
    switch: &str,
    port: &str,
) -> Result<(), String> {
    let near = ["link", "add", interface, "netns", machine, "type", "veth"];
    run(ip(&near).args(["peer", "name", port, "netns", switch]))?;
    let up = ["link", "set", port, "master", "br0", "up"];
    run(ip(&["-n", switch]).args(up))?;
    let address = format!("{address}/24");
    let add = ["addr", "add", &address, "brd", "+", "dev", interface];
    run(ip(&["-n", machine]).args(add))?;
    run(&mut ip(&["-n", machine, "link", "set", interface, "up"]))
}

fn ip(arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(arguments);
    command
}

/// Runs a command to its end; the error is its standard error.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {}", stderr.trim()))
        }
    }
}

/// Removes the namespaces of tests whose process has ended.
fn remove_leftovers(folder: &Path) {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        if owner(&name).is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // Another test may have removed it at this moment.
            let _ = run(&mut ip(&["netns", "del", &name]));
        }
    }
}

/// The process id in the name of a namespace; `None` for a name of another program.
fn owner(namespace: &str) -> Option<&str> {
    let (owner, _) = namespace.strip_prefix(PREFIX)?.split_once('-')?;
    owner.parse::<u32>().is_ok().then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_labs_have_an_owner() {
        assert_eq!(owner("pwtest-17-0-switch1"), Some("17"));
        for other in ["pwtest-17", "pwtest-x-0", "docker-17-0", "pwtest-../1-0"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn the_reason_says_what_the_machine_would_need() {
        let shown = Unavailable("no `ip`".to_owned()).to_string();
        assert!(shown.contains("not to be had here: no `ip`; they need Linux, root"));
    }
}

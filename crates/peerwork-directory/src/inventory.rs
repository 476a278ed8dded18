//! Reads this machine's hardware, in the text forms of specification 6.7.
//!
//! A value that cannot be read is an empty string, and the reason is logged at DEBUG; no value is guessed.
//! On Linux everything is read from `/proc` and `/sys`; elsewhere `sysinfo` answers what it can.

#[cfg(target_os = "linux")]
mod cpu;
mod forms;
mod gpu;
mod json;
#[cfg(target_os = "linux")]
mod mac;
#[cfg(target_os = "linux")]
mod memory;
mod nvml;
#[cfg(not(target_os = "linux"))]
mod portable;
mod system_file;

use std::path::PathBuf;

pub use gpu::Gpu;

/// The folders and libraries that the inventory reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// Whether NVIDIA's management library is asked for names and memory, which PCI does not have.
    pub nvml: bool,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            nvml: true,
        }
    }
}

/// The hardware of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Hardware address of the first interface that has one.
    pub mac: String,
    /// `{"total": T, "free":F, "used_percent":P}`, in bytes and percent.
    pub mem_info: String,
    /// JSON with `Cpus`, `VendorId`, `Family`, `Model`, `Cores`, `ModelName`, `Mhz`.
    pub cpu_info: String,
    /// JSON with `gpus` and `graphics_card`.
    pub gpu_info: String,
    /// The same cards as values, with details that the text form leaves out.
    pub gpus: Vec<Gpu>,
}

/// Reads the machine's inventory; keeps the constant parts and the failures that were logged already.
#[derive(Debug, Default)]
pub struct Reader {
    roots: Roots,
    nvml: nvml::Library,
    logged: Vec<&'static str>,
}

impl Reader {
    /// A reader of these roots.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }

    /// Reads everything. Blocks: files, and at the first call the loading of a library.
    pub fn read(&mut self) -> Inventory {
        let mut inventory = Inventory {
            mac: self.known("mac", Self::read_mac),
            mem_info: self.known("memory", Self::read_memory),
            cpu_info: self.known("cpu", Self::read_cpu),
            ..Inventory::default()
        };
        match gpu::read(&self.roots.sys) {
            Ok(mut gpus) => {
                inventory.gpu_info = gpu::text(&gpus);
                if self.roots.nvml {
                    self.nvml.complete(&mut gpus);
                }
                inventory.gpus = gpus;
            }
            Err(reason) => self.log("gpu", &reason),
        }
        inventory
    }

    fn known(
        &mut self,
        what: &'static str,
        read: impl Fn(&Roots) -> Result<String, String>,
    ) -> String {
        read(&self.roots).unwrap_or_else(|reason| {
            self.log(what, &reason);
            String::new()
        })
    }

    fn log(&mut self, what: &'static str, reason: &str) {
        if !self.logged.contains(&what) {
            tracing::debug!(what, reason, "not known for the inventory");
            self.logged.push(what);
        }
    }
}

#[cfg(target_os = "linux")]
impl Reader {
    fn read_mac(roots: &Roots) -> Result<String, String> {
        mac::read(&roots.sys)
    }

    fn read_memory(roots: &Roots) -> Result<String, String> {
        memory::read(&roots.proc)
    }

    fn read_cpu(roots: &Roots) -> Result<String, String> {
        cpu::read(&roots.proc, &roots.sys)
    }
}

#[cfg(not(target_os = "linux"))]
impl Reader {
    fn read_mac(_: &Roots) -> Result<String, String> {
        portable::mac()
    }

    fn read_memory(_: &Roots) -> Result<String, String> {
        portable::memory()
    }

    fn read_cpu(_: &Roots) -> Result<String, String> {
        portable::cpu()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;

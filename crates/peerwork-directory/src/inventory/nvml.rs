//! Reads names and memory of cards from NVIDIA's management library, where it is installed.

use std::fmt;

use nvml_wrapper::Nvml;

use super::gpu::Gpu;

/// The library, loaded at the first use; a machine that lacks the library is asked once.
#[derive(Default)]
pub(super) struct Library {
    /// The library is boxed, because it is a table of some hundred functions.
    loaded: Option<Option<Box<Nvml>>>,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = self.loaded.as_ref().map(Option::is_some);
        f.debug_struct("Library")
            .field("present", &present)
            .finish()
    }
}

impl Library {
    /// Adds memory and name to those cards that the library knows by their PCI address.
    pub(super) fn complete(&mut self, gpus: &mut [Gpu]) {
        if gpus.is_empty() {
            return;
        }
        let Some(nvml) = self.loaded.get_or_insert_with(load) else {
            return;
        };
        for gpu in gpus {
            if let Ok(device) = nvml.device_by_pci_bus_id(gpu.address.as_str()) {
                gpu.memory_bytes = device.memory_info().ok().map(|memory| memory.total);
                gpu.name = device.name().ok();
            }
        }
    }
}

fn load() -> Option<Box<Nvml>> {
    match Nvml::init() {
        Ok(nvml) => Some(Box::new(nvml)),
        Err(error) => {
            tracing::debug!(%error, "NVML is not available; memory of cards is not known");
            None
        }
    }
}

//! The inventory of systems other than Linux.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

use super::forms::{Cpu, memory_text};

pub(super) fn mac() -> Result<String, String> {
    let address = mac_address::get_mac_address().map_err(|error| error.to_string())?;
    let address = address.ok_or("no interface has a hardware address")?;
    Ok(address.to_string().to_ascii_lowercase())
}

pub(super) fn memory() -> Result<String, String> {
    let mut system = System::new().map_err(|error| error.to_string())?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let total = system.total_memory();
    if total == 0 {
        return Err("the system does not tell its memory".to_owned());
    }
    #[allow(clippy::cast_precision_loss)] // Far below 2^53 bytes.
    let used_percent = 100.0 * system.used_memory() as f64 / total as f64;
    Ok(memory_text(total, system.free_memory(), used_percent))
}

pub(super) fn cpu() -> Result<String, String> {
    let mut system = System::new().map_err(|error| error.to_string())?;
    system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_frequency());
    let first = system.cpus().first();
    let first = first.ok_or("the system does not tell its processors")?;
    Ok(Cpu {
        count: system.cpus().len(),
        vendor: first.vendor_id().to_owned(),
        model_name: first.brand().to_owned(),
        #[allow(clippy::cast_precision_loss)] // Frequencies are far below 2^53 MHz.
        mhz: first.frequency() as f64,
        ..Cpu::default()
    }
    .text())
}

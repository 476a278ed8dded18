//! Writes the text forms of memory and processor, of specification 6.7.

use super::json;

/// The text form of the memory: total and free bytes, and the part in use.
pub(super) fn memory_text(total: u64, free: u64, used_percent: f64) -> String {
    format!("{{\"total\": {total}, \"free\":{free}, \"used_percent\":{used_percent:.6}}}")
}

/// The fields of the processor's text form.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    pub(super) count: usize,
    pub(super) vendor: String,
    pub(super) family: String,
    pub(super) model: String,
    pub(super) model_name: String,
    pub(super) mhz: f64,
}

impl Cpu {
    pub(super) fn text(&self) -> String {
        format!(
            "{{\"Cpus\":{},\"VendorId\":{},\"Family\":{},\"Model\":{},\"Cores\":1,\"ModelName\":{},\"Mhz\":{}}}",
            self.count,
            json::quoted(&self.vendor),
            json::quoted(&self.family),
            json::quoted(&self.model),
            json::quoted(&self.model_name),
            self.mhz,
        )
    }
}

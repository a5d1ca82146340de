//! What the process takes of the machine, under the names that Prometheus has for it.

use std::fs;

use metrics::gauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Measures now. What the system does not tell stays as it was.
#[allow(clippy::cast_precision_loss, reason = "gauges are floating point")]
pub(super) fn measure() {
    if let Some(usage) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Usage::read)
    {
        // A counter by its nature and name, but counters here have no fractions.
        let seconds = usage.ticks as f64 / clock_ticks_per_second() as f64;
        gauge!("process_cpu_seconds_total").set(seconds);
        gauge!("process_resident_memory_bytes").set(usage.pages as f64 * page_size() as f64);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        gauge!("process_max_fds").set(most as f64);
    }
}

/// A line of `/proc/PID/stat`, as much as is shown.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    /// Processor time, by user and system, in clock ticks.
    ticks: u64,
    /// Resident memory, in pages.
    pages: u64,
}

impl Usage {
    /// See proc_pid_stat(5).
    fn read(line: &str) -> Option<Self> {
        // The name, in brackets, may hold spaces and brackets.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        // The first one here is the line's third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { ticks: field(14)? + field(15)?, pages: field(24)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_process_is_called() {
        let line = "4711 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 8 0 555 1000 42 18446744073709551615";
        assert_eq!(Usage::read(line), Some(Usage { ticks: 100, pages: 42 }));
        assert_eq!(Usage::read("4711 (a) S 1 2 3"), None);
        assert_eq!(Usage::read(""), None);
    }
}

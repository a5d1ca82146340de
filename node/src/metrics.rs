//! Counters of the process in the form that Prometheus reads.
//!
//! Any code counts with the macros of the crate `metrics`; labels are bounded sets, never
//! domains, users or addresses.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::gauge;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

mod process;

/// Upper bounds in seconds: a cached hop takes microseconds, an XMPP attempt some seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 8.0, 32.0];

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts counting, once per process; services in one process share the counters.
pub fn start() {
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS).ok()?.build_recorder();
        let handle = recorder.handle();
        // An error says that another recorder is installed, which then has the counters.
        metrics::set_global_recorder(recorder).ok()?;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!("process_start_time_seconds").set(since_epoch.as_secs_f64());
        Some(handle)
    });
}

/// The counters as text, and the chance for histograms to shed what they buffered.
pub fn render() -> String {
    let Some(handle) = HANDLE.get().and_then(Option::as_ref) else { return String::new() };
    process::measure();
    handle.run_upkeep();
    handle.render()
}

/// Keeps histograms from growing while nobody reads them. Ends with the process.
pub async fn upkeep() {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        every.tick().await;
        if let Some(handle) = HANDLE.get().and_then(Option::as_ref) {
            handle.run_upkeep();
        }
    }
}

//! The body every openfed service lives in: settings, logs and traces, metrics and health,
//! shutdown, the link driver and the store. It knows no service in particular.

pub mod dns;
pub mod http;
pub mod link;
pub mod listening;
pub mod metrics;
mod moderation;
pub mod private;
pub mod process;
pub mod proxy;
pub mod settings;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod thread;
pub mod trial;

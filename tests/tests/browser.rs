//! The operator at the console, in a browser: open federation is configured, watched and undone.

#[path = "browser/desk.rs"]
mod desk;

#[path = "browser/blocking.rs"]
mod blocking;
#[path = "browser/configuring.rs"]
mod configuring;
#[path = "browser/explaining.rs"]
mod explaining;
#[path = "browser/flows.rs"]
mod flows;
#[path = "browser/forms.rs"]
mod forms;
#[path = "browser/logging_in.rs"]
mod logging_in;
#[path = "browser/pages.rs"]
mod pages;
#[path = "browser/removing.rs"]
mod removing;
#[path = "browser/streams.rs"]
mod streams;

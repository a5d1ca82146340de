//! A thread of its own for what packets must not wait for: pages, the store.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime on one thread. Dropping it ends what runs there; it may be dropped anywhere.
#[derive(Debug)]
pub struct Thread {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Thread {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// To give it work.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

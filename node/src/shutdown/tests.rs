use std::process::Command;

use super::*;

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn draining_ends_at_its_deadline_which_the_first_call_sets() {
    let shutdown = Shutdown::new(GRACE);
    assert!(!shutdown.is_draining());
    let start = tokio::time::Instant::now();
    shutdown.begin();
    shutdown.draining().await;
    tokio::time::advance(Duration::from_secs(4)).await;
    shutdown.begin();
    shutdown.stopped().await;
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn stopping_cuts_at_once() {
    let shutdown = Shutdown::new(GRACE);
    shutdown.stop();
    shutdown.draining().await;
    shutdown.stopped().await;
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_stops() {
    let shutdown = Shutdown::on_signals(GRACE).expect("signals");
    let send = |signal: &str| {
        let me = std::process::id().to_string();
        let sent = Command::new("kill").args([signal, me.as_str()]).status().expect("kill");
        assert!(sent.success());
    };
    send("-TERM");
    shutdown.draining().await;
    send("-INT");
    shutdown.stopped().await;
}

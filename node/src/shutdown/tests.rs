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

/// Signals reach all that listens in this process, so there is one scene of them.
#[tokio::test]
async fn the_first_signal_drains_the_second_stops_and_a_hang_up_never_does() {
    let send = |signal: &str| {
        let me = std::process::id().to_string();
        let sent = Command::new("kill").args([signal, me.as_str()]).status().expect("kill");
        assert!(sent.success());
    };
    let mut heard = signal(SignalKind::hangup()).expect("signals");
    let shutdown = Shutdown::on_signals(GRACE).expect("signals");
    send("-HUP");
    shutdown.draining().await;
    heard.recv().await;
    // Once more, and the one that a session's end sends beside it.
    send("-HUP");
    heard.recv().await;
    send("-TERM");
    send("-HUP");
    heard.recv().await;
    // Whoever hears it with us has its turn.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(Duration::ZERO, shutdown.stopped());
    assert!(stopped.await.is_err(), "cut by a hang-up");
    send("-INT");
    shutdown.stopped().await;
}

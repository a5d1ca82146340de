//! Load for long, while replicas are restarted in turn. `tests/soak --help` says more.

use std::time::Duration;

use clap::Parser;
use openfed_tests::load::soak::{Wanted, play};
use openfed_tests::scene::play_within;

/// Two replicas of each service and a redis-server under load all three ways, while every minute the
/// second replica of one service is ended, by SIGTERM and by SIGKILL in turns, and comes back.
///
/// Passes if every message either arrived once or its sender was told that it did not, and if no
/// process's memory grows beyond a bound once it is warm.
#[derive(Parser)]
#[command(name = "tests/soak")]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    minutes: u32,
    /// Messages per second, a third of them each way.
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u32).range(3..=6000))]
    rate: u32,
    /// The growth of the memory of a process that passes, in kB per minute, of those that live for
    /// eleven minutes or more. By default less than 6 bytes for each message of the default rate.
    #[arg(long, default_value_t = 512.0)]
    growth: f64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Arguments { minutes, rate, growth, .. } = Arguments::parse();
    let limit = Duration::from_secs(60) * (minutes + 5);
    play_within(limit, async |place| {
        play(place, Wanted { minutes, rate, growth }, &|line| print_line(line)).await
    });
}

#[expect(clippy::print_stdout, reason = "whoever waits for so long wants to see something")]
fn print_line(line: &str) {
    println!("{line}");
}

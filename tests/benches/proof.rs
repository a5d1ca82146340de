//! Random kills and stops under numbered messages. `tests/proof --help` says more.

use std::time::Duration;

use clap::Parser;
use openfed_tests::openfed::LOCAL;
use openfed_tests::proof::{Wanted, play};
use openfed_tests::scene::play_within;

/// Two replicas of each service, a redis-server and a Prosody, under numbered messages both ways,
/// while replicas and Redis are killed (SIGKILL) and stopped (SIGTERM) at random and come back.
///
/// Passes if every message either arrived once or its sender was told that it did not, none was said
/// to have arrived that did not, and none arrived twice.
#[derive(Parser)]
#[command(name = "tests/proof")]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    minutes: u32,
    /// Messages per second, half of them each way.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=1000))]
    rate: u32,
    /// Which replicas end when, and how. Another one each time, unless it is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Arguments { minutes, rate, seed, .. } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    print_line(&format!("seed {seed}, {rate} messages a second, users of {LOCAL}"));
    let limit = Duration::from_secs(60) * (minutes + 5);
    play_within(limit, async |place| {
        play(place, Wanted { minutes, rate, seed }, &|line| print_line(line)).await
    });
}

#[expect(clippy::print_stdout, reason = "whoever waits for so long wants to see something")]
fn print_line(line: &str) {
    println!("{line}");
}

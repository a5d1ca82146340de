//! What a message costs, and how many there may be: the three ways at given rates, through openfed
//! as operators run it. `tests/bench --help` says more.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use openfed_tests::load::Way;
use openfed_tests::load::against::Ratios;
use openfed_tests::load::figures::Figures;
use openfed_tests::load::overload::{Overload, at_twice, capacity};
use openfed_tests::load::pace::Pace;
use openfed_tests::load::sip_wire::Transport;
use openfed_tests::load::stage::{Shape, Stage, System};
use openfed_tests::scene::play_within;
use openfed_tests::{Failure, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// No run may take longer: whatever hangs is a failure.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
/// Pieces of each system when two are compared.
const PIECES: usize = 3;

/// Numbered messages at exact rates through openfed, as three programs over gRPC with a redis-server
/// of the run: what they cost, how long they take, and what is lost.
///
/// Times are from request to final response, for XMPP to SIP from the stanza to the arrival of the
/// MESSAGE. Processor time is that of openfed's processes and of Redis; the load tools, which share
/// the machine, are not counted. The domain is known to openfed, except for discovery.
#[derive(Parser)]
#[command(name = "tests/bench")]
struct Arguments {
    /// Messages per second, one stretch of load for each.
    #[arg(long, value_delimiter = ',', default_value = "1000,2000,4000,8000")]
    rates: Vec<u32>,
    /// How long each stretch lasts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Which ways: sip-sip, sip-xmpp, xmpp-sip; and discovery, where each message is for a domain
    /// that nobody knows.
    #[arg(long, value_delimiter = ',', value_parser = way, default_value = "sip-sip,sip-xmpp,xmpp-sip")]
    ways: Vec<Way>,
    /// Shows the cost and memory of each process, too.
    #[arg(long)]
    apart: bool,
    /// Runs the three services in one process, `openfed up`.
    #[arg(long)]
    together: bool,
    /// The home server: a tool that takes any rate, or a real Prosody with a real client, good for a
    /// few hundred messages a second.
    #[arg(long, value_enum, default_value = "tool")]
    home: HomeKind,
    /// The SIP source sends over TCP instead of UDP.
    #[arg(long, conflicts_with = "against")]
    tcp: bool,
    /// Compares, in turns within the run, with another program; for SIP to SIP alone, since
    /// Kamailio's module for XMPP crashes at the first stream header.
    #[arg(long)]
    against: Option<Against>,
    /// Instead of the rates: finds the highest rate with less than 0.1 % loss and a 99th percentile
    /// below 100 ms, offers twice that for 20 s, then half of it.
    #[arg(long)]
    overload: bool,
    /// The SIP source keeps back the share that it is told to (RFC 7339), as an SBC does that
    /// supports it; what is kept back was offered, and did not arrive.
    #[arg(long)]
    heed: bool,
    /// Takes this as the capacity instead of looking for it.
    #[arg(long, requires = "overload", value_name = "PER_SECOND")]
    capacity: Option<u32>,
    /// Gives what is measured one core to itself and the load tools the others, so that offering
    /// too much takes nothing from those who have to cope with it.
    #[arg(long)]
    own_core: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum HomeKind {
    Tool,
    Prosody,
}

#[derive(Clone, Copy, ValueEnum)]
enum Against {
    Kamailio,
}

fn way(text: &str) -> std::result::Result<Way, String> {
    let known = Way::ALL.into_iter().find(|way| way.key() == text);
    known.ok_or_else(|| "there are sip-sip, sip-xmpp, xmpp-sip and discovery".to_owned())
}

/// Keeps this process off the last of its cores, and says which one that is.
fn leave_one_core() -> Result<usize> {
    let mut cores = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| cores.is_set(*core));
    let Some(last) = last.filter(|_| cores.count() > 1) else {
        return Err(Failure::new("--own-core needs two cores"));
    };
    cores.unset(last);
    sched_setaffinity(None, &cores)?;
    Ok(last)
}

fn main() {
    let arguments = Arguments::parse();
    // Before there are threads: they take after this one.
    let own_core = arguments.own_core.then(leave_one_core).transpose();
    let own_core = own_core.unwrap_or_else(|failure| panic!("{failure:?}"));
    play_within(LONGEST, async |place| {
        let shape = Shape {
            together: arguments.together,
            prosody: arguments.home == HomeKind::Prosody,
            transport: if arguments.tcp { Transport::Tcp } else { Transport::Udp },
            heeds: arguments.heed,
        };
        let mut stage = Stage::set_up(place, shape).await?;
        if arguments.against.is_some() {
            stage.add_kamailio(place).await?;
        }
        if let Some(core) = own_core {
            stage.keep_on(core)?;
        }
        if arguments.overload {
            return overload(&mut stage, &arguments).await;
        }
        print_line(&format!("{:<12} {:<9} {}", "way", "through", Figures::HEADER));
        for way in &arguments.ways {
            for rate in &arguments.rates {
                let pace = Pace::steady(*rate, Duration::from_secs(arguments.seconds));
                if arguments.against.is_some() && *way == Way::SipToSip {
                    compare(&mut stage, *way, &pace, &arguments).await?;
                } else {
                    row(&mut stage, System::Openfed, *way, &pace, &arguments).await?;
                }
            }
        }
        Ok(())
    });
}

/// One stretch of load, one row of the table.
async fn row(
    stage: &mut Stage,
    system: System,
    way: Way,
    pace: &Pace,
    arguments: &Arguments,
) -> Result<Figures> {
    let (figures, spent) = stage.measure(system, way, pace).await?;
    print_line(&format!("{:<12} {:<9} {figures}", way.name(), system.name()));
    if arguments.apart {
        for line in spent.apart(figures.sent) {
            print_line(&format!("{:<22}   {line}", ""));
        }
    }
    Ok(figures)
}

/// openfed and Kamailio in turns, and the ratio of each pair.
async fn compare(stage: &mut Stage, way: Way, pace: &Pace, arguments: &Arguments) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..PIECES {
        let ours = row(stage, System::Openfed, way, pace, arguments).await?;
        let theirs = row(stage, System::Kamailio, way, pace, arguments).await?;
        pairs.push((ours, theirs));
    }
    print_line(&format!("{:<12} {}", "", Ratios::of(&pairs)));
    Ok(())
}

async fn overload(stage: &mut Stage, arguments: &Arguments) -> Result<()> {
    print_line(&format!("{:<12} {:<9} {}", "way", "through", Overload::HEADER));
    for way in &arguments.ways {
        let systems = match arguments.against {
            Some(Against::Kamailio) if *way == Way::SipToSip => {
                &[System::Openfed, System::Kamailio][..]
            }
            _ => &[System::Openfed],
        };
        for system in systems {
            let told = |figures: &Figures| print_note(&format!("{:<22} {figures}", way.name()));
            let capacity = match arguments.capacity {
                Some(given) => given,
                None => capacity(stage, *system, *way, &told).await?,
            };
            let overload = at_twice(stage, *system, *way, capacity).await?;
            print_line(&format!("{:<12} {:<9} {overload}", way.name(), system.name()));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn print_line(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the search for a capacity takes a while")]
fn print_note(line: &str) {
    eprintln!("{line}");
}

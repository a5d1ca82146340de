//! A real server as a child process: started, waited for, and surely ended.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::place::Place;
use crate::scene::SOON;
use crate::seen::Seen;
use crate::{Failure, Result};

/// How many lines of a log are printed when a scene fails.
const LAST_LINES: usize = 120;

/// What a process wrote to its standard output and standard error.
#[derive(Debug)]
pub struct Log {
    name: String,
    /// The lines, in the order in which they came.
    pub lines: Seen<String>,
}

impl Log {
    /// An empty log under this name.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), lines: Seen::default() })
    }

    #[expect(clippy::print_stderr, reason = "the log of a failed scene belongs on the terminal")]
    pub(crate) fn print(&self) {
        let lines = self.lines.all();
        eprintln!("---- {} ({} lines) ----", self.name, lines.len());
        for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)) {
            eprintln!("{line}");
        }
    }
}

/// A running child process with its whole process group; dropped means killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    log: Arc<Log>,
}

impl Process {
    /// Starts `program` with `arguments`.
    ///
    /// The kernel kills it if the test itself is killed (`setpriv --pdeathsig`).
    pub fn start(place: &Place, name: &str, program: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(arguments);
        Self::start_command(place, name, command)
    }

    /// Starts a prepared command that is told by its standard input what to do.
    pub fn start_with_input(
        place: &Place,
        name: &str,
        mut command: Command,
    ) -> Result<(Self, ChildStdin)> {
        command.stdin(Stdio::piped());
        let mut process = Self::spawn(place, name, command)?;
        let input = process.child.stdin.take();
        Ok((process, input.ok_or_else(|| Failure::new(format!("{name} has no input")))?))
    }

    /// Starts a prepared command.
    pub fn start_command(place: &Place, name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null());
        Self::spawn(place, name, command)
    }

    fn spawn(place: &Place, name: &str, mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start {name}: {error}")))?;
        let log = Log::new(name);
        place.keep(Arc::clone(&log));
        if let Some(output) = child.stdout.take() {
            tokio::spawn(copy_lines(output, Arc::clone(&log)));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(copy_lines(output, Arc::clone(&log)));
        }
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| Failure::new(format!("{name} ended at once")))?;
        Ok(Self { child, group, log })
    }

    /// What it wrote so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for a log line that contains `part`.
    pub async fn line(&self, part: &str) -> Result<String> {
        let what = format!("line with {part:?} from {}", self.log.name);
        self.log.lines.wait_for(&what, SOON, |line| line.contains(part)).await
    }

    /// Waits until the process ends by itself.
    pub async fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        match timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(Failure::new(format!("{} did not end within {limit:?}", self.log.name))),
        }
    }

    /// Kills it (SIGKILL) with all its children and waits for its end.
    pub async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.end(SOON).await.map(|_| ())
    }

    /// Asks it to end (SIGTERM) and waits for its end.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.end(limit).await
    }

    /// Freezes it (SIGSTOP): it stays connected and answers nothing.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Keeps all threads of it and its children on one core; later ones stay there, too.
    pub fn keep_on(&self, core: usize) -> Result<()> {
        let mut cores = CpuSet::new();
        cores.set(core);
        for process in std::fs::read_dir("/proc")? {
            let process = process?.path();
            let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { continue };
            if group_of(&stat) != Some(self.group.as_raw_pid()) {
                continue;
            }
            for thread in std::fs::read_dir(process.join("task"))? {
                let name = thread?.file_name();
                let id = name.to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
                sched_setaffinity(id, &cores)?;
            }
        }
        Ok(())
    }

    /// Processor time and memory (kB, what processes share counted once) of it and all its
    /// children that run.
    pub fn of_group(&self) -> Result<(Duration, u64)> {
        let (mut time, mut memory) = (Duration::ZERO, 0);
        for process in std::fs::read_dir("/proc")? {
            let process = process?.path();
            // What is no process, or has just ended, has no such files.
            let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { continue };
            if group_of(&stat) != Some(self.group.as_raw_pid()) {
                continue;
            }
            time += processor_time(&stat);
            let rollup = std::fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
            memory += kilobytes(&rollup, "Pss:").unwrap_or_default();
        }
        Ok((time, memory))
    }

    /// Memory in use, in kB (`VmRSS`).
    pub fn resident_kb(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.group))?;
        let memory = kilobytes(&status, "VmRSS:");
        memory.ok_or_else(|| Failure::new(format!("{} has no memory", self.log.name)))
    }

    /// Processor time used so far, of the program and in the kernel for it.
    pub fn processor_time(&self) -> Result<Duration> {
        Ok(processor_time(&std::fs::read_to_string(format!("/proc/{}/stat", self.group))?))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process_group(self.group, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that the whole group has ended already.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

/// The fields of `/proc/PID/stat` from the third on: those behind the name in brackets (proc(5)).
fn stat_fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(") ").unwrap_or_default().1.split(' ')
}

fn group_of(stat: &str) -> Option<i32> {
    stat_fields(stat).nth(2).and_then(|group| group.parse().ok())
}

/// User and system time, fields 14 and 15.
fn processor_time(stat: &str) -> Duration {
    let fields = stat_fields(stat).skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

async fn copy_lines(output: impl AsyncRead + Unpin, log: Arc<Log>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = output.read_until(b'\n', &mut line).await {
        log.lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

/// Waits until somebody accepts TCP connections at `address`.
pub async fn answers_tcp(address: SocketAddr) -> Result<()> {
    let connected = until(async || TcpStream::connect(address).await.is_ok());
    connected.await.map_err(|_| Failure::new(format!("nobody listens on tcp {address}")))
}

/// Waits until some process has a UDP socket bound to `address`.
pub async fn bound_udp(address: SocketAddr) -> Result<()> {
    let SocketAddr::V4(v4) = address else {
        return Err(Failure::new("places have IPv4 addresses"));
    };
    let ip = u32::from_ne_bytes(v4.ip().octets());
    let wanted = format!(" {ip:08X}:{:04X} ", v4.port());
    let bound = until(async || {
        std::fs::read_to_string("/proc/net/udp").is_ok_and(|table| table.contains(&wanted))
    });
    bound.await.map_err(|_| Failure::new(format!("nobody has udp {address}")))
}

/// Asks again and again, 50 times a second, until the answer is yes.
pub async fn until(question: impl AsyncFn() -> bool) -> Result<()> {
    let asked = async {
        let mut turn = interval(Duration::from_millis(20));
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            if question().await {
                return;
            }
        }
    };
    Ok(timeout(SOON, asked).await?)
}

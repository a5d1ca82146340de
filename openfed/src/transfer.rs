//! `openfed domain import` and `openfed domain export`: the domain table as a CSV file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::model::{Imported, Page};
use crate::api::{ApiError, segment};
use crate::cli::{Failure, Session};
use crate::progress::Progress;

const SIP: &str = "/api/v1/sip-domains";
/// What is read of a file at once.
const CHUNK: usize = 64 * 1024;
/// Chunks between the reader of the file and the network.
pub(crate) const CHUNKS: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A CSV file; `-` is standard input
    file: PathBuf,
    /// Only check, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Say on standard error how far it is, also without a terminal
    #[arg(long)]
    progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to; without it, or as `-`, standard output
    file: Option<PathBuf>,
    /// Only domains that contain this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Say on standard error how far it is, also without a terminal
    #[arg(long)]
    progress: bool,
}

impl Import {
    /// A file is checked as a whole before anything is changed; standard input comes only once.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let mut counts = Imported::default();
        let mut answer = Value::Null;
        let unreadable = |cause| Failure::Unreadable { file: self.name(), cause };
        // A pipe comes only once, too.
        let comes_once =
            self.is_input() || !fs::metadata(&self.file).map_err(unreadable)?.is_file();
        let passes: &[bool] = match (self.dry_run, comes_once) {
            (true, _) => &[true],
            (false, true) => &[false],
            (false, false) => &[true, false],
        };
        for dry_run in passes {
            answer = self.pass(session, *dry_run).await?;
            counts = session.api.read(&answer)?;
        }
        if session.raw(&answer)? {
            return Ok(());
        }
        let would = if self.dry_run { "would be " } else { "" };
        session.say(&format!(
            "Of {} rows, {} {would}added, {} {would}made configured, {} {would}left as they are.",
            counts.rows, counts.added, counts.configured, counts.unchanged
        ))
    }

    async fn pass(&self, session: &Session<'_>, dry_run: bool) -> Result<Value, Failure> {
        let unreadable = |cause| Failure::Unreadable { file: self.name(), cause };
        let (source, size): (Box<dyn Read + Send>, _) = if self.is_input() {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(&self.file).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?;
            (Box::new(file), size.is_file().then_some(size.len()))
        };
        let what = if dry_run { "checking" } else { "importing" };
        let progress = Progress::new(self.progress, what, size);
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let reading = tokio::task::spawn_blocking(|| feed(source, sender, progress));
        let path = format!("{SIP}/import?dry_run={dry_run}");
        let answer = session.api.upload(Method::POST, &path, "text/csv", chunks).await;
        // What broke off because the file did is the file's fault.
        if let Ok(Err(cause)) = reading.await {
            return Err(unreadable(cause));
        }
        answer.map_err(|error| self.with_lines(error))
    }

    /// Faults of lines, as compilers name them.
    fn with_lines(&self, error: ApiError) -> Failure {
        let ApiError::Refused(problem) = error else { return error.into() };
        if !problem.errors.iter().any(|error| error.field.starts_with("line ")) {
            return ApiError::Refused(problem).into();
        }
        let mut text = String::new();
        for error in &problem.errors {
            let line = error.field.trim_start_matches("line ");
            text.push_str(&format!("{}:{line}: {}\n", self.name(), error.detail));
        }
        text.push_str(problem.detail.as_deref().unwrap_or(&problem.title));
        Failure::Lines(text)
    }

    fn is_input(&self) -> bool {
        self.file == Path::new("-")
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// Reads to the end, as fast as it is taken.
pub(crate) fn feed(
    mut source: impl Read,
    chunks: mpsc::Sender<Result<Bytes, io::Error>>,
    mut progress: Progress,
) -> io::Result<()> {
    let (mut buffer, mut done, mut lines) = (vec![0; CHUNK], 0, 0);
    loop {
        let count = match source.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = chunks.blocking_send(Err(io::Error::from(error.kind())));
                return Err(error);
            }
        };
        let chunk = buffer.get(..count).unwrap_or_default();
        // Nobody takes it any more: the answer tells why.
        if chunk.is_empty() || chunks.blocking_send(Ok(Bytes::copy_from_slice(chunk))).is_err() {
            // The first line is the header.
            progress.end(u64::saturating_sub(lines, 1));
            return Ok(());
        }
        done += count as u64;
        lines += newlines(chunk);
        progress.at(done, u64::saturating_sub(lines, 1));
    }
}

impl Export {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let search = self.search.as_deref().map(segment).unwrap_or_default();
        let first = session.api.get(&format!("{SIP}?limit=1&search={search}")).await?;
        let page: Page<Value> = session.api.read(&first)?;
        let mut progress = Progress::new(self.progress, "exporting", page.total);
        let api = session.api.clone();
        let mut rows = api.download(&format!("{SIP}/export?search={search}"), "text/csv").await?;
        // A file that is there is a whole one.
        let file = self.file.filter(|file| file != Path::new("-"));
        let part = file.as_ref().map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(".part");
            PathBuf::from(name)
        });
        let mut target: Box<dyn Write + '_> = match &part {
            Some(part) => Box::new(File::create(part)?),
            None => Box::new(&mut *session.out),
        };
        let mut lines = 0_u64;
        let copied = async {
            while let Some(chunk) = rows.next(&api).await? {
                target.write_all(&chunk)?;
                lines += newlines(&chunk);
                progress.at(lines.saturating_sub(1), lines.saturating_sub(1));
            }
            Ok::<_, Failure>(target.flush()?)
        };
        let copied = copied.await;
        drop(target);
        match (copied, part.zip(file)) {
            (Ok(()), Some((part, file))) => fs::rename(part, file)?,
            (Ok(()), None) => {}
            (Err(failure), parts) => {
                if let Some((part, _)) = parts {
                    let _ = fs::remove_file(part);
                }
                return Err(failure);
            }
        }
        progress.end(lines.saturating_sub(1));
        Ok(())
    }
}

fn newlines(chunk: &[u8]) -> u64 {
    chunk.iter().filter(|byte| **byte == b'\n').count() as u64
}

//! `openfed backup` and `openfed restore`: all state in one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::ApiError;
use crate::cli::{Failure, Session};
use crate::progress::Progress;
use crate::transfer::{CHUNKS, feed};

const BACKUP: &str = "/api/v1/backup";
const MEDIA_TYPE: &str = "application/x-ndjson";
/// As much of the end of a backup as its last line may have.
const END: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where to; `-` is standard output. It holds credentials: only its owner can read it
    file: PathBuf,
    /// Say on standard error how far it is, also without a terminal
    #[arg(long)]
    progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A backup; `-` is standard input
    file: PathBuf,
    /// Say on standard error how far it is, also without a terminal
    #[arg(long)]
    progress: bool,
}

impl Backup {
    /// A file that is there is a whole one.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let api = session.api.clone();
        let mut lines = api.download(BACKUP, MEDIA_TYPE).await?;
        let file = Some(self.file).filter(|file| file != Path::new("-"));
        let part = file.as_ref().map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(".part");
            PathBuf::from(name)
        });
        let mut target: Box<dyn Write + '_> = match &part {
            Some(part) => Box::new(private(part)?),
            None => Box::new(&mut *session.out),
        };
        let mut progress = Progress::new(self.progress, "saving", None);
        let (mut count, mut end) = (0_u64, Vec::new());
        let copied = async {
            while let Some(chunk) = lines.next(&api).await? {
                target.write_all(&chunk)?;
                count += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
                end.extend_from_slice(&chunk);
                end.drain(..end.len().saturating_sub(END));
                progress.at(count, count);
            }
            target.flush()?;
            // The answer has no other sign that it came to its end.
            if !is_whole(&end, count) {
                return Err(Failure::Lines("the backup broke off: try again".to_owned()));
            }
            Ok(())
        };
        let copied: Result<(), Failure> = copied.await;
        drop(target);
        match (copied, part.zip(file)) {
            (Ok(()), Some((part, file))) => {
                fs::rename(part, &file)?;
                progress.end(count);
                session.say(&format!("{count} lines are in {}.", file.display()))
            }
            (Ok(()), None) => {
                progress.end(count);
                Ok(())
            }
            (Err(failure), parts) => {
                if let Some((part, _)) = parts {
                    let _ = fs::remove_file(part);
                }
                Err(failure)
            }
        }
    }
}

/// Whether the last line says that there are so many.
fn is_whole(end: &[u8], count: u64) -> bool {
    let text = String::from_utf8_lossy(end);
    let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
    let last: Value = serde_json::from_str(last).unwrap_or_default();
    last["kind"] == "end" && last["lines"].as_u64() == Some(count)
}

fn private(file: &Path) -> io::Result<File> {
    let _ = fs::remove_file(file);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

impl Restore {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        let unreadable = |cause| Failure::Unreadable { file: name.clone(), cause };
        let is_input = self.file == Path::new("-");
        let (source, size): (Box<dyn Read + Send>, _) = if is_input {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(&self.file).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?.len();
            (Box::new(file), Some(size))
        };
        let progress = Progress::new(self.progress, "restoring", size);
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let reading = tokio::task::spawn_blocking(|| feed(source, sender, progress));
        let answer = session.api.upload(Method::PUT, BACKUP, MEDIA_TYPE, chunks).await;
        if let Ok(Err(cause)) = reading.await {
            return Err(unreadable(cause));
        }
        let answer = answer.map_err(|error| in_file(&name, error))?;
        if session.raw(&answer)? {
            return Ok(());
        }
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        session.say(&format!(
            "Restored: {} static routes, {} SIP domains ({} others removed), {} blocked and {} \
             pinned domains, {} users, {} tokens.",
            number("routes"),
            number("sip_domains"),
            number("sip_domains_removed"),
            number("blocked_domains"),
            number("xmpp_domains"),
            number("users"),
            number("tokens")
        ))
    }
}

/// Faults of lines, as compilers name them.
fn in_file(name: &str, error: ApiError) -> Failure {
    let ApiError::Refused(problem) = error else { return error.into() };
    let of_lines = problem.errors.iter().filter(|error| error.field.starts_with("line "));
    let text: Vec<String> = of_lines
        .map(|error| {
            format!("{name}:{}: {}", error.field.trim_start_matches("line "), error.detail)
        })
        .collect();
    if text.is_empty() {
        ApiError::Refused(problem).into()
    } else {
        Failure::Lines(text.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_without_its_last_line_is_not_whole() {
        assert!(is_whole(b"x\n{\"kind\":\"end\",\"lines\":2}\n", 2));
        assert!(!is_whole(b"x\n{\"kind\":\"end\",\"lines\":2}\n", 3));
        assert!(!is_whole(b"{\"kind\":\"sip-domain\"}\n", 1));
        assert!(!is_whole(b"", 0));
    }
}

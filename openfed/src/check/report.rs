//! What was found, told while it is found.

use std::io::Write;

use serde_json::{Value, json};

use crate::cli::Failure;

/// Findings in order. Prints lines for people at once, JSON at the end.
pub(super) struct Report<'a> {
    json: bool,
    out: &'a mut dyn Write,
    findings: Vec<Value>,
    /// Something works badly, though nothing is missing.
    grave: bool,
    bad: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(json: bool, out: &'a mut dyn Write) -> Self {
        Self { json, out, findings: Vec::new(), grave: false, bad: 0 }
    }

    /// In order.
    pub(super) fn good(&mut self, subject: &str, finding: &str) -> Result<(), Failure> {
        self.add("ok", subject, finding, None)
    }

    /// Not wrong by itself, but worth knowing.
    pub(super) fn doubt(&mut self, subject: &str, finding: &str, do_: &str) -> Result<(), Failure> {
        self.add("note", subject, finding, Some(do_))
    }

    /// A service's own word that something works badly: not all is in place.
    pub(super) fn grave(&mut self, subject: &str, finding: &str, do_: &str) -> Result<(), Failure> {
        self.grave = true;
        self.doubt(subject, finding, do_)
    }

    /// Wrong, with what to do about it.
    pub(super) fn bad(&mut self, subject: &str, finding: &str, do_: &str) -> Result<(), Failure> {
        self.bad += 1;
        self.add("FAIL", subject, finding, Some(do_))
    }

    /// The verdict over all.
    pub(super) fn end(self) -> Result<(), Failure> {
        let Self { json, out, findings, grave, bad } = self;
        if json {
            writeln!(out, "{:#}", json!({ "items": findings }))?;
        } else if bad == 0 && grave {
            writeln!(out, "\nNothing is missing, but not all works well: see the notes.")?;
        } else if bad == 0 {
            writeln!(out, "\nAll is in place.")?;
        }
        if bad == 0 { Ok(()) } else { Err(Failure::Checks(bad)) }
    }

    fn add(
        &mut self,
        status: &str,
        subject: &str,
        finding: &str,
        advice: Option<&str>,
    ) -> Result<(), Failure> {
        let status_name = status.to_ascii_lowercase();
        self.findings.push(json!({
            "status": status_name, "subject": subject, "finding": finding, "advice": advice
        }));
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{status:<4}  {subject:<12}  {finding}")?;
        if let Some(advice) = advice {
            writeln!(self.out, "{:<20}→ {advice}", "")?;
        }
        Ok(self.out.flush()?)
    }
}

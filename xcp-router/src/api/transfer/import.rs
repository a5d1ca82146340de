//! One import under way.

use openfed_node::store::{Imported, Store};
use openfed_proto::domain::Domain;
use openfed_proto::route::Origin;
use serde_json::{Value, json};

use super::csv::Header;
use super::lines::{LONGEST, Lines};
use crate::access::Actor;
use crate::api::problem::{FieldError, Problem};
use crate::api::{Api, fields, sip_domains};
use crate::now;

/// Rows that go into the store at once.
const BATCH: usize = 4_000;
/// Faults that are told one by one; more are only counted.
const TOLD: usize = 100;

/// What was read so far, and what became of it.
pub(super) struct Import<'a> {
    api: &'a Api,
    dry_run: bool,
    lines: Lines,
    read: Reader<'a>,
    imported: Imported,
    last: Option<Domain>,
}

/// Makes rows of lines, and gathers what is wrong with them.
struct Reader<'a> {
    api: &'a Api,
    header: Option<Header>,
    /// Without a header that can be understood, nothing can be.
    hopeless: bool,
    number: u64,
    rows: u64,
    batch: Vec<(Domain, String)>,
    faults: u64,
    told: Vec<FieldError>,
}

impl<'a> Import<'a> {
    pub(super) fn new(api: &'a Api, dry_run: bool) -> Self {
        let read = Reader {
            api,
            header: None,
            hopeless: false,
            number: 0,
            rows: 0,
            batch: Vec::with_capacity(BATCH),
            faults: 0,
            told: Vec::new(),
        };
        let (lines, imported) = (Lines::new(LONGEST), Imported::default());
        Import { api, dry_run, lines, read, imported, last: None }
    }

    /// Takes the next bytes.
    pub(super) async fn take(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        // A chunk is some 10 kB, rarely more: what it adds to a batch is bounded, too.
        self.lines.take(chunk, |line| self.read.line(line));
        if self.read.batch.len() >= BATCH { self.store().await } else { Ok(()) }
    }

    /// There are no more.
    pub(super) async fn finish(&mut self) -> Result<(), Problem> {
        self.lines.finish(|line| self.read.line(line));
        if self.read.header.is_none() && !self.read.hopeless {
            self.read.fault("there is no header".to_owned());
        }
        self.store().await
    }

    async fn store(&mut self) -> Result<(), Problem> {
        let batch = std::mem::take(&mut self.read.batch);
        let store = &self.api.0.store;
        let done = match self.dry_run {
            true => would_be(store.as_ref(), &batch).await?,
            false => store.import(&batch, now().unix_s()).await?,
        };
        self.imported.added += done.added;
        self.imported.configured += done.configured;
        self.imported.unchanged += done.unchanged;
        self.last = batch.into_iter().next_back().map(|(domain, _)| domain).or(self.last.take());
        Ok(())
    }

    /// The answer: counts, or what was wrong. What was imported before it went wrong stays.
    pub(super) async fn conclude(
        self,
        actor: &Actor,
        done: Result<(), Problem>,
    ) -> Result<Value, Problem> {
        let Imported { added, configured, unchanged } = self.imported;
        if !self.dry_run && added + configured > 0 {
            let subject = format!("{added} new, {configured} discovered before");
            self.api.0.audit.add(&actor.name, "import SIP domains", subject, None, None).await;
            if let Some(last) = &self.last {
                let there =
                    |listing: &crate::catalogue::Listing| listing.names.contains(last.as_str());
                self.api.0.catalogue.settled(there).await;
            }
        }
        let would = if self.dry_run { "would be " } else { "" };
        let counts = format!(
            "Of {} rows, {} {would}added, {} {would}made configured, {} {would}left as they are.",
            self.read.rows, added, configured, unchanged
        );
        done.map_err(|problem| problem.also(&counts))?;
        if self.read.faults > 0 {
            let faults = format!("{} lines have faults. {counts}", self.read.faults);
            return Err(Problem::lines(self.read.told).detail(faults));
        }
        Ok(json!({
            "rows": self.read.rows,
            "added": added,
            "configured": configured,
            "unchanged": unchanged,
            "dry_run": self.dry_run,
        }))
    }
}

impl Reader<'_> {
    fn line(&mut self, line: Option<&[u8]>) {
        self.number += 1;
        if self.hopeless {
            return;
        }
        let line = line.ok_or_else(|| format!("is longer than {LONGEST} bytes"));
        let line =
            line.and_then(|line| std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned()));
        let done = match (line, self.header) {
            (Ok(""), _) => return,
            (Ok(line), Some(header)) => self.row(header, line),
            (Ok(line), None) => Header::read(line).map(|header| self.header = Some(header)),
            (Err(fault), _) => Err(fault),
        };
        if let Err(fault) = done {
            self.hopeless = self.header.is_none();
            self.fault(fault);
        }
    }

    fn row(&mut self, header: Header, line: &str) -> Result<(), String> {
        let (name, description) = header.row(line)?;
        let domain = Domain::parse(name.trim()).map_err(|error| format!("domain: {error}"))?;
        if let Some(fault) = sip_domains::fault(self.api, &domain) {
            return Err(format!("domain: {fault}"));
        }
        if let Some(fault) = fields::fault_of_note(&description) {
            return Err(format!("description: {fault}"));
        }
        self.rows += 1;
        self.batch.push((domain, description.into_owned()));
        Ok(())
    }

    fn fault(&mut self, message: String) {
        self.faults += 1;
        if self.told.len() < TOLD {
            let field = format!("line {}", self.number).into();
            self.told.push(FieldError { field, message });
        }
    }
}

/// What an import of these would do. A domain that is named in several batches counts in each.
async fn would_be(store: &dyn Store, batch: &[(Domain, String)]) -> Result<Imported, Problem> {
    let mut domains: Vec<Domain> = batch.iter().map(|(domain, _)| domain.clone()).collect();
    domains.sort_unstable();
    domains.dedup();
    let rows = store.rows(&domains).await?;
    let configured = rows.iter().filter(|row| row.origin == Origin::Discovered).count() as u64;
    let added = (domains.len() - rows.len()) as u64;
    Ok(Imported { added, configured, unchanged: batch.len() as u64 - added - configured })
}

//! `openfed domain`: the domain table, blocked domains, domains pinned to XMPP.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use crate::api::model::{NotedDomain, Page, Route, SipDomain};
use crate::api::segment;
use crate::cli::{Failure, Session};
use crate::table::{self, or_dash};
use crate::transfer::{Export, Import};

const SIP: &str = "/api/v1/sip-domains";
const BLOCKED: &str = "/api/v1/blocked-domains";
const PINNED: &str = "/api/v1/xmpp-domains";
const PAGE: usize = 500;

const IMPORT_HELP: &str = "\
The columns are those of `openfed domain export`: domain, description, origin, first_seen, last_seen,
direction, route, hits, last_failure, finding, in any order; only domain and description are read. New domains
are configured, discovered ones become configured, configured ones stay as they are.

A file is checked as a whole first: if any line has a fault, nothing is changed, every fault is
printed as FILE:LINE, at most a hundred of them, and the exit code is 65. Standard input is read only
once: its lines with faults are left out, and the others are imported.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Known SIP domains, or with --blocked or --pinned those
    List(List),
    /// Enter a SIP domain by hand; a discovered one becomes configured, its traffic goes on
    Add {
        domain: String,
        /// Up to 255 characters for people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Make a discovered SIP domain stay, whatever XMPP answers one day: it becomes configured
    Confirm { domain: String },
    /// Enter the SIP domains of a CSV file, whose header names at least the column `domain`
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Write the table of SIP domains as CSV
    Export(Export),
    /// Remove a SIP domain from the table; while `.*` is open it is discovered again by its next
    /// message
    Remove { domain: String },
    /// Deny a domain in both directions, at once; `*.example.com` denies every subdomain
    Block {
        domain: String,
        /// Why, for people
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Undo `block`
    Unblock { domain: String },
    /// Reach a domain over XMPP only, never over SIP
    Pin {
        domain: String,
        /// Why, for people
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Undo `pin`
    Unpin { domain: String },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only domains that contain this text
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["blocked", "pinned"])]
    search: Option<String>,
    /// At most so many rows; 0 is all
    #[arg(long, value_name = "N", default_value_t = PAGE, conflicts_with_all = ["blocked", "pinned"])]
    limit: usize,
    /// The blocked domains instead
    #[arg(long, conflicts_with = "pinned")]
    blocked: bool,
    /// The domains pinned to XMPP instead
    #[arg(long)]
    pinned: bool,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List(List { blocked: true, .. }) => list_noted(session, BLOCKED).await,
            Self::List(List { pinned: true, .. }) => list_noted(session, PINNED).await,
            Self::List(list) => list.run(session).await,
            Self::Add { domain, description } => {
                let body =
                    json!({ "domain": domain, "description": description.unwrap_or_default() });
                create(session, SIP, &body, &format!("{domain} is configured as SIP domain.")).await
            }
            Self::Confirm { domain } => {
                let path = format!("{SIP}/{}", segment(&domain));
                let answer = session.api.send(Method::PATCH, &path, &json!({})).await?;
                if session.raw(&answer)? {
                    return Ok(());
                }
                session.say(&format!("{domain} is confirmed as SIP domain: its row stays."))
            }
            Self::Import(import) => import.run(session).await,
            Self::Export(export) => export.run(session).await,
            Self::Remove { domain } => {
                session.api.delete(&format!("{SIP}/{}", segment(&domain))).await?;
                after_removal(session, &domain).await
            }
            Self::Block { domain, note } => {
                let body = json!({ "domain": domain, "note": note.unwrap_or_default() });
                let effect = format!("{domain} is denied in both directions.");
                create(session, BLOCKED, &body, &effect).await
            }
            Self::Unblock { domain } => {
                session.api.delete(&format!("{BLOCKED}/{}", segment(&domain))).await?;
                session.say(&format!("{domain} is no longer denied."))
            }
            Self::Pin { domain, note } => {
                let body = json!({ "domain": domain, "note": note.unwrap_or_default() });
                let effect = format!("{domain} is reached over XMPP only.");
                create(session, PINNED, &body, &effect).await
            }
            Self::Unpin { domain } => {
                session.api.delete(&format!("{PINNED}/{}", segment(&domain))).await?;
                session.say(&format!("{domain} may be reached over SIP, too."))
            }
        }
    }
}

impl List {
    /// Walks the pages until there are rows enough.
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let wanted = if self.limit == 0 { usize::MAX } else { self.limit };
        let search = self.search.as_deref().map(|text| format!("&search={}", segment(text)));
        let search = search.unwrap_or_default();
        let (mut rows, mut cursor, mut total) = (Vec::new(), None, None);
        loop {
            let limit = PAGE.min(wanted - rows.len());
            let from = cursor.map(|c: String| format!("&cursor={}", segment(&c)));
            let from = from.unwrap_or_default();
            let answer = session.api.get(&format!("{SIP}?limit={limit}{search}{from}")).await?;
            let page: Page<Value> = session.api.read(&answer)?;
            rows.extend(page.items);
            (cursor, total) = (page.next_cursor, page.total.or(total));
            if cursor.is_none() || rows.len() >= wanted {
                break;
            }
        }
        let more = cursor.is_some();
        let answer = json!({ "items": rows, "next_cursor": cursor, "total": total });
        if session.raw(&answer)? {
            return Ok(());
        }
        let rows: Vec<SipDomain> = session.api.read(&answer["items"])?;
        let shown = rows.len();
        print_rows(session.out, rows)?;
        match total {
            Some(total) if more => session.say(&format!("{shown} of {total}; --limit 0 shows all")),
            None if more => session.say(&format!("the first {shown} of many; --limit 0 shows all")),
            _ => Ok(()),
        }
    }
}

/// Rows of the domain table, for people.
pub(crate) fn print_rows(out: &mut dyn Write, rows: Vec<SipDomain>) -> io::Result<()> {
    let titles = [
        "DOMAIN",
        "ORIGIN",
        "DIRECTION",
        "ROUTE",
        "FIRST SEEN",
        "LAST SEEN",
        "HITS",
        "FAILURE",
        "FINDING",
        "",
    ];
    let rows = rows.into_iter().map(|row| {
        [
            row.domain,
            row.origin,
            or_dash(row.direction.as_deref()),
            or_dash(row.route.as_deref()),
            or_dash(row.first_seen.as_deref()),
            or_dash(row.last_seen.as_deref()),
            row.hits.to_string(),
            or_dash(row.last_failure.as_deref()),
            finding(row.finding.as_deref(), row.proven),
            row.description,
        ]
    });
    table::print(out, titles, rows)
}

/// Why XMPP did not reach it, and whether that is a proof.
fn finding(finding: Option<&str>, proven: Option<bool>) -> String {
    match (finding, proven) {
        (Some(finding), Some(false)) => format!("{finding} (unproven)"),
        (finding, _) => or_dash(finding),
    }
}

async fn list_noted(session: &mut Session<'_>, path: &str) -> Result<(), Failure> {
    let answer = session.api.list(path).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let page: Page<NotedDomain> = session.api.read(&answer)?;
    let rows = page.items.into_iter().map(|row| [row.domain, or_dash(row.note.as_deref())]);
    Ok(table::print(session.out, ["DOMAIN", "NOTE"], rows)?)
}

async fn create(
    session: &mut Session<'_>,
    path: &str,
    body: &Value,
    effect: &str,
) -> Result<(), Failure> {
    let answer = session.api.send(Method::POST, path, body).await?;
    if session.raw(&answer)? { Ok(()) } else { session.say(effect) }
}

/// Says what removal means now, which depends on the open route.
async fn after_removal(session: &mut Session<'_>, domain: &str) -> Result<(), Failure> {
    if session.json {
        return Ok(());
    }
    let answer = session.api.get("/api/v1/static-routes/.%2A").await?;
    let open: Route = session.api.read(&answer)?;
    let effect = if open.blocked || !open.in_service || open.next_hop.is_empty() {
        "the open route is closed, so its traffic stops now.".to_owned()
    } else {
        format!(
            "the open route is open, so its next message discovers it again. \
             To keep it out: openfed domain block {domain}"
        )
    };
    session.say(&format!("{domain} is removed; {effect}"))
}

//! `openfed route`: static routes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::api::model::{Page, Route};
use crate::api::segment;
use crate::cli::{Failure, Session};
use crate::table::{self, on_off, or_dash};

const ROUTES: &str = "/api/v1/static-routes";

const PATTERNS: &str = "\
Patterns:
  .*               the open route: every domain that nothing else matches
  .com.example     example.com alone; the labels are reversed
  .com.example.*   example.com and every subdomain
  +49*             with --type user: the beginning of a user part";

#[derive(Debug, Subcommand)]
#[command(after_help = PATTERNS)]
pub(crate) enum Command {
    /// All static routes, in the order in which they are tried
    List,
    /// One route with all its fields
    Show {
        /// Destination Pattern, in quotes
        pattern: String,
    },
    /// Change fields of a route; what is not named stays as it is
    #[command(
        override_usage = "openfed route set <PATTERN> <FIELDS>...",
        after_help = "\
Open federation, in one line:
  openfed route set '.*' --next-hop sbc.example.net --port 5060 --protocol tcp --unblock"
    )]
    Set {
        /// Destination Pattern, in quotes
        pattern: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Create a route
    #[command(override_usage = "openfed route add <PATTERN> <FIELDS>...", after_help = PATTERNS)]
    Add {
        /// Destination Pattern, in quotes
        pattern: String,
        /// What of the Request-URI is matched
        #[arg(long = "type", value_enum, default_value_t = Kind::Domain)]
        kind: Kind,
        #[command(flatten)]
        fields: Fields,
    },
    /// Remove a route; `.*` stays for ever, block it instead
    Remove {
        /// Destination Pattern, in quotes
        pattern: String,
    },
    /// `.*`: discover no new domains (known ones go on). Any other route: refuse what it matches
    Block {
        /// Destination Pattern, in quotes
        pattern: String,
    },
    /// Undo `block`; `.*` must know next hop, port and protocol first
    Unblock {
        /// Destination Pattern, in quotes
        pattern: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Fields {
    /// The SIP server to send to: IPv4 or IPv6 address, or a host name
    #[arg(long, value_name = "HOST")]
    next_hop: Option<String>,
    /// Its port; 0 looks the SRV records of the next hop up
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// How it is spoken to
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Lower is tried first among equally specific routes (`.*` is last always)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    priority: Option<u16>,
    /// Share among equal priorities
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    weight: Option<u16>,
    /// Up to 255 characters for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Off takes the route out of service without removing it
    #[arg(long, value_enum, value_name = "on|off")]
    service: Option<OnOff>,
    /// Whether shorter patterns may be tried when this one's routes fail
    #[arg(long, value_enum, value_name = "on|off")]
    less_specific: Option<OnOff>,
    /// Block it (see `openfed route block --help`)
    #[arg(long, conflicts_with = "unblock")]
    block: bool,
    /// Unblock it in the same step
    #[arg(long)]
    unblock: bool,
    /// The name for a next hop that asks for one (digest authentication)
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The file with the password for it; once set, the password is never shown
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Forget name and password
    #[arg(long, conflicts_with_all = ["username", "password_file"])]
    no_credentials: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
    Tls,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Domain,
    User,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnOff {
    On,
    Off,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List => list(session).await,
            Self::Show { pattern } => {
                let route = session.api.get(&path(&pattern)).await?;
                show(session, &route)
            }
            Self::Set { pattern, fields } => change(session, &pattern, fields.body()?).await,
            Self::Add { pattern, kind, fields } => {
                let mut body = fields.body()?;
                body.insert("pattern".to_owned(), json!(pattern));
                body.insert("type".to_owned(), json!(name_of(kind)));
                let route = session.api.send(Method::POST, ROUTES, &Value::Object(body)).await?;
                show(session, &route)
            }
            Self::Remove { pattern } => {
                session.api.delete(&path(&pattern)).await?;
                session.say(&format!("{pattern} is removed, on every node."))
            }
            Self::Block { pattern } => set_blocked(session, &pattern, true).await,
            Self::Unblock { pattern } => set_blocked(session, &pattern, false).await,
        }
    }
}

impl Fields {
    fn body(self) -> Result<Map<String, Value>, Failure> {
        let credentials = self.credentials()?;
        let mut body = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        put("next_hop", self.next_hop.map(Value::from));
        put("port", self.port.map(Value::from));
        put("protocol", self.protocol.map(|p| json!(name_of(p))));
        put("priority", self.priority.map(Value::from));
        put("weight", self.weight.map(Value::from));
        put("description", self.description.map(Value::from));
        put("in_service", self.service.map(|s| json!(matches!(s, OnOff::On))));
        put("allow_less_specific", self.less_specific.map(|s| json!(matches!(s, OnOff::On))));
        put("blocked", (self.block || self.unblock).then(|| json!(self.block)));
        put("credentials", credentials);
        Ok(body)
    }

    /// Without a file the password of this name stays as it is.
    fn credentials(&self) -> Result<Option<Value>, Failure> {
        let Some(username) = &self.username else {
            return Ok(self.no_credentials.then_some(Value::Null));
        };
        let mut credentials = json!({ "username": username });
        if let Some(file) = &self.password_file {
            let file_name = || file.display().to_string();
            let password = std::fs::read_to_string(file)
                .map_err(|cause| Failure::Unreadable { file: file_name(), cause })?;
            credentials["password"] = json!(password.trim_end_matches(['\r', '\n']));
        }
        Ok(Some(credentials))
    }
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn path(pattern: &str) -> String {
    format!("{ROUTES}/{}", segment(pattern))
}

async fn list(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.api.list(ROUTES).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let routes: Page<Route> = session.api.read(&answer)?;
    let titles =
        ["PATTERN", "NEXT HOP", "PORT", "PROTOCOL", "PRIORITY", "WEIGHT", "SERVICE", "BLOCKED", ""];
    let rows = routes.items.into_iter().map(|route| {
        [
            route.pattern,
            or_dash(Some(&route.next_hop)),
            port(route.port),
            route.protocol,
            route.priority.to_string(),
            route.weight.to_string(),
            on_off(route.in_service),
            if route.blocked { "blocked" } else { "-" }.to_owned(),
            route.description,
        ]
    });
    Ok(table::print(session.out, titles, rows)?)
}

async fn change(
    session: &mut Session<'_>,
    pattern: &str,
    body: Map<String, Value>,
) -> Result<(), Failure> {
    let route = session.api.send(Method::PATCH, &path(pattern), &Value::Object(body)).await?;
    show(session, &route)
}

async fn set_blocked(
    session: &mut Session<'_>,
    pattern: &str,
    blocked: bool,
) -> Result<(), Failure> {
    let body = json!({ "blocked": blocked });
    let answer = session.api.send(Method::PATCH, &path(pattern), &body).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let route: Route = session.api.read(&answer)?;
    let effect = match (route.predefined, blocked) {
        (true, true) => "no new domains are discovered; known ones keep flowing",
        (true, false) => "unknown domains are discovered from now on",
        (false, true) => "what it matches is refused",
        (false, false) => "what it matches is carried again",
    };
    session.say(&format!("{}: {effect}.", route.pattern))
}

fn show(session: &mut Session<'_>, answer: &Value) -> Result<(), Failure> {
    if session.raw(answer)? {
        return Ok(());
    }
    let route: Route = session.api.read(answer)?;
    let blocked = match (route.blocked, route.predefined) {
        (false, _) => "no",
        (true, true) => "yes: no new domains are discovered",
        (true, false) => "yes: what it matches is refused",
    };
    for (title, value) in [
        ("Destination Pattern", route.pattern.clone()),
        ("Description", or_dash(Some(&route.description))),
        ("Next Hop", or_dash(Some(&route.next_hop))),
        ("Next Hop Port", port(route.port)),
        ("Route Type", route.kind),
        ("Protocol Type", route.protocol),
        ("Priority", route.priority.to_string()),
        ("Weight", route.weight.to_string()),
        ("Allow Less-Specific Route", on_off(route.allow_less_specific)),
        ("Service", on_off(route.in_service)),
        ("Block Route", blocked.to_owned()),
    ] {
        writeln!(session.out, "{title:<26} {value}")?;
    }
    if let Some(credentials) = route.credentials {
        writeln!(session.out, "{:<26} {}", "User Name", credentials.username)?;
    }
    Ok(())
}

fn port(port: u16) -> String {
    if port == 0 { "SRV".to_owned() } else { port.to_string() }
}

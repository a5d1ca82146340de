//! `openfed admin`: who may use console and API.

use clap::{Subcommand, ValueEnum};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::model::Page;
use crate::api::segment;
use crate::cli::{Failure, Session};
use crate::table::{self, or_dash};

const USERS: &str = "/api/v1/users";
const TOKENS: &str = "/api/v1/tokens";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Users: people, who log in with a password
    #[command(subcommand)]
    User(User),
    /// API tokens: what programs show instead of a password
    #[command(subcommand)]
    Token(Token),
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// All users
    List,
    /// Add a user; prints a password that is good for one log-in, which changes it
    Add {
        /// Lower-case letters, digits, dots, dashes, underscores, @
        name: String,
        #[arg(long, value_enum, default_value_t = Role::Viewer)]
        role: Role,
    },
    /// Set another password: prints one that is good for one log-in. The user's sessions end
    Password { name: String },
    /// Give a user another role; it acts at once
    Role { name: String, role: Role },
    /// Remove a user; the user's sessions end
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// All tokens
    List,
    /// Add a token; its secret is printed this once
    Add {
        /// What it is for
        name: String,
        /// What it may do; separated by commas, or given several times
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE")]
        scope: Vec<Scope>,
    },
    /// Remove a token, by name or id: it is refused from now on
    Remove { name: String },
}

/// What a user may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Looks at everything but accounts
    Viewer,
    /// May do everything
    Administrator,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scope {
    /// Look at everything but accounts
    Read,
    /// Change static routes
    Routes,
    /// Change SIP domains, blocked and pinned domains
    Domains,
    /// Import SIP domains
    Import,
    /// Take nodes out and back in
    Nodes,
    /// Read /metrics
    Metrics,
    /// Everything
    Admin,
}

/// A user, as the API shows one.
#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    role: String,
    created: String,
    one_time: bool,
}

/// A token, as the API shows one.
#[derive(Debug, Deserialize)]
struct ListedToken {
    id: String,
    name: String,
    scopes: Vec<String>,
    created: String,
    last_used: Option<String>,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::User(command) => command.run(session).await,
            Self::Token(command) => command.run(session).await,
        }
    }
}

impl User {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List => list_users(session).await,
            Self::Add { name, role } => {
                let body = json!({ "name": name, "role": word(role) });
                let answer = session.api.send(Method::POST, USERS, &body).await?;
                password(session, &answer)
            }
            Self::Password { name } => {
                let body = json!({ "new_password": true });
                let answer = session.api.send(Method::PATCH, &user(&name), &body).await?;
                password(session, &answer)
            }
            Self::Role { name, role } => {
                let body = json!({ "role": word(role) });
                let answer = session.api.send(Method::PATCH, &user(&name), &body).await?;
                let said = format!("{name} is {} now.", word(role));
                if session.raw(&answer)? { Ok(()) } else { session.say(&said) }
            }
            Self::Remove { name } => {
                session.api.delete(&user(&name)).await?;
                session.say(&format!("{name} is removed."))
            }
        }
    }
}

impl Token {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List => list_tokens(session).await,
            Self::Add { name, scope } => {
                let scopes: Vec<String> = scope.into_iter().map(word).collect();
                let body = json!({ "name": name, "scopes": scopes });
                let answer = session.api.send(Method::POST, TOKENS, &body).await?;
                if session.raw(&answer)? {
                    return Ok(());
                }
                session.say(answer["secret"].as_str().unwrap_or_default())
            }
            Self::Remove { name } => {
                session.api.delete(&format!("{TOKENS}/{}", segment(&name))).await?;
                session.say(&format!("{name} is refused from now on."))
            }
        }
    }
}

fn user(name: &str) -> String {
    format!("{USERS}/{}", segment(name))
}

/// As the API writes it.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn password(session: &mut Session<'_>, answer: &Value) -> Result<(), Failure> {
    if session.raw(answer)? {
        return Ok(());
    }
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    session.say(&format!(
        "{} ({}) logs in once with this password, and changes it:\n{}",
        text("name"),
        text("role"),
        text("password")
    ))
}

async fn list_users(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.api.list(USERS).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let page: Page<Listed> = session.api.read(&answer)?;
    let rows = page.items.into_iter().map(|user| {
        let password = if user.one_time { "for one log-in" } else { "own" };
        [user.name, user.role, user.created, password.to_owned()]
    });
    Ok(table::print(session.out, ["NAME", "ROLE", "CREATED", "PASSWORD"], rows)?)
}

async fn list_tokens(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.api.list(TOKENS).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let page: Page<ListedToken> = session.api.read(&answer)?;
    let rows = page.items.into_iter().map(|token| {
        let used = or_dash(token.last_used.as_deref());
        [token.name, token.id, token.scopes.join(","), token.created, used]
    });
    Ok(table::print(session.out, ["NAME", "ID", "SCOPES", "CREATED", "LAST USED"], rows)?)
}

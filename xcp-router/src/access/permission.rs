//! What a role and a scope allow, by method and path: one table for all of this router's HTTP.

use axum::http::Method;

use super::Actor;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Looks at everything but accounts; changes nothing.
    Viewer,
    /// May do everything.
    Administrator,
}

/// What a token may do. One for changes may also read what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Read,
    Routes,
    Domains,
    Import,
    Nodes,
    Metrics,
    Admin,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: health, and logging in.
    Nothing,
    /// A session of one's own, whatever the role.
    Session,
    /// The scope, or a role that has it.
    Scope(Scope),
    /// Reading, by the scope for reading or for what is read.
    Reading(Option<Scope>),
}

impl Role {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Administrator].into_iter().find(|role| role.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Administrator => "administrator",
        }
    }
}

impl Scope {
    pub(crate) const ALL: [Self; 7] = [
        Self::Read,
        Self::Routes,
        Self::Domains,
        Self::Import,
        Self::Nodes,
        Self::Metrics,
        Self::Admin,
    ];

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Routes => "routes",
            Self::Domains => "domains",
            Self::Import => "import",
            Self::Nodes => "nodes",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}

/// What a request needs; whatever is not named here needs an administrator to change it.
pub(super) fn need(method: &Method, path: &str) -> Need {
    let safe = method == Method::GET || method == Method::HEAD;
    let below = |root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let login = path == "/login" && (safe || method == Method::POST);
    let begins = path == "/api/v1/session" && method == Method::POST;
    if (safe && (path == "/healthz" || path == "/readyz" || below("/assets"))) || login || begins {
        return Need::Nothing;
    }
    let own = match path {
        "/api/v1/session" => safe || method == Method::DELETE,
        "/api/v1/session/password" => method == Method::PUT,
        _ => (below("/login") || path == "/logout") && (safe || method == Method::POST),
    };
    if own {
        return Need::Session;
    }
    if path == "/metrics" && safe {
        return Need::Reading(Some(Scope::Metrics));
    }
    let areas = [
        ("/api/v1/users", Scope::Admin),
        ("/api/v1/tokens", Scope::Admin),
        ("/api/v1/backup", Scope::Admin),
        ("/api/v1/static-routes", Scope::Routes),
        ("/api/v1/sip-domains/import", Scope::Import),
        ("/api/v1/sip-domains", Scope::Domains),
        ("/api/v1/blocked-domains", Scope::Domains),
        ("/api/v1/xmpp-domains", Scope::Domains),
        ("/api/v1/nodes", Scope::Nodes),
    ];
    let area = areas.into_iter().find(|(root, _)| below(root)).map(|(_, scope)| scope);
    match (safe, area) {
        (true, Some(Scope::Admin)) => Need::Scope(Scope::Admin),
        (true, area) => Need::Reading(area),
        (false, area) => Need::Scope(area.unwrap_or(Scope::Admin)),
    }
}

/// What a request needs, in words for the API's description.
pub(crate) fn needed_scope(method: &Method, path: &str) -> String {
    match need(method, path) {
        Need::Nothing => "Needs no login.".to_owned(),
        Need::Session => "Needs a session.".to_owned(),
        Need::Scope(scope) => {
            format!("Needs the scope `{}`, or the role administrator.", scope.as_str())
        }
        Need::Reading(Some(area)) => {
            format!("Needs the scope `read` or `{}`, or any role.", area.as_str())
        }
        Need::Reading(None) => "Needs the scope `read`, or any role.".to_owned(),
    }
}

impl Actor {
    /// Whether the actor may send what needs this.
    pub(super) fn may(&self, need: Need) -> bool {
        let has = |wanted| match &self.scopes {
            Some(scopes) => scopes.contains(&Scope::Admin) || scopes.contains(&wanted),
            None => self.role == Role::Administrator || wanted == Scope::Read,
        };
        match need {
            Need::Nothing => true,
            Need::Session => self.scopes.is_none(),
            Need::Scope(scope) => has(scope),
            Need::Reading(area) => has(Scope::Read) || area.is_some_and(has),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scopes: &[Scope]) -> Actor {
        Actor { name: "t".into(), role: Role::Viewer, scopes: Some(scopes.to_vec()) }
    }

    fn user(role: Role) -> Actor {
        Actor { name: "u".into(), role, scopes: None }
    }

    #[test]
    fn only_health_and_logging_in_need_nothing() {
        for (method, path) in [
            (Method::GET, "/healthz"),
            (Method::HEAD, "/readyz"),
            (Method::GET, "/login"),
            (Method::POST, "/login"),
            (Method::GET, "/assets/console.css"),
            (Method::POST, "/api/v1/session"),
        ] {
            assert_eq!(need(&method, path), Need::Nothing, "{method} {path}");
        }
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/healthz/"),
            (Method::POST, "/healthz"),
            (Method::GET, "/metrics"),
            (Method::GET, "/loginx"),
            (Method::DELETE, "/login"),
            (Method::GET, "/assetsx"),
            (Method::POST, "/assets/x"),
            (Method::GET, "/api/v1/session"),
            (Method::GET, "/api/v1/openapi.json"),
            (Method::GET, "/api/v1/flows/stream"),
            (Method::GET, "/anything"),
        ] {
            assert_ne!(need(&method, path), Need::Nothing, "{method} {path}");
        }
    }

    #[test]
    fn a_viewer_reads_all_but_accounts_and_changes_nothing() {
        let viewer = user(Role::Viewer);
        for path in ["/", "/api/v1/static-routes", "/api/v1/audit", "/metrics", "/explain"] {
            assert!(viewer.may(need(&Method::GET, path)), "{path}");
        }
        for path in ["/api/v1/users", "/api/v1/tokens/1", "/api/v1/backup"] {
            assert!(!viewer.may(need(&Method::GET, path)), "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            for path in ["/", "/api/v1/static-routes/1", "/api/v1/nodes/x", "/flows", "/metrics"] {
                assert!(!viewer.may(need(&method, path)), "{method} {path}");
                assert!(user(Role::Administrator).may(need(&method, path)), "{method} {path}");
            }
        }
        assert!(viewer.may(need(&Method::PUT, "/api/v1/session/password")));
    }

    #[test]
    fn a_token_may_do_what_its_scopes_say() {
        let domains = token(&[Scope::Domains]);
        assert!(domains.may(need(&Method::DELETE, "/api/v1/sip-domains/a.example")));
        assert!(domains.may(need(&Method::GET, "/api/v1/blocked-domains")));
        assert!(!domains.may(need(&Method::GET, "/api/v1/static-routes")));
        assert!(!domains.may(need(&Method::POST, "/api/v1/sip-domains/import")));
        let metrics = token(&[Scope::Metrics]);
        assert!(metrics.may(need(&Method::GET, "/metrics")));
        assert!(!metrics.may(need(&Method::GET, "/api/v1/flows")));
        let read = token(&[Scope::Read]);
        assert!(read.may(need(&Method::GET, "/api/v1/flows/stream")));
        assert!(!read.may(need(&Method::PATCH, "/api/v1/static-routes/1")));
        assert!(!read.may(need(&Method::GET, "/api/v1/users")));
        let admin = token(&[Scope::Admin]);
        assert!(admin.may(need(&Method::PUT, "/api/v1/backup")));
        // No token has a session to end or a password to change.
        assert!(!admin.may(need(&Method::DELETE, "/api/v1/session")));
    }
}

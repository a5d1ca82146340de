//! The form *Static Route Configuration*: every field of a route, as text, with what is wrong.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::console::model::Route;
use crate::console::submitted::Submitted;

/// Field, label, and what one should know about it.
const FIELDS: [(&str, &str, &str); 12] = [
    (
        "pattern",
        "Destination Pattern",
        "Labels in reverse: .com.example is example.com alone, .com.example.* also all below it. \
         For type user, a text that ends in *.",
    ),
    ("description", "Description", "At most 255 characters."),
    ("next_hop", "Next Hop", "IPv4 or IPv6 address, host name or FQDN of the SIP server."),
    ("port", "Next Hop Port", "1–65535. 0 looks the SRV records of the next hop up."),
    ("type", "Route Type", "What of the request's address is matched: its domain or its user."),
    ("protocol", "Protocol Type", "How the next hop is spoken to."),
    ("priority", "Priority", "1–65535. Lower first, among routes of one pattern."),
    ("weight", "Weight", "1–65535. Share among routes of equal priority."),
    (
        "allow_less_specific",
        "Allow Less-Specific Route",
        "When the routes of this pattern fail, shorter patterns may be tried.",
    ),
    ("in_service", "Service", "Off takes the route out of service without removing it."),
    ("blocked", "Block Route", ""),
    ("username", "User name", "For digest authentication."),
];

/// What a field is in the answer of the API about credentials.
const CREDENTIALS: &str = "credentials";

#[derive(Debug)]
pub(super) struct RouteForm {
    /// Of the route; a new one has none.
    id: Option<u32>,
    pub(super) predefined: bool,
    pub(super) has_password: bool,
    /// Of the route that the operator saw.
    version: u64,
    values: HashMap<&'static str, String>,
    pub(super) faults: BTreeMap<String, String>,
    /// What somebody else saved in the meantime, where it differs.
    theirs: HashMap<&'static str, String>,
}

impl RouteForm {
    /// A new route, at the defaults.
    pub(super) fn blank() -> Self {
        let texts = [("type", "domain"), ("protocol", "tcp"), ("priority", "1"), ("weight", "1")];
        let flags = [("port", "0"), ("allow_less_specific", "true"), ("in_service", "true")];
        let values = texts.into_iter().chain(flags);
        RouteForm {
            id: None,
            predefined: false,
            has_password: false,
            version: 0,
            values: values.map(|(name, value)| (name, value.to_owned())).collect(),
            faults: BTreeMap::new(),
            theirs: HashMap::new(),
        }
    }

    /// A route as it stands.
    pub(super) fn of(route: &Route) -> Self {
        RouteForm {
            id: Some(route.id),
            predefined: route.predefined,
            has_password: route.credentials.is_some(),
            version: route.version,
            values: values(route),
            ..RouteForm::blank()
        }
    }

    /// What was sent about a route, or about a new one.
    pub(super) fn submitted(submitted: &Submitted, route: Option<&Route>) -> Self {
        let mut form = route.map_or_else(RouteForm::blank, RouteForm::of);
        for (name, _, _) in FIELDS {
            // A field that cannot be changed is not sent.
            let fixed = form.predefined && matches!(name, "type" | "pattern");
            if !fixed {
                form.set(name, submitted.exact(name));
            }
        }
        form.version = submitted.text("version").parse().unwrap_or(form.version);
        form
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.values.insert(name, value.to_owned());
    }

    /// What the API is asked for. What is wrong in it, the API says.
    pub(super) fn body(&self, submitted: &Submitted) -> Value {
        let mut body = json!({
            "pattern": self.value("pattern").trim(),
            "type": self.value("type"),
            "description": self.value("description").trim(),
            "next_hop": self.value("next_hop").trim(),
            "protocol": self.value("protocol"),
            "allow_less_specific": submitted.is_on("allow_less_specific"),
            "in_service": submitted.is_on("in_service"),
            "blocked": submitted.is_on("blocked"),
            "credentials": null,
        });
        // Left empty, a number is at its default, if it has one.
        for name in ["port", "priority", "weight"] {
            if !submitted.text(name).is_empty() {
                body[name] = submitted.number(name);
            }
        }
        if self.id.is_some() {
            body["version"] = json!(self.version);
        }
        let (username, password) = (submitted.text("username"), submitted.exact("password"));
        if !username.is_empty() {
            body[CREDENTIALS] = match password {
                "" => json!({ "username": username }),
                password => json!({ "username": username, "password": password }),
            };
        }
        body
    }

    /// Puts what stands by now beside what was sent; saved again, it overwrites that.
    pub(super) fn beside(&mut self, now: &Route) {
        self.version = now.version;
        let now = values(now);
        self.theirs = now
            .into_iter()
            .filter(|(name, value)| self.value(name).trim() != value)
            .map(|(name, value)| match (name, value.as_str()) {
                ("allow_less_specific" | "in_service" | "blocked", "true") => (name, "on".into()),
                (_, "") => (name, "nothing, or off".into()),
                _ => (name, value),
            })
            .collect();
    }

    pub(super) fn was_changed(&self) -> bool {
        !self.theirs.is_empty()
    }

    pub(super) fn action(&self) -> String {
        match self.id {
            None => "/routing/static-routes/new".to_owned(),
            Some(id) => format!("/routing/static-routes/{id}"),
        }
    }

    /// Whether it can be removed.
    pub(super) fn is_removable(&self) -> bool {
        self.id.is_some() && !self.predefined
    }

    pub(super) fn version(&self) -> String {
        self.id.map(|_| self.version.to_string()).unwrap_or_default()
    }

    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.value(name) == value
    }

    pub(super) fn fault(&self, name: &str) -> Option<&str> {
        // The API knows user name and password as one field.
        let name = if name == "username" { CREDENTIALS } else { name };
        self.faults.get(name).map(String::as_str)
    }

    pub(super) fn theirs(&self, name: &str) -> Option<&str> {
        self.theirs.get(name).map(String::as_str)
    }

    pub(super) fn label(&self, name: &str) -> &'static str {
        let name = if name == CREDENTIALS { "username" } else { name };
        FIELDS.iter().find(|(field, _, _)| *field == name).map_or("The form", |field| field.1)
    }

    pub(super) fn hint(&self, name: &str) -> &'static str {
        match name {
            "blocked" if self.predefined => {
                "On: no new domain is discovered. Domains that are known keep flowing."
            }
            "blocked" => {
                "On: what matches is refused, unless a more specific route matches that is not \
                 blocked."
            }
            "pattern" if self.predefined => "Every domain. It cannot be changed.",
            _ => FIELDS.iter().find(|(field, _, _)| *field == name).map_or("", |field| field.2),
        }
    }

    /// Ties a field to what is said about it.
    pub(super) fn aria(&self, name: &str) -> String {
        let now =
            if self.theirs.contains_key(name) { format!("{name}-now ") } else { String::new() };
        match self.fault(name) {
            Some(_) => {
                format!(" aria-invalid=\"true\" aria-describedby=\"{name}-fault {now}{name}-hint\"")
            }
            None => format!(" aria-describedby=\"{now}{name}-hint\""),
        }
    }

    pub(super) fn protocols(&self) -> [(&'static str, &'static str); 3] {
        [("tcp", "TCP"), ("udp", "UDP"), ("tls", "TLS")]
    }
}

fn values(route: &Route) -> HashMap<&'static str, String> {
    let flag = |on: bool| if on { "true".to_owned() } else { String::new() };
    // The open route begins without a port: 0 would be a choice that nobody made.
    let unset = route.predefined && route.next_hop.is_empty();
    let username = route.credentials.as_ref().map(|own| own.username.clone());
    HashMap::from([
        ("pattern", route.pattern.clone()),
        ("description", route.description.clone()),
        ("next_hop", route.next_hop.clone()),
        ("port", if unset { String::new() } else { route.port.to_string() }),
        ("type", route.kind.clone()),
        ("protocol", route.protocol.clone()),
        ("priority", route.priority.to_string()),
        ("weight", route.weight.to_string()),
        ("allow_less_specific", flag(route.allow_less_specific)),
        ("in_service", flag(route.in_service)),
        ("blocked", flag(route.blocked)),
        ("username", username.unwrap_or_default()),
    ])
}

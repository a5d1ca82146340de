//! What stands around every page, and the page that says why something was not done.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::Console;
use super::visitor::Visitor;

/// Pages that belong together, as operators know them.
pub(super) struct Group {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) pages: &'static [(&'static str, &'static str)],
}

const GROUPS: [Group; 5] = [
    Group { id: "nav-start", name: "", pages: &[("/", "Overview")] },
    Group {
        id: "nav-routing",
        name: "Presence › Routing",
        pages: &[("/routing/static-routes", "Static Routes")],
    },
    Group {
        id: "nav-federation",
        name: "Presence › Inter-domain Federation",
        pages: &[
            ("/federation/sip", "SIP Federation"),
            ("/federation/xmpp", "XMPP Federation"),
            ("/federation/blocked", "Blocked Domains"),
        ],
    },
    Group {
        id: "nav-insight",
        name: "Insight",
        pages: &[("/explain", "Explain"), ("/flows", "Flows")],
    },
    Group { id: "nav-system", name: "System", pages: &[("/nodes", "Nodes"), ("/audit", "Audit")] },
];

/// What a page says of what was done there, by the mark of it.
pub(super) type Words = &'static [(&'static str, &'static str)];

/// The head, the list of pages, the heading, and word of what was just done.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) heading: String,
    /// The path of the page that this one is, or belongs to.
    here: &'static str,
    pub(super) node: String,
    pub(super) visitor: Option<Visitor>,
    pub(super) told: Option<String>,
}

impl Frame {
    pub(super) fn new(console: &Console, visitor: &Visitor, here: &'static str) -> Self {
        let heading = page_of(here).map_or("", |(_, name)| name).to_owned();
        let (node, visitor) = (console.0.views.node.clone(), Some(visitor.clone()));
        Frame { heading, here, node, visitor, told: None }
    }

    pub(super) fn heading(self, heading: impl Into<String>) -> Self {
        Frame { heading: heading.into(), ..self }
    }

    /// Says what was just done, if the query does ([`done`]) and there are words for it.
    pub(super) fn told(self, query: &HashMap<String, String>, words: Words) -> Self {
        let what = query.get("done").map(String::as_str);
        let told = words.iter().find(|(done, _)| Some(*done) == what);
        Frame { told: told.map(|(_, sentence)| (*sentence).to_owned()), ..self }
    }

    pub(super) fn groups(&self) -> &'static [Group] {
        &GROUPS
    }

    pub(super) fn is_here(&self, path: &str) -> bool {
        path == self.here
    }

    /// Where the page stands: `Presence › Routing › Static Routes`.
    pub(super) fn crumbs(&self) -> String {
        let Some((group, name)) = page_of(self.here) else { return String::new() };
        if group.is_empty() { name.to_owned() } else { format!("{group} › {name}") }
    }

    pub(super) fn csrf(&self) -> &str {
        self.visitor.as_ref().map_or("", |visitor| &visitor.csrf)
    }

    pub(super) fn may_change(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.may_change)
    }
}

fn page_of(path: &str) -> Option<(&'static str, &'static str)> {
    GROUPS.iter().find_map(|group| {
        let page = group.pages.iter().find(|(own, _)| *own == path)?;
        Some((group.name, page.1))
    })
}

/// A page that is ready to be sent. It tells of this moment, and of one visitor.
pub(super) fn show(page: &impl Template) -> Response {
    show_with(StatusCode::OK, page)
}

/// The same with another status.
pub(super) fn show_with(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Done: on to the page that shows it, so that a reload does nothing twice.
pub(super) fn done(path: &str, what: &str) -> Response {
    let mark = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{mark}done={what}")).into_response()
}

/// Why something was not done, as the API said it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) detail: Option<String>,
    /// What is wrong with which field.
    pub(super) errors: BTreeMap<String, String>,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    frame: Frame,
    refusal: &'a Refusal,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, title: impl Into<String>) -> Self {
        Refusal { status, title: title.into(), detail: None, errors: BTreeMap::new() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let heading = "This was not done".to_owned();
        let frame = Frame { heading, here: "", node: String::new(), visitor: None, told: None };
        show_with(self.status, &Refused { frame, refusal: &self })
    }
}

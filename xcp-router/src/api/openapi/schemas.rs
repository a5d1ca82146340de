//! The shapes of the API's objects.

mod access;

use openfed_proto::finding::Finding;
use serde_json::{Map, Value, json};

/// Every schema by its name.
pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    for (name, schema) in [routes(), domains(), insight(), access::all()].into_iter().flatten() {
        all.insert(name.to_owned(), schema);
    }
    all
}

type Schemas = Vec<(&'static str, Value)>;

fn routes() -> Schemas {
    let route = whole(shown_route_fields());
    let mut create = object(route_fields(), &["pattern", "next_hop"]);
    create["properties"].as_object_mut().map(|fields| fields.remove("version"));
    vec![
        ("StaticRoute", route),
        ("StaticRoutes", list("StaticRoute")),
        ("StaticRouteCreate", create),
        ("StaticRouteChange", object(route_fields(), &[])),
    ]
}

/// The fields of a route that a request may name.
fn route_fields() -> Value {
    let number = |least: u32, default: u32, what: &str| {
        json!({
            "type": "integer",
            "minimum": least,
            "maximum": 65_535,
            "default": default,
            "description": what,
        })
    };
    let flag = |default: bool, what: &str| json!({ "type": "boolean", "default": default, "description": what });
    json!({
        "pattern": {
            "type": "string",
            "description": "`.*`, `.com.example`, `.com.example.*`, or with type user the \
                user part, possibly with a trailing `*`",
        },
        "description": { "type": "string", "maxLength": 255 },
        "next_hop": { "type": "string", "description": "IP address or host name of one host: no 0.0.0.0, [::], multicast or broadcast" },
        "port": number(0, 0, "0: the next hop's SRV records (RFC 3263)"),
        "type": { "type": "string", "enum": ["domain", "user"], "default": "domain" },
        "protocol": { "type": "string", "enum": ["tcp", "udp", "tls"], "default": "tcp" },
        "priority": number(1, 1, "Lower is tried first"),
        "weight": number(1, 1, "Share among equal priorities"),
        "allow_less_specific": flag(true, "Shorter patterns may be tried when this one fails"),
        "in_service": flag(true, "Off: out of service without being removed"),
        "blocked": flag(false, "`.*`: no new domains are discovered; others: matches are refused"),
        "credentials": {
            "type": ["object", "null"],
            "properties": {
                "username": { "type": "string" },
                "password": { "type": "string", "writeOnly": true },
            },
            "required": ["username"],
            "description": "For a next hop that challenges. A password that is left out stays",
        },
        "version": {
            "type": "integer",
            "description": "Given in a change: refused with 409 if it is not the current one. The \
                entity tag has the same meaning",
        },
    })
}

fn shown_route_fields() -> Value {
    let mut fields = route_fields();
    fields["id"] = json!({ "type": "integer", "readOnly": true });
    fields["predefined"] = json!({
        "type": "boolean",
        "readOnly": true,
        "description": "Whether it is the open route `.*`",
    });
    fields
}

/// Every finding, and none.
fn findings() -> Vec<Option<&'static str>> {
    let all = Finding::ALL.iter().map(|finding| Some(finding.as_str()));
    all.chain([None]).collect()
}

fn domains() -> Schemas {
    let name = json!({ "type": "string", "examples": ["foreign.example"] });
    let description = json!({ "type": "string", "maxLength": 255 });
    let row = json!({
        "domain": name,
        "description": description,
        "origin": { "type": "string", "enum": ["configured", "discovered"] },
        "first_seen": time(),
        "last_seen": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "null: no traffic yet",
        },
        "direction": {
            "type": ["string", "null"],
            "enum": ["inbound", "outbound", "internal", null],
        },
        "route": { "type": ["string", "null"], "description": "Pattern it was discovered by" },
        "hits": { "type": "integer" },
        "last_failure": { "type": ["string", "null"], "description": "Condition" },
        "finding": {
            "type": ["string", "null"],
            "enum": findings(),
            "description": "Why XMPP did not reach the domain when it was discovered, or since; null: \
                configured from the beginning, or not recorded",
        },
        "proven": {
            "type": ["boolean", "null"],
            "description": "Whether the finding proves that there is no XMPP service. If not, XMPP is \
                asked again, and when it answers the row is removed, unless somebody confirmed it",
        },
        "asked_again": { "type": "integer", "description": "How often XMPP was asked since" },
        "asks_next": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When XMPP is asked again; null: it is not",
        },
    });
    let note = json!({
        "type": ["string", "null"],
        "maxLength": 255,
        "description": "Why",
    });
    vec![
        ("SipDomain", whole(row)),
        ("SipDomains", list("SipDomain")),
        (
            "SipDomainCreate",
            object(json!({ "domain": name, "description": description }), &["domain"]),
        ),
        ("ImportedSipDomains", imported()),
        ("SipDomainChange", object(json!({ "description": description }), &[])),
        ("NotedDomain", object(json!({ "domain": name, "note": note }), &["domain"])),
        ("NotedDomains", list("NotedDomain")),
        ("Note", object(json!({ "note": note }), &[])),
    ]
}

fn imported() -> Value {
    let count = |what: &str| json!({ "type": "integer", "description": what });
    let counts = json!({
        "rows": count("Lines without faults"),
        "added": count("Domains that had no row"),
        "configured": count("Domains that were discovered before"),
        "unchanged": count("Domains that were configured before"),
        "dry_run": { "type": "boolean", "description": "Nothing was changed" },
    });
    whole(counts)
}

fn insight() -> Schemas {
    let text = || json!({ "type": "string" });
    let decision = json!({
        "type": "string",
        "enum": ["local", "configured", "cached", "discover", "fallback", "blocked", "refused"],
    });
    let step = json!({
        "step": { "type": "integer" },
        "question": text(),
        "answer": text(),
        "rule": text(),
    });
    let hop = json!({
        "node": text(),
        "role": role(),
        "verdict": text(),
        "at_us": { "type": "integer", "description": "Microseconds since the Unix epoch" },
    });
    let flow = json!({
        "packet_id": text(),
        "started": time(),
        "domain": text(),
        "direction": { "type": "string", "enum": ["inbound", "outbound", "internal"] },
        "decision": decision,
        "outcome": { "type": ["string", "null"], "description": "`delivered` or a condition" },
        "trace_id": { "type": ["string", "null"] },
        "hops": { "type": "array", "items": whole(hop) },
    });
    let node = json!({
        "node": text(),
        "role": role(),
        "version": text(),
        "address": text(),
        "up_since": time(),
        "in_flight": { "type": "integer" },
        "draining": { "type": "boolean" },
    });
    let explanation = json!({
        "domain": text(),
        "decision": decision,
        "steps": { "type": "array", "items": whole(step) },
    });
    vec![
        ("Explanation", whole(explanation)),
        ("Trial", trial()),
        ("Flow", whole(flow)),
        ("Flows", list("Flow")),
        ("Node", whole(node)),
        ("NodeChange", object(json!({ "draining": { "type": "boolean" } }), &["draining"])),
        ("Nodes", list("Node")),
        ("AuditEntry", audited()),
        ("Audit", list("AuditEntry")),
        ("Problem", problem()),
    ]
}

fn trial() -> Value {
    let text = || json!({ "type": "string" });
    let absent = |what: &str| json!({ "type": ["string", "null"], "description": what });
    let step = json!({
        "what": text(),
        "finding": text(),
        "good": { "type": "boolean" },
        "took_us": { "type": "integer", "description": "Microseconds" },
    });
    let way = json!({
        "protocol": { "type": "string", "enum": ["xmpp", "sip"] },
        "node": absent("The connection manager that looked"),
        "route": absent("The static route whose next hop was tried"),
        "problem": absent("Why there are no steps"),
        "steps": { "type": "array", "items": whole(step) },
    });
    whole(json!({ "domain": text(), "ways": { "type": "array", "items": whole(way) } }))
}

fn audited() -> Value {
    let text = || json!({ "type": "string" });
    let changed = || json!({ "description": "Without secrets; null: there is nothing" });
    let entry = json!({
        "number": { "type": "integer" },
        "at": time(),
        "who": { "type": "string", "description": "A user, or `token:` and a token's name" },
        "action": text(),
        "subject": text(),
        "before": changed(),
        "after": changed(),
    });
    whole(entry)
}

fn problem() -> Value {
    let error = whole(json!({ "field": { "type": "string" }, "message": { "type": "string" } }));
    let fields = json!({
        "type": { "type": "string" },
        "title": { "type": "string" },
        "status": { "type": "integer" },
        "detail": { "type": "string" },
        "errors": { "type": "array", "items": error },
    });
    object(fields, &["type", "title", "status"])
}

fn role() -> Value {
    json!({ "type": "string", "enum": ["sip-cm", "xmpp-cm", "xcp-router"] })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// An answer, in which everything is there.
fn whole(properties: Value) -> Value {
    let names: Vec<String> =
        properties.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    object(properties, &names)
}

fn list(item: &str) -> Value {
    let items = json!({ "$ref": format!("#/components/schemas/{item}") });
    let cursor = json!({ "type": ["string", "null"], "description": "null: there are no more" });
    let fields = json!({
        "items": { "type": "array", "items": items },
        "next_cursor": cursor,
        "total": { "type": "integer", "description": "On all pages; of a search that finds more than 100,000, it is not counted" },
    });
    object(fields, &["items", "next_cursor"])
}

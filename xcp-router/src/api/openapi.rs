//! The API's description, in OpenAPI 3.1.

mod schemas;

use axum::Json;
use serde_json::{Map, Value, json};

/// `GET /api/v1/openapi.json`
pub(super) async fn document() -> Json<Value> {
    Json(build())
}

/// The whole document.
fn build() -> Value {
    let mut paths = Map::new();
    for (path, methods) in
        [static_routes(), sip_domains(), domain_lists(), insight()].into_iter().flatten()
    {
        paths.insert(path.to_owned(), methods);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "openfed",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Static routes, SIP domains and what the router makes of them. \
                Errors are problem documents (RFC 9457), times RFC 3339 in UTC. \
                A change acts at once, on every node.",
        },
        "servers": [{ "url": "/api/v1" }],
        "paths": paths,
        "components": { "schemas": schemas::all(), "responses": { "Problem": problem() } },
    })
}

/// Paths below `/api/v1` with their methods.
type Paths = Vec<(&'static str, Value)>;

fn static_routes() -> Paths {
    let key = path_parameter(
        "key",
        "Destination Pattern, percent-encoded (`*` means `.*`), or the route's id. \
         A pattern that several routes have is answered with 409.",
    );
    vec![
        (
            "/static-routes",
            json!({
                "get": operation("listStaticRoutes", "All static routes, in the order they are tried",
                    json!([]), None, &[("200", Some("StaticRoutes"))]),
                "post": operation("createStaticRoute", "Add a static route",
                    json!([]), Some("StaticRouteCreate"), &[("201", Some("StaticRoute"))]),
            }),
        ),
        (
            "/static-routes/{key}",
            json!({
                "parameters": [key],
                "get": operation("getStaticRoute", "One static route",
                    json!([]), None, &[("200", Some("StaticRoute"))]),
                "put": operation("replaceStaticRoute",
                    "Replace a static route; fields that are left out get their defaults",
                    json!([]), Some("StaticRouteChange"), &[("200", Some("StaticRoute"))]),
                "patch": operation("changeStaticRoute",
                    "Change fields of a static route. Unblocking `.*` needs its next hop, port and \
                     protocol",
                    json!([]), Some("StaticRouteChange"), &[("200", Some("StaticRoute"))]),
                "delete": operation("removeStaticRoute",
                    "Remove a static route; `.*` cannot be removed",
                    json!([]), None, &[("204", None)]),
            }),
        ),
    ]
}

fn sip_domains() -> Paths {
    let search = query("search", "Only domains that contain this text", json!({"type": "string"}));
    let cursor = query("cursor", "`next_cursor` of the page before", json!({"type": "string"}));
    vec![
        (
            "/sip-domains",
            json!({
                "get": operation("listSipDomains", "The domain table, sorted by name, in pages",
                    json!([search, limit(100, 1_000), cursor]), None, &[("200", Some("SipDomains"))]),
                "post": operation("addSipDomain",
                    "Configure a SIP domain; a discovered one becomes configured, its traffic goes on",
                    json!([]), Some("SipDomainCreate"),
                    &[("201", Some("SipDomain")), ("200", Some("SipDomain"))]),
            }),
        ),
        ("/sip-domains/import", json!({ "post": import() })),
        ("/sip-domains/export", json!({ "get": export() })),
        (
            "/sip-domains/{domain}",
            json!({
                "parameters": [path_parameter("domain", "The domain, as U-labels or A-labels")],
                "get": operation("getSipDomain", "One row of the domain table",
                    json!([]), None, &[("200", Some("SipDomain"))]),
                "patch": operation("editSipDomain",
                    "Edit the description; a discovered domain becomes configured",
                    json!([]), Some("SipDomainChange"), &[("200", Some("SipDomain"))]),
                "delete": operation("removeSipDomain",
                    "Remove a row. While `.*` is open the next packet discovers the domain again; \
                     while it is blocked its traffic stops",
                    json!([]), None, &[("204", None)]),
            }),
        ),
    ]
}

fn import() -> Value {
    let dry_run = json!({ "type": "boolean", "default": false });
    let dry_run = query("dry_run", "Only check, and count what would be done", dry_run);
    let mut import = operation(
        "importSipDomains",
        "Configure many SIP domains: a CSV body (RFC 4180, UTF-8, a row a line of at most 4,096 \
         bytes) of any length, with the columns of the export; only `domain` and `description` are \
         read. Discovered domains become configured, configured ones stay as they are. Lines with \
         faults are left out and told with 422, each as the field `line N`, at most a hundred of \
         them; all others count. One import at a time, others are answered with 503",
        json!([dry_run]),
        None,
        &[("200", Some("ImportedSipDomains"))],
    );
    let content = json!({ "text/csv": { "schema": { "type": "string" } } });
    import["requestBody"] = json!({ "required": true, "content": content });
    import
}

fn export() -> Value {
    let search = query("search", "Only domains that contain this text", json!({"type": "string"}));
    let mut export = operation(
        "exportSipDomains",
        "The domain table as CSV, sorted by name: domain, description, origin, first_seen, \
         last_seen, direction, route, hits, last_failure",
        json!([search]),
        None,
        &[("200", None)],
    );
    export["responses"]["200"]["content"] =
        json!({ "text/csv": { "schema": { "type": "string" } } });
    export
}

fn domain_lists() -> Paths {
    let mut paths = Vec::new();
    for (path, one, noun, effect) in [
        (
            "/blocked-domains",
            "/blocked-domains/{domain}",
            "BlockedDomain",
            "Deny a domain in both directions; `*.example.com` denies it and every subdomain",
        ),
        (
            "/xmpp-domains",
            "/xmpp-domains/{domain}",
            "XmppDomain",
            "Pin a domain to XMPP: never SIP",
        ),
    ] {
        paths.push((
            path,
            json!({
                "get": operation(&format!("list{noun}s"), "The whole list",
                    json!([]), None, &[("200", Some("NotedDomains"))]),
                "post": operation(&format!("add{noun}"), effect,
                    json!([]), Some("NotedDomain"), &[("201", Some("NotedDomain"))]),
            }),
        ));
        paths.push((
            one,
            json!({
                "parameters": [path_parameter("domain", "The entry, as the list shows it")],
                "delete": operation(&format!("remove{noun}"), "Take it off the list",
                    json!([]), None, &[("204", None)]),
            }),
        ));
    }
    paths
}

fn insight() -> Paths {
    let direction = query(
        "direction",
        "Whose message; default outbound",
        json!({"type": "string", "enum": ["outbound", "inbound"]}),
    );
    let get = |id: &str, summary: &str, parameters: Value, answer| json!({ "get": operation(id, summary, parameters, None, &[("200", Some(answer))]) });
    let mut stream = get(
        "streamFlows",
        "Packets as they end: server-sent events, the data of each is one Flow",
        json!([]),
        "Flow",
    );
    let flow = json!({ "text/event-stream": { "schema": reference("Flow") } });
    stream["get"]["responses"]["200"]["content"] = flow;
    vec![
        ("/explain/{domain}", {
            let mut methods = get(
                "explain",
                "What would happen to a message now, and why",
                json!([direction]),
                "Explanation",
            );
            methods["parameters"] = json!([path_parameter("domain", "Any domain")]);
            methods
        }),
        (
            "/flows",
            get(
                "listFlows",
                "Recent packets with their hops, newest first",
                json!([limit(100, 1_000)]),
                "Flows",
            ),
        ),
        ("/flows/stream", stream),
        (
            "/nodes",
            get(
                "listNodes",
                "This router and the connection managers that are linked to it",
                json!([]),
                "Nodes",
            ),
        ),
        ("/nodes/{name}", node()),
        (
            "/audit",
            get(
                "listAudit",
                "Who changed what, when; kept in the memory of the router that was asked",
                json!([limit(100, 1_000)]),
                "Audit",
            ),
        ),
    ]
}

fn node() -> Value {
    json!({
        "parameters": [path_parameter("name", "The node's name, as the list shows it")],
        "patch": operation("drainNode",
            "Take a node out (`draining`: true) or back in. A node that drains takes no new \
             packets, finishes what it has, is not ready, and keeps running; when it is restarted, \
             it serves. A connection manager tells all routers, whichever is asked; another router \
             is drained at its own API, and is not found here. Answered when the node has said so",
            json!([]), Some("NodeChange"), &[("200", Some("Node"))]),
    })
}

/// One method of a path; whatever it refuses is a problem document.
fn operation(
    id: &str,
    summary: &str,
    parameters: Value,
    body: Option<&str>,
    answers: &[(&str, Option<&str>)],
) -> Value {
    let mut responses = Map::new();
    for (status, schema) in answers {
        let answer = match schema {
            Some(name) => json!({
                "description": "Done",
                "content": { "application/json": { "schema": reference(name) } },
            }),
            None => json!({ "description": "Done" }),
        };
        responses.insert((*status).to_owned(), answer);
    }
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    responses.insert("default".to_owned(), problem);
    let mut operation = json!({
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(name) = body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(name) } },
        });
    }
    operation
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn problem() -> Value {
    json!({
        "description": "It was not done, and why",
        "content": { "application/problem+json": { "schema": reference("Problem") } },
    })
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": { "type": "string" },
    })
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

fn limit(default: u32, most: u32) -> Value {
    let schema = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default });
    query("limit", "At most so many", schema)
}

#[cfg(test)]
mod tests;

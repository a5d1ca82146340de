//! The API's description, in OpenAPI 3.1, made of the operations themselves.

mod schemas;

use axum::Json;
use serde_json::{Map, Value, json};

use super::operation::{Operation, reference};

/// `GET /api/v1/openapi.json`
pub(super) fn operations() -> Vec<Operation> {
    let what = ("getOpenApi", "This document");
    vec![Operation::get("/openapi.json", async || Json(build()), what).answers_with(
        200,
        "application/json",
        json!({ "type": "object" }),
    )]
}

/// The whole document.
fn build() -> Value {
    let mut paths = Map::new();
    for operation in super::operations() {
        let method = operation.method.as_str().to_lowercase();
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[method] = operation.described();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "openfed",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Static routes, SIP domains and what the router makes of them. \
                Errors are problem documents (RFC 9457), times RFC 3339 in UTC. \
                A change acts at once, on every node. Lists come in pages: `next_cursor` of one \
                is `cursor` of the next.",
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "responses": { "Problem": problem() },
            "headers": { "ETag": tag() },
            "securitySchemes": security(),
        },
    })
}

fn problem() -> Value {
    let seconds = json!({
        "description": "With 429, and with 503 where it helps: seconds to wait",
        "schema": { "type": "integer" },
    });
    json!({
        "description": "It was not done, and why",
        "headers": { "Retry-After": seconds },
        "content": { "application/problem+json": { "schema": reference("Problem") } },
    })
}

fn tag() -> Value {
    json!({
        "description": "Which state this is, for If-Match and If-None-Match",
        "schema": { "type": "string" },
    })
}

fn security() -> Value {
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token: `openfed_…`",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "openfed_session",
            "description": "The session of a user. Changes also show its token in the header \
                X-Csrf-Token",
        },
    })
}

#[cfg(test)]
mod tests;

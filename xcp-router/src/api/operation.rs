//! An operation of the API: its handler, and what the document says of it. Both stand in one place,
//! so that none is without the other.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Map, Value, json};

use super::Api;
use crate::access::needed_scope;

/// What every operation may answer: not logged in, not allowed, too many, the store is damaged, away,
/// or cannot be written.
const ALWAYS: [u16; 6] = [401, 403, 429, 500, 503, 507];
/// With a body: broken, slow, too large, of another type, with faults.
const WITH_BODY: [u16; 5] = [400, 408, 413, 415, 422];

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    handler: MethodRouter<Api>,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// By status.
    answers: Map<String, Value>,
    /// The problems that it may answer with, besides [`ALWAYS`].
    refuses: Vec<u16>,
    is_tagged: bool,
}

/// Adds operations to the routes of the API.
pub(super) fn routed(operations: Vec<Operation>) -> Router<Api> {
    operations
        .into_iter()
        .fold(Router::new(), |routes, operation| routes.route(operation.path, operation.handler))
}

impl Operation {
    pub(super) fn new<H: Handler<T, Api>, T: 'static>(
        method: Method,
        path: &'static str,
        handler: H,
        (id, summary): (&'static str, &'static str),
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let handler = on(filter, handler);
        let (parameters, answers) = (path_parameters(path), Map::new());
        let refuses = if parameters.is_empty() { Vec::new() } else { vec![400] };
        let (body, is_tagged) = (None, false);
        Self { method, path, handler, id, summary, parameters, body, answers, refuses, is_tagged }
    }

    pub(super) fn get<H: Handler<T, Api>, T: 'static>(
        path: &'static str,
        handler: H,
        what: (&'static str, &'static str),
    ) -> Self {
        Self::new(Method::GET, path, handler, what)
    }

    /// Done, with a JSON answer of this schema.
    pub(super) fn answers(self, status: u16, schema: &str) -> Self {
        self.answers_with(status, "application/json", reference(schema))
    }

    /// Done, with an answer of another type.
    pub(super) fn answers_with(mut self, status: u16, media_type: &str, schema: Value) -> Self {
        let answer =
            json!({ "description": "Done", "content": { media_type: { "schema": schema } } });
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// Done, and there is nothing to say.
    pub(super) fn answers_nothing(mut self) -> Self {
        self.answers.insert("204".to_owned(), json!({ "description": "Done" }));
        self
    }

    /// Nothing new, for those who say what they know.
    pub(super) fn answers_unchanged(mut self) -> Self {
        let description = "Nothing new since the entity tag in If-None-Match";
        self.answers.insert("304".to_owned(), json!({ "description": description }));
        self.parameters.push(header("If-None-Match", "The entity tag that is known already"));
        self
    }

    /// Takes a JSON object of this schema.
    pub(super) fn takes(self, schema: &str) -> Self {
        self.takes_as("application/json", reference(schema))
    }

    /// Takes a body of another type.
    pub(super) fn takes_as(mut self, media_type: &str, schema: Value) -> Self {
        self.body = Some(json!({
            "required": true,
            "content": { media_type: { "schema": schema } },
        }));
        self.refuses(&WITH_BODY)
    }

    /// Besides what any operation refuses.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refuses.extend(statuses);
        self
    }

    /// Takes this in the query.
    pub(super) fn asks(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "query", "description": description, "schema": schema,
        }));
        self.refuses(&[400, 422])
    }

    /// In pages of at most so many.
    pub(super) fn paged(self, default: u32, most: u32) -> Self {
        let number =
            json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default });
        self.asks("limit", "At most so many", number).asks(
            "cursor",
            "`next_cursor` of the page before",
            json!({ "type": "string" }),
        )
    }

    /// Answers have an entity tag.
    pub(super) fn tagged(self) -> Self {
        Self { is_tagged: true, ..self }
    }

    /// Takes `If-Match` against lost updates.
    pub(super) fn guarded(mut self) -> Self {
        self.parameters.push(header(
            "If-Match",
            "The entity tag of what is to be changed, or `*`: another one is refused with 412",
        ));
        self.refuses(&[412])
    }

    /// Takes `If-None-Match`, `*` to create only.
    pub(super) fn creates_only(mut self) -> Self {
        self.parameters
            .push(header("If-None-Match", "`*`: refused with 412 if it is there already"));
        self.refuses(&[412])
    }

    /// As the document shows it.
    pub(super) fn described(self) -> Value {
        let Self { method, path, mut answers, refuses, .. } = self;
        if self.is_tagged {
            let tag = json!({ "ETag": { "$ref": "#/components/headers/ETag" } });
            for answer in answers.values_mut() {
                answer["headers"] = tag.clone();
            }
        }
        let public = needed_scope(&method, &format!("/api/v1{path}"));
        for status in refuses.iter().chain(&ALWAYS) {
            let problem = json!({ "$ref": "#/components/responses/Problem" });
            answers.entry(status.to_string()).or_insert(problem);
        }
        let mut described = json!({
            "operationId": self.id,
            "summary": self.summary,
            "description": public,
            "parameters": self.parameters,
            "responses": answers,
        });
        if let Some(body) = self.body {
            described["requestBody"] = body;
        }
        if path == "/session" && method == Method::POST {
            // It is how one gets in.
            described["security"] = json!([]);
        }
        described
    }
}

/// A schema of the document.
pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn header(name: &str, description: &str) -> Value {
    let schema = json!({ "type": "string" });
    json!({ "name": name, "in": "header", "description": description, "schema": schema })
}

/// The names in braces.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameter = |name: &str| {
        let description = match name {
            "key" => {
                "Destination Pattern, percent-encoded (`*` means `.*`), or the route's id. A \
                 pattern that several routes have is answered with 409"
            }
            "domain" => "The domain, as U-labels or A-labels, or the entry as the list shows it",
            "id" => "The token's id, or its name",
            _ => "The name, as the list shows it",
        };
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": description,
            "schema": { "type": "string" },
        })
    };
    names.map(parameter).collect()
}

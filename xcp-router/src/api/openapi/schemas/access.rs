//! The shapes of users, tokens and sessions.

use serde_json::{Value, json};

use super::{Schemas, list, object, time, whole};
use crate::access::Scope;

pub(super) fn all() -> Schemas {
    let text = || json!({ "type": "string" });
    let session = json!({
        "name": text(),
        "role": role(),
        "csrf": { "type": "string", "description": "For the header X-Csrf-Token" },
        "ends": { "type": "string", "format": "date-time", "description": "Unless used before" },
        "must_change_password": {
            "type": "boolean",
            "description": "The password was for one log-in: nothing else is allowed before",
        },
    });
    let user_change = json!({
        "role": role(),
        "password": password(),
        "new_password": { "type": "boolean", "description": "Make one, and tell it this once" },
    });
    let user_create = json!({ "name": name(), "role": role(), "password": password() });
    let token_create = json!({ "name": text(), "scopes": scopes() });
    let (mut new_user, mut new_token) = (whole(user()), whole(token()));
    new_user["properties"]["password"] =
        json!({ "type": "string", "description": "If it was made: for one log-in" });
    new_token["properties"]["secret"] =
        json!({ "type": "string", "description": "What the program shows" });
    vec![
        ("Restored", whole(restored())),
        ("LogIn", object(json!({ "name": text(), "password": text() }), &["name", "password"])),
        ("OwnPassword", object(json!({ "old": text(), "new": password() }), &["old", "new"])),
        ("Session", whole(session)),
        ("User", whole(user())),
        ("NewUser", new_user),
        ("Users", list("User")),
        ("UserCreate", object(user_create, &["name"])),
        ("UserChange", object(user_change, &[])),
        ("Token", whole(token())),
        ("NewToken", new_token),
        ("Tokens", list("Token")),
        ("TokenCreate", object(token_create, &["name", "scopes"])),
    ]
}

/// How many of each the backup had.
fn restored() -> Value {
    let count = || json!({ "type": "integer" });
    json!({
        "routes": count(),
        "blocked_domains": count(),
        "xmpp_domains": count(),
        "sip_domains": count(),
        "sip_domains_removed": { "type": "integer", "description": "That the backup has not" },
        "users": count(),
        "tokens": count(),
    })
}

fn user() -> Value {
    json!({
        "name": name(),
        "role": role(),
        "created": time(),
        "one_time": { "type": "boolean", "description": "The password is for one log-in" },
    })
}

fn token() -> Value {
    json!({
        "id": { "type": "string" },
        "name": { "type": "string" },
        "scopes": scopes(),
        "created": time(),
        "last_used": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "To the hour; null: never",
        },
    })
}

fn name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9._@-]{1,64}$" })
}

fn role() -> Value {
    json!({ "type": "string", "enum": ["viewer", "administrator"], "default": "viewer" })
}

fn password() -> Value {
    json!({ "type": "string", "minLength": 10, "maxLength": 256 })
}

fn scopes() -> Value {
    let all = Scope::ALL.map(Scope::as_str);
    json!({ "type": "array", "minItems": 1, "items": { "type": "string", "enum": all } })
}

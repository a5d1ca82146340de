//! Somebody who logs in and has a session.

use serde_json::{Value, json};

use crate::stage::Stage;

pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// Status and body.
type Answer = (u16, Value);

/// A browser: a cookie and a token against forgery, once it is logged in.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    pub(crate) head: String,
}

impl Browser {
    pub(crate) async fn log_in(stage: &Stage, name: &str, password: &str) -> Result<Self, Answer> {
        let body = json!({ "name": name, "password": password }).to_string();
        let (head, text) = stage.plain("POST", "/api/v1/session", JSON, &body).await;
        let body: Value = serde_json::from_str(&text).unwrap();
        match status(&head) {
            201 => Ok(Self::of(head, &body)),
            status => Err((status, body)),
        }
    }

    pub(crate) fn of(head: String, body: &Value) -> Self {
        let line = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let cookie = line.split(';').next().unwrap().to_owned();
        Self { cookie, csrf: body["csrf"].as_str().unwrap().to_owned(), head }
    }

    pub(crate) async fn call(
        &self,
        stage: &Stage,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let lines = format!("{JSON}Cookie: {}\r\nX-Csrf-Token: {}\r\n", self.cookie, self.csrf);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        answer(stage.plain(method, path, &lines, &body).await)
    }

    pub(crate) async fn get(&self, stage: &Stage, path: &str) -> Answer {
        self.call(stage, "GET", path, Value::Null).await
    }
}

pub(crate) fn answer((head, text): (String, String)) -> Answer {
    (status(&head), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(crate) async fn add_user(stage: &Stage, name: &str, role: &str) -> &'static str {
    let password = "correct horse battery";
    let body = json!({ "name": name, "role": role, "password": password });
    let (status, user) = stage.call("POST", "/api/v1/users", Some(body)).await;
    assert_eq!(status, 201, "{user}");
    assert!(user.get("hash").is_none() && user.get("password").is_none(), "{user}");
    password
}

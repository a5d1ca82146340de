//! An API that plays a script, and the command that is run against it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use openfed::cli::{Cli, Failure};
use serde_json::Value;

/// An API that expects given requests in order and gives the answers that go with them.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<VecDeque<Exchange>>>);

struct Exchange {
    request: (Method, &'static str, Value),
    answer: (u16, Value),
}

impl Script {
    pub(crate) fn expect(
        self,
        method: Method,
        path: &'static str,
        body: Value,
        answer: (u16, Value),
    ) -> Self {
        let exchange = Exchange { request: (method, path, body), answer };
        self.0.lock().unwrap().push_back(exchange);
        self
    }

    pub(crate) fn get(self, path: &'static str, answer: Value) -> Self {
        self.expect(Method::GET, path, Value::Null, (200, answer))
    }

    /// Runs the command against this API; every expected request must have been made.
    pub(crate) async fn run(self, arguments: &[&str]) -> (Result<(), Failure>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let ended = run(&[&["--api", &url], arguments].concat()).await;
        assert!(self.0.lock().unwrap().is_empty(), "not everything was asked");
        ended
    }
}

async fn answer(State(script): State<Script>, method: Method, uri: Uri, body: Bytes) -> Response {
    let exchange = script.0.lock().unwrap().pop_front().expect("a request too many");
    let text = || Value::String(String::from_utf8(body.to_vec()).unwrap());
    let body = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&body).unwrap_or_else(|_| text()),
    };
    let path = uri.path_and_query().unwrap().as_str().to_owned();
    let (expected_method, expected_path, expected_body) = exchange.request;
    assert_eq!((method, path.as_str(), body), (expected_method, expected_path, expected_body));
    let (status, content) = exchange.answer;
    let status = StatusCode::from_u16(status).unwrap();
    match content {
        Value::Null => status.into_response(),
        Value::String(stream) => {
            let kind = match path.as_str() {
                "/api/v1/backup" => "application/x-ndjson",
                path if path.contains("export") => "text/csv",
                _ => "text/event-stream",
            };
            ([(header::CONTENT_TYPE, kind)], stream).into_response()
        }
        content => (status, content.to_string()).into_response(),
    }
}

/// Runs the command line as a process would; gives what was printed, too.
pub(crate) async fn run(arguments: &[&str]) -> (Result<(), Failure>, String) {
    let cli = Cli::try_parse_from([&["openfed"], arguments].concat()).unwrap();
    let errand = move || {
        let mut out = Vec::new();
        let ended = cli.run(&mut out).map(|_| ());
        (ended, String::from_utf8(out).unwrap())
    };
    tokio::task::spawn_blocking(errand).await.unwrap()
}

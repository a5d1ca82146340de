//! The client of the router's HTTP API (`/api/v1`), as small as the API allows: one plain
//! HTTP/1.1 connection per request.

mod address;
mod events;
pub mod model;
mod problem;
mod transfer;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use address::ApiUrl;
pub use events::Events;
pub use problem::{FieldFault, Problem};
pub use transfer::Download;
use transfer::{Content, whole};

use crate::token::Shown;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
const MAX_ANSWER_OCTETS: usize = 64 << 20;
/// Of a list, each of up to a thousand items.
const MAX_PAGES: usize = 1_000;

/// A connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One router's API.
#[derive(Debug, Clone)]
pub struct Api {
    base: ApiUrl,
    shown: Shown,
}

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody answers there, or not in time.
    #[error(
        "no openfed API answers at {url}: {cause}\n\
         Is xcp-router running? Its address is router.http in the settings; name another one \
         with --api."
    )]
    Unreachable {
        /// The base address that was tried.
        url: ApiUrl,
        /// What happened, in the system's words.
        cause: String,
    },
    /// The API understood and said no.
    #[error("{0}")]
    Refused(Problem),
    /// The API does not know who asks, or does not let them.
    #[error("{problem}{}", .hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default())]
    NotAllowed {
        /// What it said.
        problem: Problem,
        /// Why no token was shown.
        hint: Option<String>,
    },
    /// Something answers there, but not openfed.
    #[error("what answers at {url} is not openfed's API: {cause}")]
    NotOurs {
        /// The base address that was asked.
        url: ApiUrl,
        /// What was unexpected.
        cause: String,
    },
}

impl Api {
    /// The API at this address.
    pub fn new(base: impl Into<ApiUrl>) -> Self {
        Self { base: base.into(), shown: Shown::default() }
    }

    /// Shows a token with every request, or tells whoever is refused why none was shown.
    pub(crate) fn showing(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// `GET path`. `path` begins with `/api/v1/`; build its segments with [`segment`].
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call(Method::GET, path, None).await
    }

    /// A whole list, page by page, as one answer. `path` has no query.
    pub async fn list(&self, path: &str) -> Result<Value, ApiError> {
        let mut whole = self.get(path).await?;
        for _ in 0..MAX_PAGES {
            let Some(cursor) = whole["next_cursor"].as_str().map(segment) else { return Ok(whole) };
            let mut page = self.get(&format!("{path}?cursor={cursor}")).await?;
            whole["next_cursor"] = page["next_cursor"].take();
            if let (Some(items), Value::Array(more)) =
                (whole["items"].as_array_mut(), page["items"].take())
            {
                items.extend(more);
            }
        }
        Err(self.not_ours("a list without an end"))
    }

    /// Whether `GET path` is answered with success, whatever the answer says.
    pub async fn agrees(&self, path: &str) -> Result<bool, ApiError> {
        let asked = self.request(Method::GET, path, None, "*/*");
        let response = timeout(ANSWER, asked).await;
        let response = response.unwrap_or_else(|_| Err(self.unreachable("no answer in 30 s")))?;
        Ok(response.status().is_success())
    }

    /// A request with a JSON body; an empty answer is `null`.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(method, path, Some(body)).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.call(Method::DELETE, path, None).await.map(|_| ())
    }

    /// The address by which this machine and the router's see each other.
    pub async fn own_address(&self) -> Result<IpAddr, ApiError> {
        let own = self.connect_tcp().await?.local_addr();
        own.map(|address| address.ip()).map_err(|error| self.unreachable(error))
    }

    /// Reads `answer` as `T`.
    pub fn read<T: DeserializeOwned>(&self, answer: &Value) -> Result<T, ApiError> {
        T::deserialize(answer).map_err(|error| self.not_ours(error))
    }

    /// Opens a stream of server-sent events.
    pub async fn follow(&self, path: &str) -> Result<Events, ApiError> {
        let response = self.request(Method::GET, path, None, "text/event-stream").await?;
        if !response.status().is_success() {
            let answer = self.body(response).await;
            return Err(answer.err().unwrap_or_else(|| self.not_ours("no stream of events")));
        }
        Ok(Events::new(response.into_body()))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let answer = async {
            let content = body.map(|value| (whole(value.to_string()), "application/json"));
            let response = self.request(method, path, content, "application/json").await?;
            self.body(response).await
        };
        timeout(ANSWER, answer).await.unwrap_or_else(|_| Err(self.unreachable("no answer in 30 s")))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        content: Option<(Content, &str)>,
        accept: &str,
    ) -> Result<Response<Incoming>, ApiError> {
        let socket = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| self.unreachable(error))?;
        // The connection ends with its one answer; its error, if any, is that answer's error.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.base.at.to_string())
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, concat!("openfed/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.shown.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let content = match content {
            Some((content, kind)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                content
            }
            None => whole(Bytes::new()),
        };
        let request = request.body(content).map_err(|error| self.not_ours(error))?;
        sender.send_request(request).await.map_err(|error| self.unreachable(error))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ApiError> {
        let socket = self.connect_tcp().await?;
        if !self.base.tls {
            return Ok(Box::new(socket));
        }
        let config = address::client(self.base.own.as_deref());
        let config = config.map_err(|error| self.unreachable(error))?;
        let host = self.base.at.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|error| self.unreachable(error))?;
        let shaken = timeout(CONNECT, TlsConnector::from(config).connect(name, socket)).await;
        let stream = shaken.map_err(|_| self.unreachable("no TLS in 5 s"))?;
        Ok(Box::new(stream.map_err(|error| self.unreachable(error))?))
    }

    async fn connect_tcp(&self) -> Result<TcpStream, ApiError> {
        let at = &self.base.at;
        timeout(CONNECT, TcpStream::connect((at.host.as_str(), at.port)))
            .await
            .map_err(|_| self.unreachable("no connection in 5 s"))?
            .map_err(|error| self.unreachable(error))
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Value, ApiError> {
        let status = response.status();
        let content = Limited::new(response.into_body(), MAX_ANSWER_OCTETS)
            .collect()
            .await
            .map_err(|error| self.unreachable(error))?
            .to_bytes();
        if !status.is_success() {
            let problem = Problem::read(status, &content);
            return Err(match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    ApiError::NotAllowed { problem, hint: self.shown.why_not.clone() }
                }
                _ => ApiError::Refused(problem),
            });
        }
        if content.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&content).map_err(|error| self.not_ours(error))
    }

    fn unreachable(&self, cause: impl ToString) -> ApiError {
        ApiError::Unreachable { url: self.base.clone(), cause: cause.to_string() }
    }

    fn not_ours(&self, cause: impl ToString) -> ApiError {
        ApiError::NotOurs { url: self.base.clone(), cause: cause.to_string() }
    }
}

/// A text as one segment of a path or one value of a query (RFC 3986 §2.3).
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

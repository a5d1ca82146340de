//! As much of an HTTP client as an operator's script needs: one request, one JSON answer.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Failure, Result};

/// The longest time that an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An answer: its status and its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The lines of its head.
    pub head: String,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text)
            .map_err(|error| Failure::new(format!("{error} in {:?}", self.text)))
    }
}

/// The API token of the administrator in every scene.
pub const TOKEN: &str = "openfed_local_of-the-scenes-and-of-nobody-else";

/// Sends a request; `body` goes as JSON.
pub async fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    send(server, (method, path), "", body).await
}

/// Sends a request to openfed, as its administrator.
pub async fn call(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    send(server, (method, path), &format!("Authorization: Bearer {TOKEN}\r\n"), body).await
}

/// Reads a resource of openfed, as its administrator.
pub async fn get(server: SocketAddr, path: &str) -> Result<Answer> {
    call(server, "GET", path, None).await
}

/// Sends a request with these further lines in its head, each with its end.
pub async fn send(
    server: SocketAddr,
    (method, path): (&str, &str),
    lines: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0, so that the answer ends with the connection and comes in one piece.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         {lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all((head + &body).as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = timeout(LIMIT, exchange).await??;
    let (head, text) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| Failure::new(format!("not an HTTP answer: {answer:?}")))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Failure::new(format!("no status in {head:?}")))?;
    Ok(Answer { status, head: head.to_owned(), text: text.to_owned() })
}

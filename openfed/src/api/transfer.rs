//! Bodies that are too large to be held: sent and received as streams.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, header};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::{ANSWER, Api, ApiError};

/// What a request carries.
pub(super) type Content = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is at hand.
pub(super) fn whole(content: impl Into<Bytes>) -> Content {
    Full::new(content.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body that is received piece by piece.
#[derive(Debug)]
pub struct Download(Incoming);

impl Download {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self, api: &Api) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = timeout(ANSWER, self.0.frame()).await;
            match frame.map_err(|_| api.unreachable("the answer did not go on for 30 s"))? {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(api.unreachable(format!("the answer broke off: {error}")));
                }
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }
}

impl Api {
    /// `method path` with what comes by `chunks`. It may take as long as it goes on; who sends nothing
    /// for 30 s hears so from the API, so that longer silence means that nobody is there.
    pub async fn upload(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        chunks: Receiver<io::Result<Bytes>>,
    ) -> Result<Value, ApiError> {
        let taken = Arc::new(AtomicU64::new(0));
        let frames = stream::unfold((chunks, taken.clone()), async |(mut chunks, taken)| {
            let chunk = chunks.recv().await?;
            taken.fetch_add(1, Ordering::Relaxed);
            Some((chunk.map(Frame::data), (chunks, taken)))
        });
        let content = Some((StreamBody::new(frames).boxed_unsync(), content_type));
        let mut answer = pin!(async {
            let response = self.request(method, path, content, "application/json").await?;
            self.body(response).await
        });
        loop {
            let before = taken.load(Ordering::Relaxed);
            match timeout(ANSWER * 2, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) if taken.load(Ordering::Relaxed) == before => {
                    return Err(self.unreachable("no answer in 60 s"));
                }
                Err(_) => {}
            }
        }
    }

    /// `GET path`, whatever its size, if it is of this type.
    pub async fn download(&self, path: &str, media_type: &str) -> Result<Download, ApiError> {
        let response = self.request(Method::GET, path, None, media_type).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let is_it = kind.is_some_and(|kind| kind.starts_with(media_type));
        if response.status().is_success() && is_it {
            return Ok(Download(response.into_body()));
        }
        let answer = self.body(response).await;
        Err(answer.err().unwrap_or_else(|| self.not_ours(format!("no {media_type}"))))
    }
}

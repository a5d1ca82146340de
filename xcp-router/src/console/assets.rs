//! Style sheet, script and picture of the console, which a browser keeps and asks about.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Console;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Changes with the bytes.
    tag: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("console.css", "text/css", include_bytes!("../../assets/console.css")),
        asset("console.js", "text/javascript", include_bytes!("../../assets/console.js")),
        asset("icon.svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")),
    ]
});

fn asset(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    // No secret and no signature: it only has to differ from one release to the next.
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Asset { name, kind, bytes, tag: format!("\"{:016x}\"", hasher.finish()) }
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/assets/{name}", get(serve))
}

async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A browser asks each time, so that a new release is seen at once.
    let about = [(header::ETAG, asset.tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == asset.tag)) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let kind = format!("{}; charset=utf-8", asset.kind);
    (about, [(header::CONTENT_TYPE, kind)], asset.bytes).into_response()
}

//! What stands before all of this router's HTTP: who is it, may they, and how often.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::StreamExt;
use openfed_node::http::Peer;

use super::login::Session;
use super::permission::{Need, need};
use super::{Access, Actor};
use crate::api::Problem;

/// The longest form that a page sends.
const FORM: usize = 64 * 1024;
/// How long a form may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an endless answer is looked at: whether it may still be given.
const LOOK: Duration = Duration::from_secs(15);

/// Nothing comes from elsewhere, nothing runs but our own scripts, nobody frames us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'";

/// Who a request is from, as far as it says so rightly.
struct Known {
    actor: Actor,
    /// None for a token.
    session: Option<Session>,
    must_change: bool,
}

/// Whether the password of a session's user is a one-time one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneTime(pub(crate) bool);

/// Puts the gate before `routes`.
pub(crate) fn guard(access: &Access, routes: Router) -> Router {
    routes.layer(from_fn_with_state(access.clone(), gate))
}

async fn gate(State(access): State<Access>, request: Request, next: Next) -> Response {
    let is_asset = request.uri().path().starts_with("/assets/");
    let secure = access.0.secure;
    let proxied = request.headers().get("x-forwarded-proto").is_some_and(|by| by == "https");
    let mut response = match admit(&access, request).await {
        Ok((request, known)) => until_lapsed(access, known, next.run(request).await),
        Err(response) => *response,
    };
    harden(response.headers_mut(), is_asset, secure);
    if proxied && !secure {
        only_by_tls(response.headers_mut());
    }
    response
}

/// A proxy speaks TLS for us: what the browser keeps is for TLS alone.
fn only_by_tls(headers: &mut HeaderMap) {
    if let Some(cookie) = headers.get_mut(header::SET_COOKIE)
        && let Ok(secure) = HeaderValue::from_bytes(&[cookie.as_bytes(), b"; Secure"].concat())
    {
        *cookie = secure;
    }
}

/// The request with what handlers want to know of its sender; or the answer.
async fn admit(
    access: &Access,
    mut request: Request,
) -> Result<(Request, Option<Known>), Box<Response>> {
    let needed = need(request.method(), request.uri().path());
    if needed == Need::Nothing {
        if is_foreign(&request) {
            return Err(forged());
        }
        return Ok((request, None));
    }
    let source = peer(&request);
    let Some(known) = identify(access, request.headers()).await? else {
        let rate = access.0.rates.stranger(source, Instant::now());
        return Err(rate.err().map_or_else(|| nobody(&request), too_many));
    };
    access.0.rates.actor(&known.actor.name, Instant::now()).map_err(too_many)?;
    if !known.actor.may(needed) {
        return Err(refused(
            "You may not do this",
            "It needs an administrator, or a token's scope.",
        ));
    }
    if known.must_change && needed != Need::Session {
        return Err(must_change(&request));
    }
    if let Some(session) = &known.session {
        if is_foreign(&request) {
            return Err(forged());
        }
        request = authentic(request, session).await?;
        request.extensions_mut().insert(session.clone());
        request.extensions_mut().insert(OneTime(known.must_change));
    }
    request.extensions_mut().insert(known.actor.clone());
    Ok((request, Some(known)))
}

async fn identify(access: &Access, headers: &HeaderMap) -> Result<Option<Known>, Box<Response>> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(authorization) = text(header::AUTHORIZATION) {
        let (scheme, secret) = authorization.split_once(' ').unwrap_or_default();
        let actor = scheme.eq_ignore_ascii_case("bearer").then(|| access.bearer(secret.trim()));
        return Ok(actor.flatten().map(|actor| Known { actor, session: None, must_change: false }));
    }
    let Some(cookies) = text(header::COOKIE) else { return Ok(None) };
    let found = access.session(cookies).await;
    let found = found.map_err(|error| Box::new(Problem::from(error).into_response()))?;
    Ok(found.map(|(session, actor, must_change)| Known {
        actor,
        session: Some(session),
        must_change,
    }))
}

/// A change that a session asks for shows the session's token, in a header or in its form.
async fn authentic(request: Request, session: &Session) -> Result<Request, Box<Response>> {
    if is_safe(request.method()) {
        return Ok(request);
    }
    if let Some(shown) = request.headers().get("x-csrf-token") {
        return if shown == session.csrf() { Ok(request) } else { Err(forged()) };
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Err(forged());
    }
    let (parts, body) = request.into_parts();
    let problem = |status, title| Box::new(Problem::new(status, title).into_response());
    let form = tokio::time::timeout(PATIENCE, to_bytes(body, FORM)).await;
    let form = form.map_err(|_| problem(StatusCode::REQUEST_TIMEOUT, "The form did not come"))?;
    let form = form.map_err(|_| problem(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large"))?;
    // The token is hexadecimal: nothing in it is ever encoded.
    let field = format!("csrf={}", session.csrf());
    if !form.split(|byte| *byte == b'&').any(|pair| pair == field.as_bytes()) {
        return Err(forged());
    }
    Ok(Request::from_parts(parts, Body::from(form)))
}

fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether a browser says that a page of somebody else sends this change.
fn is_foreign(request: &Request) -> bool {
    if is_safe(request.method()) {
        return false;
    }
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = text("origin") else { return false };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    Some(host) != text("host")
}

fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(address)| address.ip())
}

fn wants_page(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok());
    is_safe(request.method())
        && !request.uri().path().starts_with("/api/")
        && accepts.is_some_and(|kinds| kinds.contains("text/html"))
}

fn nobody(request: &Request) -> Box<Response> {
    if wants_page(request) {
        return Box::new(Redirect::to("/login").into_response());
    }
    let detail = "Show an API token (Authorization: Bearer …), or log in at /api/v1/session.";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "Nobody is logged in").detail(detail);
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"openfed\"")];
    Box::new((challenge, problem).into_response())
}

fn must_change(request: &Request) -> Box<Response> {
    if wants_page(request) {
        return Box::new(Redirect::to("/login/password").into_response());
    }
    let detail = "The password was for one log-in: PUT /api/v1/session/password.";
    refused("The password must be changed first", detail)
}

fn forged() -> Box<Response> {
    let detail = "A session's change shows its token: header x-csrf-token, or form field csrf.";
    refused("The request does not come from our own pages", detail)
}

fn refused(title: &'static str, detail: &str) -> Box<Response> {
    Box::new(Problem::new(StatusCode::FORBIDDEN, title).detail(detail).into_response())
}

fn too_many(wait: Duration) -> Box<Response> {
    let title = "Too many requests";
    Box::new(Problem::new(StatusCode::TOO_MANY_REQUESTS, title).retry_after(wait).into_response())
}

/// An endless answer ends with the right to have it.
fn until_lapsed(access: Access, known: Option<Known>, response: Response) -> Response {
    let endless = HeaderValue::from_static("text/event-stream");
    let Some(known) = known else { return response };
    if response.headers().get(header::CONTENT_TYPE) != Some(&endless) {
        return response;
    }
    let lapsed = Box::pin(async move { access.lapsed(&known, LOOK).await });
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(lapsed)))
}

impl Access {
    /// Returns when the actor is none any more; the store is asked every so often.
    async fn lapsed(&self, known: &Known, every: Duration) {
        let mut applied = self.0.catalogue.watch();
        // Changes do not put it off: a busy router looks as often as a quiet one.
        let mut look = tokio::time::interval(every);
        look.tick().await;
        loop {
            let thoroughly = tokio::select! {
                _ = look.tick() => true,
                Ok(()) = applied.changed() => false,
            };
            if !self.may_still(known, thoroughly).await {
                return;
            }
        }
    }

    /// Whether the actor is still one: by what is known here, or by the store, too.
    async fn may_still(&self, known: &Known, thoroughly: bool) -> bool {
        match &known.session {
            Some(session) if thoroughly => self.goes_on(session).await,
            Some(session) => self.owner(session).is_some(),
            None => self.has_token(&known.actor),
        }
    }
}

fn harden(headers: &mut HeaderMap, is_asset: bool, secure: bool) {
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    if secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if !is_asset {
        set(header::CACHE_CONTROL, "no-store");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openfed_node::settings::{Settings, StoreUrl};
    use openfed_node::store::{self, Token, User};

    use super::*;
    use crate::access::permission::Scope;
    use crate::access::token::mint;
    use crate::catalogue::Catalogue;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn policy(headers: &HeaderMap) -> Vec<&str> {
        headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().split("; ").collect()
    }

    #[test]
    fn pages_run_our_own_scripts_alone_and_are_framed_by_nobody() {
        let mut headers = HeaderMap::new();
        harden(&mut headers, false, false);
        let expected = [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ];
        assert_eq!(policy(&headers), expected);
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
        harden(&mut headers, false, true);
        assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    }

    #[tokio::test]
    async fn an_endless_answer_outlives_neither_its_session_nor_its_token() {
        let directory = tempfile::tempdir().unwrap();
        let store =
            store::open(&StoreUrl::Embedded(directory.path().join("store")), None).await.unwrap();
        let catalogue = Arc::new(Catalogue::default());
        let access = Access::new(&Settings::default(), store, catalogue.clone(), None);
        let user = User {
            name: "ada".into(),
            hash: access.hash("correct horse").await.unwrap(),
            role: "viewer".into(),
            created: 0,
            epoch: "1".into(),
            one_time: false,
            version: 1,
        };
        let (token, _): (Token, _) = mint("ci".into(), &[Scope::Read]);
        catalogue.take_accounts(vec![user.clone()], vec![token]);
        let new = access.log_in("ada", "correct horse", HERE).await.unwrap();
        let (actor, session) = (new.actor.clone(), Some(new.session.clone()));
        let of_user = Known { actor, session, must_change: false };
        let actor = Actor { name: "token:ci".into(), ..new.actor };
        let of_token = Known { actor, session: None, must_change: false };
        for known in [&of_user, &of_token] {
            assert!(access.may_still(known, false).await && access.may_still(known, true).await);
        }
        access.log_out(&new.session).await.unwrap();
        assert!(!access.may_still(&of_user, true).await);
        // That is found out also while the tables change all the time.
        let changes = async {
            loop {
                catalogue.announce();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = access.lapsed(&of_user, Duration::from_millis(50)) => {}
            () = changes => {}
            () = tokio::time::sleep(Duration::from_secs(10)) => panic!("it goes on"),
        }
        catalogue.take_accounts(Vec::new(), Vec::new());
        for known in [&of_user, &of_token] {
            assert!(!access.may_still(known, false).await);
        }
    }
}

//! What a ChromeDriver understands beyond W3C WebDriver: one path below the session, one body.

use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use url::{ParseError, Url};

#[derive(Debug)]
pub(super) struct ToDriver {
    pub(super) path: &'static str,
    pub(super) body: String,
}

impl WebDriverCompatibleCommand for ToDriver {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.clone()))
    }
}

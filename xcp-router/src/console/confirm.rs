//! The page between an operator's wish and its effect: what will happen, in sentences.

use askama::Template;

use super::frame::Frame;

#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) frame: Frame,
    /// Go along unseen.
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) sentences: Vec<String>,
    pub(super) warning: Option<String>,
    pub(super) button: &'static str,
    /// Whether something is taken away.
    pub(super) danger: bool,
    /// Where to go instead.
    pub(super) back: String,
}

//! The elements of dialback (XEP-0220 §2.1): what they say, and how they are written.

use minidom::Element;

use super::pairs::Written;
use super::{Name, StanzaCondition, Verdict};
use crate::stanza::set;
use crate::xml::ns;

pub(super) fn key_of(element: &Element) -> String {
    element.text().trim().to_owned()
}

/// `Ok(None)` for a question, `Err` for a type that does not exist.
pub(super) fn read_verdict(element: &Element) -> Result<Option<Verdict>, ()> {
    match element.attr("type") {
        None => Ok(None),
        Some("valid") => Ok(Some(Verdict::Valid)),
        Some("invalid") => Ok(Some(Verdict::Invalid)),
        Some("error") => Ok(Some(Verdict::Error(read_condition(element)))),
        Some(_) => Err(()),
    }
}

fn read_condition(element: &Element) -> StanzaCondition {
    let error = element.children().find(|child| child.name() == "error");
    error
        .into_iter()
        .flat_map(Element::children)
        .filter(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text")
        .find_map(|child| StanzaCondition::try_from(child.clone()).ok())
        .unwrap_or(StanzaCondition::UndefinedCondition)
}

pub(super) fn addressed(name: &str, from: &Name, to: &Name) -> Element {
    let mut element = Element::bare(name, ns::DIALBACK);
    set(&mut element, "from", &from.own());
    set(&mut element, "to", &to.written());
    element
}

/// The names as the element writes them.
pub(super) fn written(element: &Element) -> Written {
    ["from", "to"].map(|name| element.attr(name).unwrap_or_default().to_owned())
}

/// An answer to whoever wrote the names so.
pub(super) fn answered(name: &str, [from, to]: &Written) -> Element {
    let mut element = Element::bare(name, ns::DIALBACK);
    set(&mut element, "from", to);
    set(&mut element, "to", from);
    element
}

pub(super) fn with_verdict(mut element: Element, verdict: &Verdict) -> Element {
    match verdict {
        Verdict::Valid => set(&mut element, "type", "valid"),
        Verdict::Invalid => set(&mut element, "type", "invalid"),
        Verdict::Error(condition) => {
            set(&mut element, "type", "error");
            let mut error = Element::bare("error", ns::CLIENT);
            set(&mut error, "type", "cancel");
            error.append_child(condition.clone().into());
            element.append_child(error);
        }
    }
    element
}

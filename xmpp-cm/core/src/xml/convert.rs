//! Stanzas between `jabber:server`, as written on the wire, and `jabber:client`, to which
//! `xmpp-parsers` binds its types.

use minidom::{Element, Node};

use super::ns;

/// The stanza in `jabber:client`. Free when it is already.
pub fn to_client(element: Element) -> Element {
    rename(element, ns::SERVER, ns::CLIENT)
}

/// The stanza in `jabber:server`. Free when it is already.
pub fn to_server(element: Element) -> Element {
    rename(element, ns::CLIENT, ns::SERVER)
}

/// Renames the top-level element and those that hang on it through elements of the same
/// namespace; everything else moves over untouched.
fn rename(mut element: Element, from: &str, to: &str) -> Element {
    if !element.has_ns(from) {
        return element;
    }
    let mut renamed = Element::bare(element.name(), to);
    std::mem::swap(renamed.attrs_mut(), element.attrs_mut());
    for node in element.take_nodes() {
        renamed.append_node(match node {
            Node::Element(child) => Node::Element(rename(child, from, to)),
            text => text,
        });
    }
    renamed
}

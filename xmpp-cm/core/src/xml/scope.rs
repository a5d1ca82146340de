//! Which prefix means which namespace, for the elements that are open (Namespaces in XML §6).

use rxml::{Namespace, NcName, XMLNS_XML};

/// More declarations in force at once than any stanza needs; bounds the cost of a look-up.
const MAX_BINDINGS: usize = 256;

/// Why a declaration or a prefix was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScopeError {
    Undeclared,
    Duplicate,
    TooMany,
}

#[derive(Debug)]
struct Binding {
    /// `None` is the default namespace.
    prefix: Option<NcName>,
    namespace: Namespace<'static>,
}

/// The declarations in force, innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    bindings: Vec<Binding>,
    /// For every open element, how many bindings stood before its own.
    marks: Vec<usize>,
}

impl Scopes {
    /// Enters an element; its declarations follow.
    pub(super) fn open(&mut self) {
        self.marks.push(self.bindings.len());
    }

    /// Leaves the innermost element.
    pub(super) fn close(&mut self) {
        let mark = self.marks.pop().unwrap_or(0);
        self.bindings.truncate(mark);
    }

    /// Adds a declaration to the innermost element.
    pub(super) fn declare(
        &mut self,
        prefix: Option<NcName>,
        uri: String,
    ) -> Result<(), ScopeError> {
        let own = self.marks.last().copied().unwrap_or(0);
        if self.bindings.len() >= MAX_BINDINGS {
            return Err(ScopeError::TooMany);
        }
        if self.bindings.iter().skip(own).any(|known| known.prefix == prefix) {
            return Err(ScopeError::Duplicate);
        }
        let namespace = Namespace::try_share_static(&uri).unwrap_or_else(|| Namespace::from(uri));
        self.bindings.push(Binding { prefix, namespace });
        Ok(())
    }

    /// The namespace of an element name.
    pub(super) fn element(
        &self,
        prefix: Option<&NcName>,
    ) -> Result<Namespace<'static>, ScopeError> {
        if prefix.is_some_and(|prefix| prefix == "xml") {
            return Ok(Namespace::XML);
        }
        match self.bindings.iter().rev().find(|known| known.prefix.as_ref() == prefix) {
            Some(known) => Ok(known.namespace.clone()),
            None if prefix.is_none() => Ok(Namespace::NONE),
            None => Err(ScopeError::Undeclared),
        }
    }

    /// The namespace of an attribute name: without a prefix it has none.
    pub(super) fn attribute(
        &self,
        prefix: Option<&NcName>,
    ) -> Result<Namespace<'static>, ScopeError> {
        match prefix {
            None => Ok(Namespace::NONE),
            Some(_) => self.element(prefix),
        }
    }

    /// The default namespace in force.
    pub(super) fn default_namespace(&self) -> Namespace<'static> {
        self.element(None).unwrap_or(Namespace::NONE)
    }
}

/// Whether an attribute is a namespace declaration, and for which prefix.
pub(super) fn declared_prefix(prefix: Option<&NcName>, local: &NcName) -> Option<Option<NcName>> {
    match prefix {
        Some(prefix) if prefix == "xmlns" => Some(Some(local.clone())),
        None if local == "xmlns" => Some(None),
        _ => None,
    }
}

/// `xmlns:xml` may be declared, with its one right value; it changes nothing.
pub(super) fn is_xml_itself(prefix: Option<&NcName>, uri: &str) -> bool {
    prefix.is_some_and(|prefix| prefix == "xml") && uri == XMLNS_XML
}

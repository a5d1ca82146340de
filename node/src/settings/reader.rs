//! Reads typed keys out of a TOML document and its environment overrides, collecting every fault
//! instead of stopping at the first one. A key that nobody asked for is a fault, too: each
//! [`Section`] reports its leftovers when it is dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::SettingsError;
use super::value::{Kind, Value};

const ENV_PREFIX: &str = "OPENFED__";

/// The sources of one load, and the faults found so far.
pub(super) struct Reader<'a> {
    file: Option<&'a Path>,
    text: &'a str,
    env: BTreeMap<String, (String, String)>,
    env_used: RefCell<BTreeSet<String>>,
    errors: RefCell<Vec<SettingsError>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        file: Option<&'a Path>,
        text: &'a str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let env = env
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(ENV_PREFIX)?.to_lowercase().replace("__", ".");
                Some((key, (name, value)))
            })
            .collect();
        Self { file, text, env, env_used: RefCell::default(), errors: RefCell::default() }
    }

    pub(super) fn root(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section::new(self, String::new(), Some(table), None)
    }

    /// The faults; with `complete`, every environment override must have been somebody's key.
    pub(super) fn into_errors(self, complete: bool) -> Vec<SettingsError> {
        let mut errors = self.errors.take();
        errors.sort_by_key(|error| error.line.unwrap_or(usize::MAX));
        if !complete {
            return errors;
        }
        let used = self.env_used.borrow();
        for (name, _) in
            self.env.iter().filter(|(key, _)| !used.contains(*key)).map(|(_, entry)| entry)
        {
            let message = "no such setting (lists of tables can only be set in the file)".into();
            errors.push(SettingsError { file: None, line: None, key: name.clone(), message });
        }
        errors
    }

    pub(super) fn fault(&self, span: Option<Range<usize>>, key: &str, message: impl Into<String>) {
        let line = span.map(|span| 1 + self.text[..span.start].matches('\n').count());
        self.errors.borrow_mut().push(SettingsError {
            file: line.and(self.file).map(Path::to_owned),
            line,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    fn env(&self, key: &str) -> Option<(&str, &str)> {
        let (name, value) = self.env.get(key)?;
        self.env_used.borrow_mut().insert(key.to_owned());
        Some((name, value))
    }
}

/// One table of the document together with the overrides of its keys.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    path: String,
    table: Option<&'a DeTable<'a>>,
    /// Where the table stands, for what is missing in it.
    span: Option<Range<usize>>,
    seen: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    fn new(
        reader: &'a Reader<'a>,
        path: String,
        table: Option<&'a DeTable<'a>>,
        span: Option<Range<usize>>,
    ) -> Self {
        Self { reader, path, table, span, seen: BTreeSet::new() }
    }

    /// The value of `key`, or `default` when it is absent or wrong.
    pub(super) fn value<T: Value>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// Like [`Section::value`]; an absent key and an empty text both mean "not set".
    pub(super) fn optional<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let full = self.key(key);
        let from_file = self.take(key);
        if let Some((name, text)) = self.reader.env(&full) {
            return self.parse(text, None, name);
        }
        let value = from_file?;
        let text = self.scalar::<T>(value, &full)?;
        self.parse(&text, Some(value.span()), &full)
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let value = self.value(key, default);
        if range.contains(&value) {
            return value;
        }
        self.fault(key, format!("{value} is not between {} and {}", range.start(), range.end()));
        default
    }

    /// A list; in the environment its items are separated by commas.
    pub(super) fn list<T: Value>(&mut self, key: &'static str, default: Vec<T>) -> Vec<T> {
        let full = self.key(key);
        let from_file = self.take(key);
        if let Some((name, text)) = self.reader.env(&full) {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            return items.filter_map(|item| self.parse(item, None, name)).collect();
        }
        let Some(value) = from_file else { return default };
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("expected a list, found {}", value.get_ref().type_str());
            self.reader.fault(Some(value.span()), &full, message);
            return default;
        };
        let parse_item = |item: &'a Spanned<DeValue<'a>>| {
            let text = self.scalar::<T>(item, &full)?;
            self.parse(&text, Some(item.span()), &full)
        };
        items.iter().filter_map(parse_item).collect()
    }

    /// A list that says something else by being empty than by not being there.
    pub(super) fn optional_list<T: Value>(&mut self, key: &'static str) -> Option<Vec<T>> {
        self.says(key).then(|| self.list(key, Vec::new()))
    }

    /// The table `key`, empty if absent.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.key(key);
        let value = self.take(key);
        let table = value.and_then(|value| self.table(value, &path));
        Section::new(self.reader, path, table, value.map(Spanned::span))
    }

    /// The table `key` if the file or the environment says anything in it.
    pub(super) fn optional_section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let prefix = format!("{}.", self.key(key));
        let in_env = self.reader.env.keys().any(|name| name.starts_with(&prefix));
        let section = self.section(key);
        (in_env || section.table.is_some()).then_some(section)
    }

    /// The tables of the list of tables `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let path = self.key(key);
        let Some(value) = self.take(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.reader.fault(Some(value.span()), &path, format!("write [[{path}]], two brackets"));
            return Vec::new();
        };
        let section = |item: &'a Spanned<DeValue<'a>>| {
            let table = self.table(item, &path)?;
            Some(Section::new(self.reader, path.clone(), Some(table), Some(item.span())))
        };
        items.iter().filter_map(section).collect()
    }

    /// Whether the file or the environment has `key`.
    pub(super) fn says(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
            || self.reader.env.contains_key(&self.key(key))
    }

    /// Reports a fault of `key`, at its place in the file or, if it is missing, at its table's.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        let span = self.table.and_then(|table| table.get(key)).map(Spanned::span);
        self.reader.fault(span.or(self.span.clone()), &self.key(key), message);
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.seen.insert(key);
        self.table?.get(key)
    }

    fn table(&self, value: &'a Spanned<DeValue<'a>>, key: &str) -> Option<&'a DeTable<'a>> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("expected a table, found {}", value.get_ref().type_str());
            self.reader.fault(Some(value.span()), key, message);
            return None;
        };
        Some(table)
    }

    fn scalar<T: Value>(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Option<String> {
        let (kind, text) = match value.get_ref() {
            DeValue::String(text) => (Kind::Text, text.to_string()),
            DeValue::Integer(number) => (Kind::Integer, number.to_string()),
            DeValue::Float(number) => (Kind::Float, number.to_string()),
            DeValue::Boolean(flag) => (Kind::Boolean, flag.to_string()),
            other => (Kind::Other, other.type_str().to_owned()),
        };
        if kind == T::KIND || (kind == Kind::Integer && T::KIND == Kind::Float) {
            return Some(text);
        }
        let message = format!("expected {}, found {}", T::EXPECTED, value.get_ref().type_str());
        self.reader.fault(Some(value.span()), key, message);
        None
    }

    fn parse<T: Value>(&self, text: &str, span: Option<Range<usize>>, key: &str) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        T::parse(text).map_err(|message| self.reader.fault(span, key, message)).ok()
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let Some(table) = self.table else { return };
        for (name, _) in
            table.iter().filter(|(name, _)| !self.seen.contains(name.get_ref().as_ref()))
        {
            self.reader.fault(Some(name.span()), &self.key(name.get_ref()), "no such setting");
        }
    }
}

//! The metrics that the services export, read from where they are counted, and those that an
//! expression of Prometheus asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use openfed_tests::{Failure, Result};

use crate::{root, text};

/// Labels that Prometheus itself gives to whatever it reads, or makes of it.
pub(crate) const GIVEN: [&str; 5] = ["job", "instance", "namespace", "pod", "le"];
/// Series that Prometheus makes itself.
const MADE: [&str; 2] = ["up", "ALERTS"];

/// What the services export.
pub(crate) struct Exported {
    /// The labels of each series.
    pub(crate) series: BTreeMap<String, BTreeSet<String>>,
    /// All short texts in the code: among them, the values that labels take.
    texts: BTreeSet<String>,
}

impl Exported {
    /// Finds every `counter!`, `gauge!` and `histogram!` in the services.
    pub(crate) fn read() -> Result<Self> {
        let mut own = Self { series: BTreeMap::new(), texts: BTreeSet::new() };
        for part in ["node", "proto", "sip-cm", "xmpp-cm", "xcp-router", "openfed"] {
            for file in sources(&root().join(part))? {
                let code = text(&file)?;
                let code = code.split("\nmod tests {").next().unwrap_or_default();
                own.texts.extend(code.split('"').map(str::to_owned));
                for (kind, suffixes) in [
                    ("counter!(", &[""][..]),
                    ("gauge!(", &[""]),
                    ("histogram!(", &["_bucket", "_sum", "_count"]),
                ] {
                    let mut calls = code.split(kind);
                    calls.next();
                    calls.for_each(|call| own.add(call, suffixes));
                }
            }
        }
        Ok(own)
    }

    /// `call` begins with the arguments of a macro: a name, then `"label" => value` each.
    fn add(&mut self, call: &str, suffixes: &[&str]) {
        let arguments = call.split(".increment(").next().unwrap_or_default();
        let arguments = arguments.split([';', '}']).next().unwrap_or_default();
        let mut quoted = arguments.split('"');
        let (before, name) = (quoted.next(), quoted.next());
        assert_eq!(before.map(str::trim), Some(""), "a metric's name is a literal: {arguments}");
        let name = name.unwrap_or_default();
        let labels = arguments.split("\" =>").collect::<Vec<_>>();
        let labels = labels.iter().rev().skip(1).filter_map(|before| before.rsplit('"').next());
        for suffix in suffixes {
            let own = self.series.entry(format!("{name}{suffix}")).or_default();
            own.extend(labels.clone().map(str::to_owned));
        }
    }

    /// Whether all that an expression asks for is exported, under the labels that it names.
    ///
    /// # Errors
    /// What is not.
    pub(crate) fn answers(&self, expression: &str) -> Result<Vec<Selector>> {
        let fault = |what: String| Err(Failure::new(format!("{what}, asked for in: {expression}")));
        let (selectors, grouped) = read(expression);
        if selectors.is_empty() {
            return fault("nothing".into());
        }
        for Selector { name, matchers } in &selectors {
            let made = MADE.contains(&name.as_str());
            let Some(labels) = self.series.get(name) else {
                if made {
                    continue;
                }
                return fault(format!("no service exports {name}"));
            };
            for (label, operator, value) in matchers {
                if GIVEN.contains(&label.as_str()) {
                    continue;
                }
                if !labels.contains(label) {
                    return fault(format!("{name} has no label {label}"));
                }
                let values: Vec<_> = match operator.as_str() {
                    "=" | "!=" => vec![value.as_str()],
                    _ => value.split('|').collect(),
                };
                let unknown = values.iter().find(|value| !self.texts.contains(**value));
                if let Some(value) = unknown {
                    return fault(format!("{label} of {name} is never {value}"));
                }
            }
        }
        match grouped.iter().find(|label| !self.is_label(label)) {
            Some(label) => fault(format!("nothing has the label {label}")),
            None => Ok(selectors),
        }
    }

    /// Whether any series has this label.
    pub(crate) fn is_label(&self, label: &str) -> bool {
        GIVEN.contains(&label) || self.series.values().any(|labels| labels.contains(label))
    }
}

/// The sources below a crate's `src` (and its core's), without tests.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "benches", "target"].contains(&name.as_str()) {
            found.extend(sources(&path)?);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    Ok(found)
}

/// A series that an expression asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    /// Label, operator and value.
    matchers: Vec<(String, String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if is_word(first) {
            rest.find(|sign| !is_word(sign)).unwrap_or(rest.len())
        } else {
            let signs = rest.find(|sign: char| !"=!~<>".contains(sign)).unwrap_or(rest.len());
            signs.max(first.len_utf8())
        };
        let (token, after) = rest.split_at(length);
        tokens.push(match first {
            '"' => Token::Text(token.trim_matches('"').to_owned()),
            _ if is_word(first) => Token::Word(token.to_owned()),
            _ => Token::Sign(token.to_owned()),
        });
        rest = after.trim_start();
    }
    tokens
}

fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "_:.".contains(sign)
}

/// The series of an expression, and the labels by which it groups.
fn read(expression: &str) -> (Vec<Selector>, Vec<String>) {
    const OPERATORS: [&str; 4] = ["and", "or", "unless", "bool"];
    const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    let (mut selectors, mut grouped) = (Vec::new(), Vec::new());
    let all = tokens(expression);
    let sign = |at: usize, sign: &str| all.get(at) == Some(&Token::Sign(sign.into()));
    let words = |from: usize, end: &str| {
        let inside = all[from..].iter().take_while(|token| **token != Token::Sign(end.into()));
        inside.cloned().collect::<Vec<_>>()
    };
    let mut at = 0;
    while let Some(token) = all.get(at) {
        at += 1;
        match token {
            Token::Word(word) if GROUPING.contains(&word.as_str()) => {
                let inside = words(at + 1, ")");
                at += inside.len() + 2;
                grouped.extend(inside.into_iter().filter_map(|token| match token {
                    Token::Word(label) => Some(label),
                    _ => None,
                }));
            }
            Token::Word(word) => {
                let number = word.starts_with(|first: char| first.is_ascii_digit());
                let operator = OPERATORS.contains(&word.as_str());
                let groups = matches!(all.get(at), Some(Token::Word(next)) if GROUPING.contains(&next.as_str()));
                if number || operator || groups || sign(at, "(") {
                    continue;
                }
                let mut matchers = Vec::new();
                if sign(at, "{") {
                    let inside = words(at + 1, "}");
                    at += inside.len() + 2;
                    matchers = inside
                        .split(|token| *token == Token::Sign(",".into()))
                        .map(matcher)
                        .collect();
                }
                selectors.push(Selector { name: word.clone(), matchers });
            }
            Token::Sign(open) if open == "[" => at += words(at, "]").len() + 1,
            Token::Text(_) | Token::Sign(_) => {}
        }
    }
    (selectors, grouped)
}

fn matcher(tokens: &[Token]) -> (String, String, String) {
    match tokens {
        [Token::Word(label), Token::Sign(operator), Token::Text(value)] => {
            (label.clone(), operator.clone(), value.clone())
        }
        other => panic!("not a matcher: {other:?}"),
    }
}

#[test]
fn expressions_are_understood() {
    let (selectors, grouped) = read(
        r#"sum by (le, stage) (rate(a_bucket{x="1",y=~"2|3"}[5m])) / on (job) b > 0.5 unless up == 1e3"#,
    );
    let matcher = |label: &str, operator: &str, value: &str| {
        (label.to_owned(), operator.to_owned(), value.to_owned())
    };
    let named = |name: &str, matchers| Selector { name: name.into(), matchers };
    let first = named("a_bucket", vec![matcher("x", "=", "1"), matcher("y", "=~", "2|3")]);
    assert_eq!(selectors, [first, named("b", vec![]), named("up", vec![])]);
    assert_eq!(grouped, ["le", "stage", "job"]);
}

#[test]
fn what_nobody_exports_is_found() -> Result<()> {
    let exported = Exported::read()?;
    for good in [
        r#"rate(openfed_sip_stages_total{stage="sip.receive",result!="ok"}[1m])"#,
        r#"sum by (decision, le) (openfed_router_packet_seconds_bucket) / process_open_fds"#,
    ] {
        exported.answers(good)?;
    }
    for (bad, fault) in [
        ("openfed_sip_stage_total", "no service exports openfed_sip_stage_total"),
        ("openfed_router_packet_seconds", "no service exports"),
        (r#"openfed_links{peer="x"}"#, "openfed_links has no label peer"),
        (r#"openfed_sip_open{kind="requests of none"}"#, "kind of openfed_sip_open is never"),
        ("sum by (state) (openfed_links)", "nothing has the label state"),
        ("vector(0)", "nothing, asked for"),
    ] {
        let found = format!("{:?}", exported.answers(bad).expect_err(bad));
        assert!(found.contains(fault), "{bad}: {found}");
    }
    Ok(())
}

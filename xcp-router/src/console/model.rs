//! What the API answers, as the pages need it.

use serde::Deserialize;

use crate::api::time::rfc3339;

/// A list, or one page of it.
#[derive(Debug, Deserialize)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
    #[serde(default)]
    pub(super) total: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Route {
    pub(super) id: u32,
    pub(super) pattern: String,
    pub(super) description: String,
    pub(super) next_hop: String,
    pub(super) port: u16,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) protocol: String,
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) allow_less_specific: bool,
    pub(super) in_service: bool,
    pub(super) blocked: bool,
    pub(super) predefined: bool,
    pub(super) credentials: Option<Credentials>,
    pub(super) version: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Credentials {
    pub(super) username: String,
}

/// How a route stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Blocked,
    OutOfService,
}

impl Route {
    pub(super) fn state(&self) -> State {
        match (self.blocked, self.in_service && !self.next_hop.is_empty()) {
            (true, _) => State::Blocked,
            (false, false) => State::OutOfService,
            (false, true) => State::Open,
        }
    }

    /// What follows the next hop where it is named.
    pub(super) fn port_words(&self) -> String {
        if self.port == 0 { " (by SRV)".to_owned() } else { format!(":{}", self.port) }
    }

    /// `sbc.corp.example:5061 over TLS`
    pub(super) fn target(&self) -> String {
        let protocol = self.protocol.to_uppercase();
        format!("{}{} over {protocol}", self.next_hop, self.port_words())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SipDomain {
    pub(super) domain: String,
    pub(super) description: String,
    pub(super) origin: String,
    pub(super) first_seen: String,
    pub(super) last_seen: Option<String>,
    pub(super) direction: Option<String>,
    pub(super) route: Option<String>,
    pub(super) hits: u64,
    pub(super) last_failure: Option<String>,
    pub(super) finding: Option<String>,
    pub(super) asked_again: u32,
    pub(super) asks_next: Option<String>,
}

/// A blocked or pinned domain.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) domain: String,
    pub(super) note: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) node: String,
    pub(super) role: String,
    pub(super) version: String,
    pub(super) address: String,
    pub(super) up_since: String,
    pub(super) in_flight: u32,
    pub(super) draining: bool,
}

/// `2026-11-22T20:47:03.000123Z` as people read it: `2026-11-22 20:47:03`.
pub(super) fn moment(time: &str) -> String {
    time.split(['.', 'Z']).next().unwrap_or(time).replace('T', " ")
}

/// The same from a clock.
pub(super) fn moment_of(unix_us: u64) -> String {
    moment(&rfc3339(unix_us))
}

/// `1,234,567`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(moment("2026-11-22T20:47:03.000123Z"), "2026-11-22 20:47:03");
        assert_eq!(moment("2026-11-22T20:47:03Z"), "2026-11-22 20:47:03");
    }
}

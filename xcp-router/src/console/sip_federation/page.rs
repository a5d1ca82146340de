//! One page of the domain table: what is sought, in which order, and the way to the next page.
//!
//! A million rows are in order by name alone: that order has an index. Up to [`SORTED`] rows, all
//! that a search finds is read and put in order by any column.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write;

use super::HERE;
use crate::console::Console;
use crate::console::backend::escaped;
use crate::console::frame::Refusal;
use crate::console::model::{Items, SipDomain, moment, thousands};
use crate::console::visitor::Visitor;

/// Rows of one page.
const PAGE: usize = 50;
/// As many as the API gives at once.
const SORTED: u64 = 1_000;

/// What rows may be put in order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Domain,
    Origin,
    FirstSeen,
    LastSeen,
    Hits,
    Failure,
}

/// Each order with its name in the address and the head of its column.
const ORDERS: [(Order, &str, &str); 6] = [
    (Order::Domain, "domain", "Domain"),
    (Order::Origin, "origin", "Origin"),
    (Order::FirstSeen, "first_seen", "First seen"),
    (Order::LastSeen, "last_seen", "Last seen"),
    (Order::Hits, "hits", "Hits"),
    (Order::Failure, "failure", "Last failure"),
];

/// What the address asks for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) search: String,
    order: Order,
    descending: bool,
    /// By name: where the page begins.
    cursor: Option<String>,
    /// By another column: which page, from 0.
    page: usize,
}

/// A head of a column: its name, its link, and how the rows stand by it.
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    pub(super) link: Option<String>,
    pub(super) sorted: Option<&'static str>,
}

pub(super) struct Rows {
    pub(super) wanted: Wanted,
    pub(super) rows: Vec<SipDomain>,
    /// `None`: too many to be counted.
    total: Option<u64>,
    next: Option<String>,
}

impl Wanted {
    pub(super) fn of(query: &HashMap<String, String>) -> Self {
        let text = |name: &str| query.get(name).map_or("", |text| text.trim());
        let order = text("sort").trim_start_matches('-');
        let order = ORDERS.iter().find(|(_, name, _)| *name == order);
        Wanted {
            search: text("search").to_lowercase(),
            order: order.map_or(Order::Domain, |(order, _, _)| *order),
            descending: text("sort").starts_with('-'),
            cursor: query.get("cursor").filter(|text| !text.is_empty()).cloned(),
            page: text("page").parse().unwrap_or(0),
        }
    }

    /// By name upwards, which needs no reading of all.
    fn is_plain(&self) -> bool {
        self.order == Order::Domain && !self.descending
    }

    fn address(&self, sort: &str, more: &str) -> String {
        format!("{HERE}?search={}&sort={sort}{more}", escaped(&self.search))
    }

    fn sort(&self) -> String {
        let name = ORDERS.iter().find(|(order, _, _)| *order == self.order);
        let name = name.map_or("", |(_, name, _)| name);
        if self.descending { format!("-{name}") } else { name.to_owned() }
    }
}

impl Rows {
    pub(super) async fn read(
        console: &Console,
        visitor: &Visitor,
        mut wanted: Wanted,
    ) -> Result<Self, Refusal> {
        if !wanted.is_plain() {
            let all = fetch(console, visitor, &wanted, SORTED).await?;
            if all.total.is_some_and(|total| total <= SORTED) {
                return Ok(Self::sorted(wanted, all.items));
            }
            (wanted.order, wanted.descending) = (Order::Domain, false);
        }
        let page = fetch(console, visitor, &wanted, PAGE as u64).await?;
        let next = page
            .next_cursor
            .map(|cursor| wanted.address("domain", &format!("&cursor={}", escaped(&cursor))));
        Ok(Rows { wanted, rows: page.items, total: page.total, next })
    }

    fn sorted(wanted: Wanted, mut rows: Vec<SipDomain>) -> Self {
        rows.sort_by(|a, b| {
            let order = compare(wanted.order, a, b);
            if wanted.descending { order.reverse() } else { order }
        });
        let (total, begin) = (Some(rows.len() as u64), wanted.page.saturating_mul(PAGE));
        let more = rows.len() > begin.saturating_add(PAGE);
        let next =
            more.then(|| wanted.address(&wanted.sort(), &format!("&page={}", wanted.page + 1)));
        let rows = rows.into_iter().skip(begin).take(PAGE).collect();
        Rows { wanted, rows, total, next }
    }

    /// The heads of the columns. By what cannot be sorted now, there is no link.
    pub(super) fn heads(&self) -> Vec<Head> {
        let head = |(order, name, title): &(Order, &'static str, &'static str)| {
            let is_this = *order == self.wanted.order;
            let turned = if is_this && !self.wanted.descending { "-" } else { "" };
            let sortable = !self.is_many() || *order == Order::Domain;
            let first = if sortable && !(self.is_many() && is_this) { Some(()) } else { None };
            let class = match order {
                Order::Hits => "number",
                Order::FirstSeen => "wide",
                _ => "",
            };
            let ways = if self.wanted.descending { "descending" } else { "ascending" };
            Head {
                name: title,
                class,
                link: first.map(|()| self.wanted.address(&format!("{turned}{name}"), "")),
                sorted: is_this.then_some(ways),
            }
        };
        ORDERS.iter().map(head).collect()
    }

    /// What was found, and how it is sorted.
    pub(super) fn caption(&self) -> String {
        let mut text = match self.total {
            Some(total) => format!("{} domain", thousands(total)),
            None => "More than 100,000 domain".to_owned(),
        };
        if self.total != Some(1) {
            text.push('s');
        }
        if !self.wanted.search.is_empty() {
            // Writing to a text does not fail.
            let _ = write!(text, " whose name contains “{}”", self.wanted.search);
        }
        if self.is_many() {
            text.push_str(", by name. Search for 1,000 or fewer to sort them by another column");
        }
        text.push('.');
        text
    }

    /// More than can be sorted by anything but the name.
    fn is_many(&self) -> bool {
        self.total.is_none_or(|total| total > SORTED)
    }

    pub(super) fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// The way back to the first page, from any other.
    pub(super) fn first(&self) -> Option<String> {
        let inside = self.wanted.cursor.is_some() || self.wanted.page > 0;
        inside.then(|| self.wanted.address(&self.wanted.sort(), ""))
    }

    pub(super) fn export(&self) -> String {
        format!("/api/v1/sip-domains/export?search={}", escaped(&self.wanted.search))
    }
}

impl SipDomain {
    pub(super) fn first(&self) -> String {
        moment(&self.first_seen)
    }

    pub(super) fn last(&self) -> String {
        self.last_seen.as_deref().map(moment).unwrap_or_default()
    }

    pub(super) fn counted(&self) -> String {
        thousands(self.hits)
    }
}

async fn fetch(
    console: &Console,
    visitor: &Visitor,
    wanted: &Wanted,
    limit: u64,
) -> Result<Items<SipDomain>, Refusal> {
    let mut path = format!("/sip-domains?limit={limit}&search={}", escaped(&wanted.search));
    if let Some(cursor) = wanted.cursor.as_deref().filter(|_| wanted.is_plain()) {
        path = format!("{path}&cursor={}", escaped(cursor));
    }
    console.0.backend.get(visitor, &path).await
}

/// Rows that are equal by a column stand by name.
fn compare(order: Order, a: &SipDomain, b: &SipDomain) -> Ordering {
    let by_column = match order {
        Order::Domain => Ordering::Equal,
        Order::Origin => a.origin.cmp(&b.origin),
        Order::FirstSeen => a.first_seen.cmp(&b.first_seen),
        Order::LastSeen => a.last_seen.cmp(&b.last_seen),
        Order::Hits => a.hits.cmp(&b.hits),
        Order::Failure => a.last_failure.cmp(&b.last_failure),
    };
    by_column.then_with(|| a.domain.cmp(&b.domain))
}

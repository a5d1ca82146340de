//! Lists in pages, by cursors.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::problem::{FieldError, Problem};

/// The longest page of a list that is at hand; also what is given if nothing is said.
pub(super) const MOST: u32 = 1_000;

/// The query's `limit`.
pub(super) fn limit(
    query: &HashMap<String, String>,
    default: u32,
    most: u32,
) -> Result<usize, Problem> {
    let number = match query.get("limit") {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|number| (1..=most).contains(number)),
    };
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| wrong("limit", format!("must be a whole number from 1 to {most}")))
}

/// One field of a query that cannot stand.
pub(super) fn wrong(field: &'static str, message: impl Into<String>) -> Problem {
    Problem::fields(vec![FieldError { field: field.into(), message: message.into() }])
}

/// A page of a list whose items have keys: in the order of the keys, or in one of its own.
///
/// # Errors
/// 422 if the query makes no sense, or its cursor has gone from a list with an order of its own.
pub(super) fn page(
    query: &HashMap<String, String>,
    items: Vec<(String, Value)>,
) -> Result<Value, Problem> {
    let limit = limit(query, MOST, MOST)?;
    let total = items.len();
    let start = match query.get("cursor") {
        None => 0,
        Some(cursor) => match items.iter().position(|(key, _)| key == cursor) {
            Some(at) => at + 1,
            None if items.is_sorted_by_key(|(key, _)| key.clone()) => {
                items.partition_point(|(key, _)| key <= cursor)
            }
            None => return Err(wrong("cursor", "has gone from the list: begin again")),
        },
    };
    let mut rest = items.into_iter().skip(start).peekable();
    let (mut page, mut last) = (Vec::new(), None);
    for (key, item) in rest.by_ref().take(limit) {
        page.push(item);
        last = Some(key);
    }
    let next = last.filter(|_| rest.peek().is_some());
    Ok(json!({ "items": page, "next_cursor": next, "total": total }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn list(keys: &[&str]) -> Vec<(String, Value)> {
        keys.iter().map(|key| ((*key).to_owned(), json!(key))).collect()
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let (mut query, mut seen) = (asked(&[("limit", "2")]), Vec::new());
        loop {
            let page = page(&query, list(&["a", "b", "c", "d", "e"])).unwrap();
            assert_eq!(page["total"], 5);
            seen.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            query.insert("cursor".to_owned(), next.to_owned());
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_cursor_that_is_gone_still_has_its_place_in_a_sorted_list() {
        let query = asked(&[("cursor", "bb")]);
        assert_eq!(page(&query, list(&["a", "b", "c"])).unwrap()["items"], json!(["c"]));
        assert!(page(&query, list(&["c", "a"])).is_err());
        for limit in ["0", "1001", "-1", "x", ""] {
            assert!(page(&asked(&[("limit", limit)]), list(&["a"])).is_err(), "{limit}");
        }
    }
}

use openfed_proto::link::Era;
use openfed_proto::route::Origin;

use super::*;

fn filled(names: &[&str]) -> Catalogue {
    let catalogue = Catalogue::default();
    let mut rows = Rows::new(1);
    rows.extend(names.iter().map(|name| (Domain::parse(name).unwrap(), Origin::Discovered)));
    catalogue.apply(&StoreFact::Snapshot {
        era: Era::default(),
        version: 1,
        rows,
        routes: Vec::new(),
        blocked: Vec::new(),
        pinned: Vec::new(),
    });
    catalogue
}

fn page(catalogue: &Catalogue, search: &str, cursor: Option<&str>, limit: usize) -> Page {
    Page::of(&catalogue.read(|listing| listing.names.clone()), search, cursor, limit)
}

fn names(page: &Page) -> Vec<&str> {
    page.domains.iter().map(Domain::as_str).collect()
}

#[test]
fn pages_follow_each_other_in_order_without_gap_or_repetition() {
    let catalogue = filled(&["d.example", "a.example", "c.example", "b.example", "x.other"]);
    let first = page(&catalogue, "example", None, 3);
    assert_eq!(names(&first), ["a.example", "b.example", "c.example"]);
    assert_eq!((first.next.as_deref(), first.total), (Some("c.example"), Some(4)));
    let second = page(&catalogue, "example", first.next.as_deref(), 3);
    assert_eq!(names(&second), ["d.example"]);
    assert_eq!((second.next, second.total), (None, Some(4)));
    assert_eq!(page(&catalogue, "", None, 9).total, Some(5));
}

#[test]
fn a_page_continues_after_a_name_that_is_gone() {
    let catalogue = filled(&["a.example", "b.example", "c.example"]);
    let changes = vec![TableChange::RowRemoved(Domain::parse("b.example").unwrap())];
    catalogue.apply(&StoreFact::Changes { version: 2, changes });
    assert_eq!(names(&page(&catalogue, "", Some("b.example"), 9)), ["c.example"]);
}

use super::*;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

#[test]
fn a_row_is_found_changed_and_removed() {
    let mut table = Rows::new(1);
    let foreign = domain("foreign.example");
    assert_eq!(table.insert(foreign.clone(), Origin::Discovered), None);
    assert_eq!(table.get(&foreign), Some(Origin::Discovered));
    assert_eq!(table.get(&domain("x.foreign.example")), None, "one row per exact host");
    let before = table.insert(foreign.clone(), Origin::Configured);
    assert_eq!(before, Some(Origin::Discovered), "configured in place, traffic uninterrupted");
    assert_eq!((table.get(&foreign), table.len()), (Some(Origin::Configured), 1));
    assert!(table.remove(&foreign));
    assert!(!table.remove(&foreign));
    assert_eq!(table.len(), 0);
}

#[test]
fn blocking_is_label_safe() {
    let mut blocked = Blocked::new(1);
    blocked.replace(&["one.example".parse().unwrap(), "*.tree.example".parse().unwrap()]);
    for (name, expected) in [
        ("one.example", true),
        ("x.one.example", false),
        ("tree.example", true),
        ("a.b.tree.example", true),
        ("nottree.example", false),
    ] {
        assert_eq!(blocked.contains(&domain(name)), expected, "{name}");
    }
}

#[test]
fn an_own_row_does_not_come_back_after_its_removal() {
    let mut domains = Domains::new(1);
    let row = domain("foreign.example");
    domains.replace(Rows::new(1), Tables { version: 5, ..Tables::default() });
    // The stream brings insertion (6) and removal (7) before our own answer.
    domains.apply(TableChange::Row(row.clone(), Origin::Discovered));
    assert_eq!(domains.apply(TableChange::RowRemoved(row.clone())), Effect::Removed(row.clone()));
    domains.reach(7, false);
    assert!(!domains.insert_own(&row, 1, 6));
    assert_eq!(domains.known(&row), None);
    assert!(domains.insert_own(&row, 1, 8));
    assert_eq!(domains.known(&row), Some(Known::Discovered));
}

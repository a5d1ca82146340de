use std::collections::BTreeSet;

use super::*;

/// A reproducible row of numbers (SplitMix64).
fn numbers(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }
}

fn name(number: u64) -> String {
    format!("host{}.example{}.org", number % 20_000, number % 7)
}

fn all(names: &Names) -> Vec<&str> {
    names.after(None, "").collect()
}

#[test]
fn it_is_a_sorted_set_whatever_comes_and_goes() {
    let mut next = numbers(7);
    let (mut names, mut model) = (Names::default(), BTreeSet::new());
    for round in 0..60_000 {
        let name = name(next());
        // It grows to many blocks, then shrinks to few.
        if next() % 10 < if round < 40_000 { 8 } else { 1 } {
            names.insert(&name);
            model.insert(name);
        } else {
            let gone = model.iter().nth(usize::try_from(next() % 50).unwrap()).cloned();
            for name in gone.into_iter().chain([name]) {
                names.remove(&name);
                model.remove(&name);
            }
        }
    }
    assert_eq!(all(&names), model.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(names.len(), model.len());
    assert!(names.blocks.iter().all(|block| !block.text.is_empty() && block.text.len() <= FULL));
    for _ in 0..1_000 {
        let name = name(next());
        assert_eq!(names.contains(&name), model.contains(&name), "{name}");
        let beyond = names.after(Some(&name), "").next();
        assert_eq!(beyond, model.range(format!("{name}\0")..).next().map(String::as_str));
    }
    for name in &model {
        names.remove(name);
    }
    assert_eq!((names.len(), all(&names)), (0, Vec::new()));
}

#[test]
fn a_search_finds_each_name_once_on_whatever_side_of_a_block() {
    let sorted: BTreeSet<String> = (0..20_000).map(name).collect();
    let names: Names = sorted.iter().map(String::as_str).collect();
    assert!(names.blocks.len() > 5, "{}", names.blocks.len());
    for search in ["", "e", "st1", "st19999.", ".org", "org\nhost", "nowhere", "4.example", "\n"] {
        let expected: Vec<&str> =
            sorted.iter().map(String::as_str).filter(|name| name.contains(search)).collect();
        assert_eq!(names.after(None, search).collect::<Vec<_>>(), expected, "{search:?}");
        let count = expected.len();
        assert_eq!(names.count(search, count), Some(count), "{search:?}");
        if let Some(fewer) = count.checked_sub(1) {
            assert_eq!(names.count(search, fewer), None, "{search:?}");
        }
        let cursor = "host15";
        let expected: Vec<_> = expected.into_iter().filter(|name| *name > cursor).collect();
        assert_eq!(names.after(Some(cursor), search).collect::<Vec<_>>(), expected, "{search:?}");
    }
}

#[test]
fn a_reader_keeps_what_it_has_taken() {
    let mut names: Names = ["a.example", "b.example"].into_iter().collect();
    let first = names.clone();
    names.insert("c.example");
    let second = names.clone();
    names.remove("a.example");
    assert_eq!(all(&first), ["a.example", "b.example"]);
    assert_eq!(all(&second), ["a.example", "b.example", "c.example"]);
    assert_eq!(all(&names), ["b.example", "c.example"]);
}

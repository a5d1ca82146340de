use super::*;
use crate::route::{DomainPattern, PatternError, StaticRoute};

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("domain")
}

fn route(pattern: &str, next_hop: &str) -> StaticRoute {
    StaticRoute::new(Pattern::domain(pattern).expect("pattern"), next_hop)
}

fn open(next_hop: &str) -> StaticRoute {
    StaticRoute { blocked: false, next_hop: next_hop.into(), ..StaticRoute::predefined() }
}

/// The next hops in the order they would be tried, first pick always taken.
fn order(table: &RouteTable, name: &str, purpose: Use) -> Result<Vec<String>, Refusal> {
    let candidates = table.candidates(&domain(name), Some("bob"), purpose, &mut |_| 0)?;
    Ok(candidates.iter().map(|route| route.next_hop.clone()).collect())
}

#[test]
fn wildcards_never_match_across_labels() {
    let subtree = Pattern::domain(".com.example.*").expect("pattern");
    for inside in ["example.com", "a.example.com", "b.a.example.com"] {
        assert!(subtree.matches(&domain(inside), None), "{inside}");
    }
    for outside in ["notexample.com", "example-evil.com", "com", "example.com.evil.net"] {
        assert!(!subtree.matches(&domain(outside), None), "{outside}");
    }
    let exact = Pattern::domain(".com.example").expect("pattern");
    assert!(exact.matches(&domain("example.com"), None));
    assert!(!exact.matches(&domain("a.example.com"), None));
}

#[test]
fn patterns_are_shown_as_they_are_typed_and_star_is_a_name_of_the_open_route() {
    for text in [".*", ".com.example", ".com.example.*"] {
        assert_eq!(Pattern::domain(text).expect("pattern").to_string(), text);
    }
    assert_eq!(Pattern::domain("*").expect("pattern").to_string(), ".*");
    assert_eq!(Pattern::user("4930*").expect("pattern").to_string(), "4930*");
    assert_eq!(Pattern::domain("example.com"), Err(PatternError::NoLeadingDot));
    assert_eq!(Pattern::domain(".com.*.example"), Err(PatternError::StarInside));
    assert_eq!(Pattern::user("*"), Err(PatternError::EmptyUser));
    assert_eq!(Pattern::user("a*b"), Err(PatternError::UserStarInside));
}

#[test]
fn blocked_domain_patterns_cover_the_domain_and_its_subdomains() {
    let subtree: DomainPattern = "*.example.com".parse().expect("pattern");
    assert!(subtree.matches(&domain("example.com")) && subtree.matches(&domain("a.example.com")));
    assert!(!subtree.matches(&domain("notexample.com")));
    assert_eq!(subtree.to_string(), "*.example.com");
}

#[test]
fn longer_patterns_first_exact_before_wildcard_and_the_open_route_last_whatever_its_priority() {
    let table = RouteTable::new(vec![
        open("open"),
        StaticRoute { priority: 60_000, ..route(".com.example.a", "exact") },
        StaticRoute { priority: 50_000, ..route(".com.example.a.*", "subtree") },
        StaticRoute { priority: 9, ..route(".com.example.*", "shorter") },
        StaticRoute { priority: 9, ..route(".com.*", "shortest") },
    ]);
    let hops = order(&table, "a.example.com", Use::Known).expect("routes");
    assert_eq!(hops, ["exact", "subtree", "shorter", "shortest", "open"]);
}

#[test]
fn equal_priorities_share_two_to_one_over_three_thousand_picks() {
    let table = RouteTable::new(vec![
        StaticRoute { weight: 2, ..route(".com.example", "heavy") },
        StaticRoute { weight: 1, ..route(".com.example", "light") },
        StaticRoute { priority: 2, ..route(".com.example", "spare") },
    ]);
    let mut turn = 0;
    let mut heavy = 0;
    for _ in 0..3_000 {
        let mut pick = |below: u32| {
            turn += 1;
            turn % below
        };
        let order =
            table.candidates(&domain("example.com"), None, Use::Known, &mut pick).expect("routes");
        assert_eq!(order[2].next_hop, "spare");
        heavy += usize::from(order[0].next_hop == "heavy");
    }
    assert_eq!(heavy, 2_000);
}

#[test]
fn less_specific_off_stops_there() {
    let table = RouteTable::new(vec![
        StaticRoute { allow_less_specific: false, ..route(".com.example", "only") },
        open("open"),
    ]);
    assert_eq!(order(&table, "example.com", Use::Known), Ok(vec!["only".into()]));
}

#[test]
fn out_of_service_falls_to_a_shorter_pattern_and_alone_is_refused() {
    let off = StaticRoute { in_service: false, ..route(".com.example", "off") };
    let table = RouteTable::new(vec![off.clone(), open("open")]);
    assert_eq!(order(&table, "example.com", Use::Known), Ok(vec!["open".into()]));

    let table = RouteTable::new(vec![StaticRoute { in_service: false, ..open("open") }, off]);
    assert_eq!(order(&table, "example.com", Use::Known), Err(Refusal::OutOfService));
    assert!(!table.is_open());
}

#[test]
fn a_blocked_route_refuses_unless_a_more_specific_one_matches() {
    let table = RouteTable::new(vec![
        StaticRoute { blocked: true, ..route(".com.example.*", "blocked") },
        route(".com.example.good", "good"),
        open("open"),
    ]);
    assert_eq!(order(&table, "bad.example.com", Use::Known), Err(Refusal::Blocked));
    assert!(table.blocks(&domain("bad.example.com")));
    assert_eq!(order(&table, "good.example.com", Use::Known), Ok(vec!["good".into()]));
    assert!(table.configures(&domain("good.example.com")));
}

#[test]
fn a_blocked_open_route_carries_known_domains_only() {
    let table = RouteTable::new(vec![StaticRoute { blocked: true, ..open("sbc") }]);
    assert_eq!(order(&table, "known.example", Use::Known), Ok(vec!["sbc".into()]));
    assert_eq!(order(&table, "new.example", Use::Discovery), Err(Refusal::Blocked));
    assert!(!table.is_open());
}

#[test]
fn the_open_route_does_not_configure_a_domain() {
    let table = RouteTable::new(vec![open("sbc")]);
    assert!(table.is_open() && !table.configures(&domain("any.example")));
}

#[test]
fn user_routes_win_over_domain_routes() {
    let table = RouteTable::new(vec![
        route(".com.example", "domain"),
        StaticRoute::new(Pattern::user("bo*").expect("pattern"), "short"),
        StaticRoute::new(Pattern::user("bob").expect("pattern"), "exact"),
    ]);
    let hops = order(&table, "example.com", Use::Known).expect("routes");
    assert_eq!(hops, ["exact", "short", "domain"]);
}

use super::*;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn domains() -> Domains {
    let mut settings = Settings::new("n", [domain("corp.example"), domain("homeless.example")]);
    settings.homes.remove(&domain("homeless.example"));
    settings.policy.deny = vec![openfed_proto::route::DomainPattern::Exact(domain("no.example"))];
    Domains::new(&settings)
}

#[test]
fn e45_s046_who_may_open_a_stream_to_whom() {
    let verdict = |from: Option<&str>, to: &str| {
        domains().judge_header(from.map(domain).as_ref(), &domain(to)).err()
    };
    assert_eq!(verdict(Some("corp.example"), "d.example"), None);
    assert_eq!(verdict(Some("d.example"), "corp.example"), None);
    assert_eq!(verdict(None, "corp.example"), None);
    assert_eq!(verdict(None, "d.example"), None);
    let refused = verdict(Some("corp.example"), "homeless.example");
    assert_eq!(refused, Some(StreamCondition::InvalidFrom));
    let refused = verdict(Some("one.example"), "two.example");
    assert_eq!(refused, Some(StreamCondition::HostUnknown));
    assert_eq!(verdict(Some("corp.example"), "voiceipg"), None, "one label, from a SIP sender");
    let refused = verdict(Some("no.example"), "corp.example");
    assert_eq!(refused, Some(StreamCondition::PolicyViolation));
}

#[test]
fn a_local_domain_is_verified_at_its_configured_home_and_nowhere_else() {
    let verdict = |from: &str, to: &str| domains().judge_claim(&domain(from), &domain(to));
    assert_eq!(verdict("corp.example", "d.example"), Ok(Target::Home(domain("corp.example"))));
    assert_eq!(verdict("d.example", "corp.example"), Ok(Target::Foreign(domain("d.example"))));
    assert_eq!(verdict("homeless.example", "d.example"), Err(StanzaCondition::NotAllowed));
    assert_eq!(verdict("corp.example", "corp.example"), Err(StanzaCondition::NotAllowed));
    assert_eq!(verdict("one.example", "two.example"), Err(StanzaCondition::ItemNotFound));
    assert_eq!(verdict("no.example", "corp.example"), Err(StanzaCondition::PolicyViolation));
}

#[test]
fn streams_lead_home_or_to_foreign_domains_that_policy_allows() {
    let target = |local: &str, remote: &str| {
        domains().target(&Pair::new(domain(local), domain(remote))).map_err(|it| it.cause)
    };
    assert_eq!(target("d.example", "corp.example"), Ok(Target::Home(domain("corp.example"))));
    assert_eq!(target("corp.example", "d.example"), Ok(Target::Foreign(domain("d.example"))));
    assert_eq!(target("corp.example", "no.example"), Err(Cause::Denied));
    assert_eq!(target("one.example", "two.example"), Err(Cause::Policy));
    assert_eq!(target("d.example", "homeless.example"), Err(Cause::Policy));
    assert_eq!(target("corp.example", "localhost"), Err(Cause::NotFound));
}

use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground};
use openfed_proto::route::Origin;

use super::*;

#[test]
fn what_is_exported_is_read_as_it_was() {
    let row = DomainRow {
        domain: Domain::parse("a.example").unwrap(),
        description: "\"Ada\", and her peers".to_owned(),
        origin: Origin::Discovered,
        first_seen: 0,
        last_seen: 0,
        direction: Some(Direction::Inbound),
        route: Some(".*".to_owned()),
        hits: 7,
        last_failure: None,
        ground: Some(Ground::new(Finding::DnsFault, 1)),
    };
    let mut line = String::new();
    write(&row, &mut line);
    assert_eq!(
        line,
        "a.example,\"\"\"Ada\"\", and her peers\",discovered,1970-01-01T00:00:00Z,,inbound,.*,7,,dns-fault\r\n"
    );
    let header = Header::read(header().trim_end()).unwrap();
    let (domain, description) = header.row(line.trim_end()).unwrap();
    assert_eq!((&*domain, &*description), ("a.example", "\"Ada\", and her peers"));
}

#[test]
fn a_header_may_name_few_columns_in_any_order() {
    let header = Header::read("\u{feff}Hits, Description ,DOMAIN").unwrap();
    let (domain, description) = header.row("3,,b.example").unwrap();
    assert_eq!((&*domain, &*description), ("b.example", ""));
    let header = Header::read("domain").unwrap();
    assert_eq!(header.row("c.example").unwrap(), ("c.example".into(), "".into()));
}

#[test]
fn what_is_wrong_is_said() {
    for (header, fault) in [
        ("description,hits", "names no column domain"),
        ("domain,colour", "no column \"colour\""),
        ("domain,hits,domain", "domain is named twice"),
        ("", "no column \"\""),
    ] {
        let told = Header::read(header).unwrap_err();
        assert!(told.contains(fault), "{header}: {told}");
    }
    let header = Header::read("domain,description").unwrap();
    for (line, fault) in [
        ("a.example", "has 1 fields, the header 2"),
        ("a.example,b,c", "has 3 fields"),
        ("a.example,\"b", "not closed"),
        ("a.example,\"b\"c", "goes on behind"),
        ("a.example,b\"c", "inside a field"),
    ] {
        let told = header.row(line).unwrap_err();
        assert!(told.contains(fault), "{line}: {told}");
    }
}

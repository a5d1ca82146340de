use super::*;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

#[test]
fn e50_the_key_of_the_example_in_xep_0185() {
    let secret = Secret::new(b"s3cr3tf0rd14lb4ck");
    let key = secret.key(&domain("xmpp.example.com"), &domain("example.org"), "D60000229F");
    assert_eq!(key, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
}

#[test]
fn e50_a_key_holds_for_its_pair_and_stream_only() {
    let secret = Secret::new(b"sixteen bytes of secret");
    let (a, b) = (domain("a.example"), domain("b.example"));
    let key = secret.key(&a, &b, "id1");
    assert!(secret.verify(&a, &b, "id1", &key));
    assert!(!secret.verify(&b, &a, "id1", &key));
    assert!(!secret.verify(&a, &b, "id2", &key));
    assert!(!Secret::new(b"another secret").verify(&a, &b, "id1", &key));
    for wrong in ["", "0", "zz", "é0", &key[1..], &format!("{key}00")] {
        assert!(!secret.verify(&a, &b, "id1", wrong));
    }
}

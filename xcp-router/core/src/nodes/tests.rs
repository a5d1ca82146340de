use super::*;

fn nodes(names: &[&str]) -> Nodes {
    let mut nodes = Nodes::default();
    for (index, name) in names.iter().enumerate() {
        let hello = Hello {
            role: Role::XmppCm,
            node: (*name).to_owned(),
            epoch: 1,
            capacity: 1,
            version: "0".to_owned(),
        };
        let id = LinkId(index as u64);
        nodes.insert(Link::new(id, hello, String::new(), 0, 4, 1));
    }
    nodes
}

fn name(nodes: &Nodes, conversation: u64) -> String {
    let link = nodes.pick(Role::XmppCm, Conversation(conversation), None).unwrap();
    nodes.get(link).unwrap().node.to_string()
}

#[test]
fn only_the_conversations_of_a_node_that_goes_move() {
    let mut nodes = nodes(&["a", "b", "c"]);
    let before: Vec<String> = (0..3_000).map(|key| name(&nodes, key)).collect();
    for node in ["a", "b", "c"] {
        let share = before.iter().filter(|name| *name == node).count();
        assert!((900..1_100).contains(&share), "{node} has {share}");
    }
    nodes.get_mut(LinkId(1)).unwrap().draining = true;
    for (key, was) in before.iter().enumerate() {
        let is = name(&nodes, key as u64);
        assert!(is != "b" && (was == "b" || *was == is));
    }
}

#[test]
fn a_full_window_sends_packets_elsewhere_until_all_are_full() {
    let mut nodes = nodes(&["a", "b"]);
    let conversation = Conversation(7);
    for _ in 0..2 {
        let link = nodes.pick(Role::XmppCm, conversation, None).unwrap();
        assert!(nodes.get_mut(link).unwrap().take());
    }
    assert_eq!(nodes.pick(Role::XmppCm, conversation, None), Err(Lack::Room));
    assert_eq!(nodes.pick(Role::SipCm, conversation, None), Err(Lack::Nobody));
}

#[test]
fn a_verdict_is_not_told_with_every_packet() {
    let mut nodes = nodes(&["a"]);
    let link = nodes.get_mut(LinkId(0)).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a scene begins at any moment")]
    let now = Instant::now();
    let lease = Duration::from_secs(300);
    let domain = Domain::parse("foreign.example").unwrap();
    assert!(link.should_tell(&domain, now, lease));
    assert!(!link.should_tell(&domain, now, lease));
    link.forgot(Some(&domain));
    assert!(link.should_tell(&domain, now, lease));
    assert!(link.should_tell(&domain, now + lease / 2, lease));
}

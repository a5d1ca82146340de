//! Client transactions.

use super::*;

#[test]
fn timers_a_and_b_an_invite_is_repeated_at_doubling_intervals_and_given_up_after_64_t1() {
    let mut l = Layer::new();
    let (_, id) = l.client("INVITE", Transport::Udp);
    assert_eq!(l.run(31_999), [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(l.events(), []);
    l.run(32_000);
    assert_eq!(l.events(), [Event::TimedOut(id), Event::ClientGone(id)]);
    assert_eq!(l.layer.open(), (0, 0));
}

#[test]
fn timers_e_and_f_a_non_invite_is_repeated_up_to_every_t2() {
    let mut l = Layer::new();
    let (_, id) = l.client("MESSAGE", Transport::Udp);
    assert_eq!(
        l.run(31_999),
        [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    );
    l.run(32_000);
    assert_eq!(l.events(), [Event::TimedOut(id), Event::ClientGone(id)]);
}

#[test]
fn a_provisional_response_slows_a_non_invite_to_t2_and_stops_an_invites_repeats_and_timer_b() {
    let mut l = Layer::new();
    let (request, id) = l.client("MESSAGE", Transport::Udp);
    l.run(100);
    assert_eq!(l.layer.receive_response(&reply(&request, 100), l.now), Some(id));
    assert_eq!(l.run(13_000), [500, 4_500, 8_500, 12_500]);

    let mut l = Layer::new();
    let (request, id) = l.client("INVITE", Transport::Udp);
    l.run(100);
    assert_eq!(l.layer.receive_response(&reply(&request, 180), l.now), Some(id));
    assert!(l.run(600_000).is_empty());
    assert_eq!(l.events(), []);
}

#[test]
fn reliable_transports_repeat_nothing_but_keep_the_deadline() {
    for method in ["INVITE", "MESSAGE"] {
        let mut l = Layer::new();
        let (_, id) = l.client(method, Transport::Tcp);
        assert!(l.run(31_999).is_empty());
        l.run(32_000);
        assert_eq!(l.events(), [Event::TimedOut(id), Event::ClientGone(id)]);
    }
}

#[test]
fn timer_k_a_late_copy_of_a_final_response_is_absorbed_over_udp() {
    let mut l = Layer::new();
    let (request, id) = l.client("MESSAGE", Transport::Udp);
    assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), Some(id));
    assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), None);
    l.run(4_999);
    assert_eq!(l.layer.open(), (0, 1));
    l.run(5_000);
    assert_eq!(l.layer.open(), (0, 0));

    let mut l = Layer::new();
    let (request, id) = l.client("MESSAGE", Transport::Tcp);
    assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), Some(id));
    assert_eq!(l.layer.open(), (0, 0));
    assert_eq!(l.events(), [Event::ClientGone(id)]);
}

#[test]
fn timer_d_each_copy_of_a_failure_of_an_invite_is_acknowledged() {
    let mut l = Layer::new();
    let (request, id) = l.client("INVITE", Transport::Udp);
    assert_eq!(l.layer.receive_response(&reply(&request, 486), l.now), Some(id));
    assert_eq!(l.layer.receive_response(&reply(&request, 486), l.now), None);
    assert_eq!(l.sends(), ["ACK sip:bob@partner.example", "ACK sip:bob@partner.example"]);
    l.run(31_999);
    assert_eq!(l.layer.open(), (0, 1));
    l.run(32_000);
    assert_eq!(l.layer.open(), (0, 0));

    let mut l = Layer::new();
    let (request, _) = l.client("INVITE", Transport::Tcp);
    l.layer.receive_response(&reply(&request, 486), l.now);
    assert_eq!(l.sends(), ["ACK sip:bob@partner.example"]);
    assert_eq!(l.layer.open(), (0, 0));
}

#[test]
fn rfc6026_timer_m_every_2xx_to_an_invite_is_the_users() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut l = Layer::new();
        let (request, id) = l.client("INVITE", transport);
        for _ in 0..2 {
            assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), Some(id));
        }
        assert_eq!(l.layer.receive_response(&reply(&request, 486), l.now), None);
        assert!(l.sends().is_empty());
        l.run(31_999);
        assert_eq!(l.layer.open(), (0, 1));
        l.run(32_000);
        assert_eq!((l.layer.open(), l.events()), ((0, 0), vec![Event::ClientGone(id)]));
    }
}

#[test]
fn e06_a_response_belongs_by_branch_and_method() {
    let mut l = Layer::new();
    let (request, id) = l.client("MESSAGE", Transport::Udp);
    let other_branch = text("MESSAGE", "z9hG4bKtheirs", "UDP");
    assert_eq!(l.layer.receive_response(&reply(&other_branch, 200), l.now), None);
    let other_method = text("INFO", "z9hG4bKours", "UDP");
    assert_eq!(l.layer.receive_response(&reply(&other_method, 200), l.now), None);
    assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), Some(id));
}

#[test]
fn an_unsent_request_is_told_once_and_its_response_is_dropped() {
    let mut l = Layer::new();
    let (request, id) = l.client("MESSAGE", Transport::Tcp);
    l.layer.send_failed(Token(id.0));
    assert_eq!(l.events(), [Event::Unsent(id), Event::ClientGone(id)]);
    assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), None);
    l.layer.send_failed(Token(id.0));
    assert_eq!(l.events(), []);
}

#[test]
fn of_two_requests_with_one_branch_the_newer_hears_the_response() {
    let mut l = Layer::new();
    let (request, older) = l.client("MESSAGE", Transport::Udp);
    assert_eq!(l.layer.receive_response(&reply(&request, 200), l.now), Some(older));
    let (again, newer) = l.client("MESSAGE", Transport::Udp);
    assert_eq!(l.layer.receive_response(&reply(&again, 200), l.now), Some(newer));
    let (last, newest) = l.client("MESSAGE", Transport::Udp);
    // The end of the older ones takes nothing from it.
    l.layer.forget(older);
    l.layer.forget(newer);
    assert_eq!(l.layer.receive_response(&reply(&last, 200), l.now), Some(newest));
}

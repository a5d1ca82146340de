use super::*;

/// Condition, error type (RFC 6120 §8.3.3), SIP status for a full and for a bare JID.
const CONDITIONS: [(&str, &str, u16, u16); 22] = [
    ("bad-request", "modify", 400, 400),
    ("conflict", "cancel", 400, 400),
    ("feature-not-implemented", "cancel", 405, 501),
    ("forbidden", "auth", 403, 603),
    ("gone", "cancel", 410, 410),
    ("internal-server-error", "cancel", 500, 500),
    ("item-not-found", "cancel", 404, 404),
    ("jid-malformed", "modify", 400, 400),
    ("not-acceptable", "modify", 406, 606),
    ("not-allowed", "cancel", 403, 403),
    ("not-authorized", "auth", 403, 403),
    ("policy-violation", "modify", 403, 403),
    ("recipient-unavailable", "wait", 480, 600),
    ("redirect", "modify", 302, 302),
    ("registration-required", "auth", 403, 403),
    ("remote-server-not-found", "cancel", 404, 404),
    ("remote-server-timeout", "wait", 408, 408),
    ("resource-constraint", "wait", 500, 500),
    ("service-unavailable", "cancel", 405, 403),
    ("subscription-required", "auth", 400, 400),
    ("undefined-condition", "cancel", 400, 400),
    ("unexpected-request", "modify", 491, 491),
];

/// SIP status to condition (RFC 7247 §7.2, table 3).
const STATUSES: [(u16, &str); 53] = [
    (300, "redirect"),
    (301, "gone"),
    (302, "redirect"),
    (305, "redirect"),
    (380, "not-acceptable"),
    (399, "redirect"),
    (400, "bad-request"),
    (401, "not-authorized"),
    (402, "bad-request"),
    (403, "forbidden"),
    (404, "item-not-found"),
    (405, "feature-not-implemented"),
    (406, "not-acceptable"),
    (407, "registration-required"),
    (408, "remote-server-timeout"),
    (410, "gone"),
    (413, "policy-violation"),
    (414, "policy-violation"),
    (415, "not-acceptable"),
    (416, "not-acceptable"),
    (420, "feature-not-implemented"),
    (421, "not-acceptable"),
    (423, "resource-constraint"),
    (430, "recipient-unavailable"),
    (439, "feature-not-implemented"),
    (440, "policy-violation"),
    (480, "recipient-unavailable"),
    (481, "item-not-found"),
    (482, "not-acceptable"),
    (483, "not-acceptable"),
    (484, "item-not-found"),
    (485, "item-not-found"),
    (486, "recipient-unavailable"),
    (487, "recipient-unavailable"),
    (488, "not-acceptable"),
    (489, "policy-violation"),
    (491, "unexpected-request"),
    (493, "bad-request"),
    (499, "bad-request"),
    (500, "internal-server-error"),
    (501, "feature-not-implemented"),
    (502, "remote-server-not-found"),
    (503, "internal-server-error"),
    (504, "remote-server-timeout"),
    (505, "not-acceptable"),
    (513, "policy-violation"),
    (599, "internal-server-error"),
    (600, "recipient-unavailable"),
    (603, "recipient-unavailable"),
    (604, "item-not-found"),
    (606, "not-acceptable"),
    (607, "recipient-unavailable"),
    (699, "recipient-unavailable"),
];

#[test]
fn s027_to_s033_each_condition_has_its_type_and_its_sip_status() {
    assert_eq!(Condition::all().map(|c| c.as_str()), CONDITIONS.map(|row| row.0));
    for (name, error_type, full, bare) in CONDITIONS {
        let condition = Condition::parse(name).unwrap();
        assert_eq!(condition.as_str(), name);
        assert_eq!(condition.error_type().as_str(), error_type, "{name}");
        assert_eq!(condition.to_sip_status(true), full, "{name} for a full JID");
        assert_eq!(condition.to_sip_status(false), bare, "{name} for a bare JID");
    }
}

#[test]
fn s034_to_s039_each_sip_status_has_its_condition() {
    for (status, name) in STATUSES {
        assert_eq!(Condition::from_sip_status(status).as_str(), name, "{status}");
    }
}

#[test]
fn s030_s040_a_new_address_travels_with_moved_and_never_with_gone() {
    let address = Some("sip:bob@new.example");
    let moved = Condition::from_sip_response(301, address);
    assert_eq!((moved.new_address(), moved.to_sip_status(false)), (address, 301));
    let gone = Condition::from_sip_response(410, address);
    assert_eq!((gone.new_address(), gone.to_sip_status(false)), (None, 410));
    let elsewhere = Condition::from_sip_response(302, address);
    assert_eq!((elsewhere.new_address(), elsewhere.to_sip_status(true)), (address, 302));
    assert_eq!(Condition::from_sip_response(404, address), Condition::ItemNotFound);
}

#[test]
fn s032_s033_no_condition_becomes_503_or_a_challenge() {
    for condition in Condition::all() {
        for full_jid in [true, false] {
            assert!(![401, 407, 503].contains(&condition.to_sip_status(full_jid)));
        }
    }
}

#[test]
fn s042_what_is_no_failure_has_no_condition() {
    for status in [0, 99, 100, 180, 200, 202, 299, 700, u16::MAX] {
        assert_eq!(Condition::from_sip_status(status), Condition::UndefinedCondition);
    }
}

#[test]
fn unknown_names_are_not_guessed() {
    assert_eq!(Condition::parse("payment-required"), None);
    assert_eq!(Condition::parse("Bad-Request"), None);
    assert_eq!(ErrorType::parse("fatal"), None);
    for name in ["auth", "cancel", "continue", "modify", "wait"] {
        assert_eq!(ErrorType::parse(name).map(ErrorType::as_str), Some(name));
    }
}

#[test]
fn a_new_address_names_a_user_and_stays_out_of_logs() {
    let gone = Condition::Gone(Some("sip:bob@new.example".to_owned()));
    assert_eq!(format!("{gone} {gone:?}"), "gone gone");
}

#[test]
fn every_status_we_create_has_its_own_reason_phrase() {
    for (status, phrase) in [
        (100, "Trying"),
        (180, "Ringing"),
        (200, "OK"),
        (202, "Accepted"),
        (301, "Moved Permanently"),
        (302, "Moved Temporarily"),
        (400, "Bad Request"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (408, "Request Timeout"),
        (410, "Gone"),
        (416, "Unsupported URI Scheme"),
        (480, "Temporarily Unavailable"),
        (482, "Loop Detected"),
        (483, "Too Many Hops"),
        (491, "Request Pending"),
        (500, "Server Internal Error"),
        (501, "Not Implemented"),
        (503, "Service Unavailable"),
        (600, "Busy Everywhere"),
        (603, "Decline"),
        (604, "Does Not Exist Anywhere"),
        (606, "Not Acceptable"),
    ] {
        assert_eq!(reason_phrase(status), phrase, "{status}");
    }
    for condition in Condition::all() {
        let status = condition.to_sip_status(false);
        let class = status / 100 * 100;
        assert!(status == class || reason_phrase(status) != reason_phrase(class), "{status}");
    }
}

#[test]
fn an_unlisted_status_reads_as_its_class() {
    for (status, class) in [(199, 100), (299, 200), (399, 300), (499, 400), (599, 500), (699, 600)]
    {
        assert_eq!(reason_phrase(status), reason_phrase(class));
    }
    assert_eq!(reason_phrase(42), "Unknown");
}

use super::*;

/// At a next hop that has not asked before.
fn authorize(
    request: &mut Message,
    response: &Message,
    credentials: &Credentials,
    cnonce: &str,
) -> Result<(), Unanswered> {
    super::authorize(request, response, credentials, cnonce, &mut Answered::default())
}

/// The inputs of RFC 2617 §3.5 and RFC 7616 §3.9.1; expected values computed apart from rsip.
const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

fn request(method: &str, uri: &str) -> Message {
    let mut request = Message::request(method, uri);
    request.push("CSeq", &format!("1 {method}"));
    request
}

fn challenge(code: u16, values: &[&str]) -> Message {
    let mut response = Message::response_to(&request("MESSAGE", "sip:x"), code, "Challenge");
    let name = if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    for value in values {
        response.push(name, value);
    }
    response
}

fn credentials(username: &str, password: &str) -> Credentials {
    let password = Password::new(password.into());
    Credentials { username: username.into(), password, realm: None }
}

fn mufasa() -> Credentials {
    credentials("Mufasa", "Circle of Life")
}

fn answer_of(request: &Message) -> String {
    request.text(HeaderId::Authorization).unwrap().unwrap().to_string()
}

#[test]
fn e_13_without_qop_as_rfc_2069() {
    let mut invite = request("INVITE", "sip:bob@biloxi.com");
    let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    let asked = format!("Digest realm=\"biloxi.com\", nonce=\"{nonce}\", opaque=\"5ccc\"");
    let bob = credentials("bob", "zanzibar");
    authorize(&mut invite, &challenge(401, &[&asked]), &bob, "x").unwrap();
    assert_eq!(
        answer_of(&invite),
        format!(
            "Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"{nonce}\", \
             uri=\"sip:bob@biloxi.com\", response=\"bf57e4e0d0bffc0fbaedce64d59add5e\", \
             opaque=\"5ccc\""
        )
    );
}

#[test]
fn e_13_with_qop_auth() {
    let mut invite = request("INVITE", "sip:bob@biloxi.com");
    let asked = "Digest realm=\"biloxi.com\", qop=\"auth,auth-int\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", algorithm=MD5";
    let bob = credentials("bob", "zanzibar");
    authorize(&mut invite, &challenge(401, &[asked]), &bob, "0a4f113b").unwrap();
    let answer = answer_of(&invite);
    assert!(answer.contains("response=\"89eb0059246c02b2f6ee02c7961d5ea3\""), "{answer}");
    assert!(answer.contains("algorithm=MD5, qop=auth, nc=00000001, cnonce=\"0a4f113b\""));
}

#[test]
fn e_13_the_strongest_algorithm_is_taken() {
    let mut message = request("MESSAGE", "sip:first.last@http-auth.example.org");
    let offer = |algorithm: &str| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
             algorithm={algorithm}, nonce=\"{NONCE}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    let offers = [offer("SHA-512-256"), offer("MD5"), offer("SHA-256"), offer("SHA-256-sess")];
    let offers: Vec<&str> = offers.iter().map(String::as_str).collect();
    authorize(&mut message, &challenge(401, &offers), &mufasa(), CNONCE).unwrap();
    let answer = answer_of(&message);
    assert!(answer.contains("algorithm=SHA-256,"), "{answer}");
    assert!(
        answer.contains(
            "response=\"a01bb5a18571571ae8330644e6260dae36f7d50ae09f54358547634fbeab1139\""
        ),
        "{answer}"
    );
}

#[test]
fn a_407_is_answered_to_the_proxy_and_only_for_our_realm() {
    let asked = ["Digest realm=\"other\", nonce=\"1\"", "Basic realm=\"ours\""];
    let mut ours = mufasa();
    ours.realm = Some("ours".into());
    let mut message = request("MESSAGE", "sip:b@b.example");
    let refused = authorize(&mut message, &challenge(407, &asked), &ours, "c");
    assert_eq!(refused, Err(Unanswered::NoChallenge));
    let asked = [asked[0], "Digest realm=\"ours\", nonce=\"2\""];
    authorize(&mut message, &challenge(407, &asked), &ours, "c").unwrap();
    let answer = message.text(HeaderId::ProxyAuthorization).unwrap().unwrap();
    assert!(answer.contains("realm=\"ours\", nonce=\"2\""), "{answer}");
    assert!(message.header(HeaderId::Authorization).is_none());
}

#[test]
fn a_second_challenge_is_refused_unless_stale() {
    let mut message = request("MESSAGE", "sip:b@b.example");
    let mut answered = Answered::default();
    let mut answer = |message: &mut Message, asked: &str| {
        super::authorize(message, &challenge(401, &[asked]), &mufasa(), "c", &mut answered)
    };
    answer(&mut message, "Digest realm=\"r\", nonce=\"1\"").unwrap();
    let again = answer(&mut message, "Digest realm=\"r\", nonce=\"2\", stale=false");
    assert_eq!(again, Err(Unanswered::Refused));
    answer(&mut message, "Digest realm=\"r\", nonce=\"3\", stale=TRUE").unwrap();
    assert!(answer_of(&message).contains("nonce=\"3\""));
    assert_eq!(message.headers_of(HeaderId::Authorization).count(), 1);
}

/// RFC 3261 §22.3: a request may have credentials for several realms, each in a line of its own.
#[test]
fn the_senders_own_credentials_are_not_ours() {
    let own = |realm: &str| format!("Digest username=\"alice\", realm=\"{realm}\", nonce=\"0\"");
    for (code, id) in [(401, HeaderId::Authorization), (407, HeaderId::ProxyAuthorization)] {
        let mut message = request("MESSAGE", "sip:b@b.example");
        for realm in ["far.example", "r", "other.example"] {
            message.push(HeaderId::Authorization.name(), &own(realm));
            message.push(HeaderId::ProxyAuthorization.name(), &own(realm));
        }
        message.push(id.name(), "Custom of=\"some\", kind=\"r\"");
        let asked = challenge(code, &["Digest realm=\"r\", nonce=\"1\""]);
        authorize(&mut message, &asked, &mufasa(), "c").unwrap();
        let lines = |id| -> Vec<String> {
            message.headers_of(id).map(|header| header.text().unwrap().to_string()).collect()
        };
        let [far, other, custom, ours] = &lines(id)[..] else { panic!("{:?}", lines(id)) };
        assert_eq!((far, other), (&own("far.example"), &own("other.example")));
        assert!(custom.starts_with("Custom"));
        assert!(ours.starts_with("Digest username=\"Mufasa\", realm=\"r\", nonce=\"1\""), "{ours}");
        let untouched =
            if code == 401 { HeaderId::ProxyAuthorization } else { HeaderId::Authorization };
        assert_eq!(lines(untouched).len(), 3, "the other kind of credentials");
    }
}

#[test]
fn what_cannot_be_computed_is_not_answered() {
    for (method, asked) in [
        ("MESSAGE", "Digest realm=\"r\", nonce=\"1\", algorithm=MD5-sess"),
        ("MESSAGE", "Digest realm=\"r\", nonce=\"1\", algorithm=AKAv1-MD5"),
        ("MESSAGE", "Digest realm=\"r\", nonce=\"1\", qop=\"auth-int\""),
        ("NEWMETHOD", "Digest realm=\"r\", nonce=\"1\""),
        ("message", "Digest realm=\"r\", nonce=\"1\""),
    ] {
        let mut message = request(method, "sip:b@b.example");
        let before = message.to_bytes();
        let outcome = authorize(&mut message, &challenge(401, &[asked]), &mufasa(), "c");
        assert_eq!(outcome, Err(Unanswered::Unsupported), "{asked}");
        assert_eq!(message.to_bytes(), before);
    }
    let mut message = request("MESSAGE", "sip:b@b.example");
    let ok = Message::response_to(&message, 200, "OK");
    assert_eq!(authorize(&mut message, &ok, &mufasa(), "c"), Err(Unanswered::NoChallenge));
}

#[test]
fn a_quote_in_the_user_name_stays_inside_its_string() {
    let mut message = request("MESSAGE", "sip:b@b.example");
    let odd = credentials("o\"dd\\", "x");
    authorize(&mut message, &challenge(401, &["Digest realm=\"r\", nonce=\"1\""]), &odd, "c")
        .unwrap();
    assert!(answer_of(&message).starts_with("Digest username=\"o\\\"dd\\\\\", realm"));
}

#[test]
fn the_password_is_never_printed() {
    let printed = format!("{:?}", credentials("bob", "zanzibar"));
    assert!(!printed.contains("zanzibar"), "{printed}");
}

//! What is seen from outside: one trace for what belongs together, nothing for what is not sampled,
//! and never what people wrote or who they are.

use openfed_tests::collector::Span;
use openfed_tests::http;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::process::until;
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::world::{Kind, World};

#[test]
fn a_users_message_to_an_unknown_domain_is_one_trace_through_all_services() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { collector, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        alice.say("bob@unknown.example", "seen as one")?;
        openfed.row_appears("unknown.example").await?;

        let names = ["xmpp.receive", "xcp.route", "sip.deliver"];
        let trace = collector.trace_with(&names).await?;
        for service in ["sip-cm", "xcp-router", "xmpp-cm"] {
            assert!(trace.iter().any(|span| span.service == service), "{service}: {trace:#?}");
        }
        let decided = trace.iter().find(|span| span.name == "xcp.route");
        let domain = decided.and_then(|span| span.attribute("xcp.domain"));
        assert_eq!(domain, Some("unknown.example"));
        let roots = trace.iter().filter(|span| span.parent.is_empty()).count();
        assert_eq!(roots, 1, "{trace:#?}");
        for span in &trace {
            let known = span.parent.is_empty() || trace.iter().any(|own| own.id == span.parent);
            assert!(known, "the parent of {} never came", span.name);
            assert!(span.start <= span.end);
        }
        Ok(())
    });
}

#[test]
fn at_a_sampling_rate_of_nothing_a_discovery_is_traced_and_a_known_domain_is_not() {
    play(async |place| {
        let setup = Setup { sample: Some(0.0), ..Setup::default() };
        let world = World::with(place, Kind::Prosody, setup).await?;
        let World { collector, hop, trusted, openfed, .. } = &world;
        openfed.open_towards(hop.address()?).await?;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let from = format!("sip:alice@{LOCAL}");
        let to = |domain: &str| Outgoing::message(&from, &format!("sip:bob@{domain}"), "hello");

        let known = trusted.send(&to("known.example"), openfed.sip()).await?;
        assert_eq!(known.status(), Some(200));
        let unknown = trusted.send(&to("unknown.example"), openfed.sip()).await?;
        assert_eq!(unknown.status(), Some(200));
        collector.trace_with(&["xcp.route"]).await?;
        let of_known = |span: &&Span| span.attribute("xcp.domain") == Some("known.example");
        assert_eq!(collector.spans.count(of_known), 0);
        Ok(())
    });
}

#[test]
fn no_text_and_no_name_of_a_person_is_in_logs_spans_or_metrics() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { collector, hop, trusted, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        alice.say("bob-the-friend@unknown.example", "a secret of two")?;
        openfed.row_appears("unknown.example").await?;
        let to = format!("sip:alice@{LOCAL}");
        let from = "sip:bob-the-friend@unknown.example";
        let answer = Outgoing::message(from, &to, "a secret of two");
        assert_eq!(hop.send(&answer, openfed.sip()).await?.status(), Some(200));
        let refused = Outgoing::message(from, "sip:nobody-at-all@corp.example", "a secret of two");
        assert_eq!(hop.send(&refused, openfed.sip()).await?.status(), Some(404));
        let local = Outgoing::message(&to, "sip:bob-the-friend@other.example", "a secret of two");
        assert_eq!(trusted.send(&local, openfed.sip()).await?.status(), Some(200));
        collector.trace_with(&["xmpp.receive", "sip.deliver"]).await?;

        let mut shown: Vec<String> = openfed.log_lines();
        shown.extend(collector.spans.all().iter().map(|span| format!("{span:?}")));
        for server in openfed.http() {
            shown.push(http::get(server, "/metrics").await?.text);
        }
        for private in ["secret", "bob-the-friend", "nobody-at-all", "alice"] {
            let told = shown.iter().find(|text| text.contains(private));
            assert!(told.is_none(), "{private:?} is in {told:?}");
        }
        Ok(())
    });
}

#[test]
fn every_service_shows_metrics_and_says_that_it_is_alive() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { openfed, hop, home, .. } = &world;
        let _alice = home.login("alice").await?;
        let to = format!("sip:alice@{LOCAL}");
        let message = Outgoing::message("sip:bob@unknown.example", &to, "hello");
        assert_eq!(hop.send(&message, openfed.sip()).await?.status(), Some(200));
        let mut shown = String::new();
        for server in openfed.http() {
            let alive = http::get(server, "/healthz").await?;
            assert_eq!(alive.status, 200, "{server}");
            let metrics = http::get(server, "/metrics").await?;
            assert_eq!(metrics.status, 200, "{server}");
            assert!(metrics.text.contains("# TYPE"), "{server}: {}", metrics.text);
            shown += &metrics.text;
        }
        for series in [
            "openfed_ready",
            "openfed_links",
            "openfed_router_domains_limit",
            "openfed_sip_open_limit{kind=\"request\"}",
            "openfed_sip_stage_seconds_count{stage=\"sip.receive\"}",
            "openfed_xmpp_dials_total{peer=\"home\",result=\"ok\"}",
            "openfed_xmpp_pairs{peer=\"home\"}",
            "process_resident_memory_bytes",
        ] {
            let mut lines = shown.lines().filter_map(|line| line.rsplit_once(' '));
            let value = lines.find(|(name, _)| *name == series).map(|(_, value)| value);
            assert!(value.is_some_and(|value| value != "0"), "{series} is {value:?} in\n{shown}");
        }
        let listening = |line: &&String| line.contains(&openfed.sip().to_string());
        until(async || openfed.log_lines().iter().any(|line| listening(&line))).await?;
        Ok(())
    });
}

#[test]
fn a_second_trace_is_another_one() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { collector, hop, trusted, openfed, .. } = &world;
        let from = format!("sip:alice@{LOCAL}");
        for domain in ["one.example", "two.example"] {
            let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "hello");
            assert_eq!(trusted.send(&message, openfed.sip()).await?.status(), Some(200));
        }
        hop.requests.wait_for("two.example", SOON, |own| own.uri().contains("two.example")).await?;
        let of = |domain: &str| {
            let wanted = domain.to_owned();
            collector.spans.wait_for("route span", SOON, move |span| {
                span.name == "xcp.route" && span.attribute("xcp.domain") == Some(&wanted)
            })
        };
        assert_ne!(of("one.example").await?.trace, of("two.example").await?.trace);
        Ok(())
    });
}

#[test]
fn what_an_alert_waits_for_is_counted_from_nothing() {
    play(async |place| {
        let openfed = Openfed::start(place, &Setup::default()).await?;
        let mut shown = String::new();
        for server in openfed.http() {
            shown += &http::get(server, "/metrics").await?.text;
        }
        for counter in [
            "openfed_sip_parser_panics_total 0",
            "openfed_xmpp_dials_total{peer=\"home\",result=\"ok\"} 0",
        ] {
            assert!(shown.lines().any(|line| line == counter), "{counter} is not in\n{shown}");
        }
        openfed.stop().await
    });
}

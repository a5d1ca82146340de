//! "What would happen now, and why": the decision itself, made audible.

use openfed_proto::address::Preparation;
use openfed_proto::domain::Domain;
use openfed_proto::packet::Direction;

use crate::answers;
use crate::decide::{Accepted, Decision, Question, Rule, Way, World};
use crate::domains::Known;

/// What would happen to a message to or from a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub domain: Domain,
    pub decision: Decision,
    pub steps: Vec<Step>,
}

/// One question that was asked on the way to the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub question: &'static str,
    pub answer: String,
    /// The rule's short name, stable.
    pub rule: &'static str,
}

/// Asks the decision about a message of a user to (or from) `domain`.
pub(crate) fn explain(world: &World<'_>, domain: &Domain, direction: Direction) -> Explanation {
    let direction = match world.config.is_local(domain) {
        true => Direction::Internal,
        false => direction,
    };
    let mut question = Question {
        domain,
        other: None,
        direction,
        came_by_xmpp: direction == Direction::Outbound,
        by_xmpp: true,
        by_sip: true,
        xmpp: None,
        accepted: Accepted::No,
    };
    let mut steps = of_the_name(domain, direction);
    if direction == Direction::Inbound && world.config.is_below_local(domain) {
        steps.push(Step {
            question: "Is it below one of our own domains?",
            answer: "yes: through a next hop it is heard only if you have configured it".to_owned(),
            rule: "subdomain",
        });
    }
    let (decision, way) = world.decide(&question, &mut |rule, holds| steps.push(step(rule, holds)));
    steps.push(result(&way));
    if way == Way::TryXmpp {
        // The same decision, as it will be asked when XMPP finds nothing.
        let nothing = answers::not_found();
        question.xmpp = Some(&nothing);
        let mut later = Vec::new();
        let (_, way) = world.decide(&question, &mut |rule, holds| later.push((rule, holds)));
        let after_xmpp = later.into_iter().skip_while(|(rule, _)| *rule != Rule::InFallbackSet);
        steps.extend(after_xmpp.map(|(rule, holds)| step(rule, holds)));
        steps.push(result(&way));
    }
    Explanation { domain: domain.clone(), decision, steps }
}

/// What may keep a home server from carrying the name, whichever way it goes.
fn of_the_name(domain: &Domain, direction: Direction) -> Vec<Step> {
    if direction == Direction::Internal {
        return Vec::new();
    }
    let mut steps = Vec::new();
    if !Preparation::default().carries_domain(domain) {
        steps.push(Step {
            question: "Does every home server leave the name as it is?",
            answer:
                "no: by RFC 3920 it is another domain; such a home server is not given it, and \
                     senders are told jid-malformed"
                    .to_owned(),
            rule: "prepared-name",
        });
    }
    if let Some(kind) = domain.special_use() {
        steps.push(Step {
            question: "Is it a name that many resolvers do not ask about?",
            answer: format!(
                "yes ({kind}): delivered if the home server asks openfed for it, else refused with \
                 not-allowed; --try tells which"
            ),
            rule: "special-use",
        });
    }
    steps
}

fn step(rule: Rule, holds: bool) -> Step {
    let (rule_name, question) = words(rule);
    let answer = match rule {
        Rule::InTable(Some(Known::Configured)) => "yes: configured by the operator",
        Rule::InTable(Some(Known::Routed)) => "yes: a static route names it",
        Rule::InTable(Some(Known::Discovered)) => "yes: discovered by correspondence",
        _ if holds => "yes",
        _ => "no",
    };
    Step { question, answer: answer.to_owned(), rule: rule_name }
}

fn words(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::DomainBlocked => ("blocked-domain", "Is the domain blocked?"),
        Rule::BothLocal => ("local", "Is it one of our own domains?"),
        Rule::PinnedToXmpp => ("pinned", "Is the domain pinned to XMPP?"),
        Rule::RouteBlocked => ("blocked-route", "Is its most specific static route blocked?"),
        Rule::InTable(_) => ("known", "Is it a known SIP domain?"),
        Rule::AcceptedInDiscovery => ("accepted", "Has a discovery let the request in?"),
        Rule::StoreAnswers => ("store", "Does the store answer?"),
        Rule::XmppAvailable => ("xmpp-available", "Is XMPP federation on and an xmpp-cm linked?"),
        Rule::SpeaksXmpp => ("speaks-xmpp", "Did XMPP with it work in the last ten minutes?"),
        Rule::FailedJustNow => ("failed-just-now", "Did SIP to it fail in the last five seconds?"),
        Rule::InFallbackSet => {
            ("fallback-set", "If XMPP finds no server: does that allow a try by SIP?")
        }
        Rule::MappableToSip => ("mappable", "Can a message go by SIP?"),
        Rule::OpenRouteOpen => ("open-route", "Is the open route .* unblocked and in service?"),
    }
}

fn result(way: &Way) -> Step {
    let answer = match way {
        Way::Home => "Deliver it to the home server.".to_owned(),
        Way::Send => "Send it by the best static route.".to_owned(),
        Way::Reach => "Deliver it over XMPP.".to_owned(),
        Way::Accept => "Let it go on as SIP.".to_owned(),
        Way::TryXmpp => "Try to reach the domain over XMPP.".to_owned(),
        Way::TrySip(_) => "Try SIP by the open route; if that works, remember it.".to_owned(),
        Way::Stop(failure) => match &failure.text {
            Some(text) => format!("Refuse it with {}: {text}", failure.condition),
            None => format!("Answer {}.", failure.condition),
        },
    };
    Step { question: "So what happens?", answer, rule: "result" }
}

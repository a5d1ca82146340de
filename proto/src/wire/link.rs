//! Frames of a link on the wire.

use std::time::Duration;

use super::packet::{
    direction_in, direction_out, failure_in, failure_out, id_in, millis, role_in, role_out,
    trace_in, trace_out, twins,
};
use super::{WireError, required, v1};
use crate::domain::Domain;
use crate::link::{
    Attempt, AttemptEnded, DomainUse, Era, FromCm, FromRouter, Hello, Instruction, NextHop,
    Refused, StreamView, Tables, Trial, TrialStep,
};
use crate::route::{Credentials, Pattern, StaticRoute, Transport};

impl From<FromCm> for v1::FromCm {
    fn from(frame: FromCm) -> Self {
        use v1::from_cm::Frame;
        let frame = match frame {
            FromCm::Hello(hello) => Frame::Hello(hello_out(hello)),
            FromCm::Submit { packet, accepted_in, again, kept } => Frame::Submit(v1::Submit {
                packet: Some(packet.into()),
                accepted_in: accepted_in.map(|id| id.0.to_vec()),
                again,
                kept,
            }),
            FromCm::Acknowledged(packets) => Frame::Acknowledged(v1::Acknowledged { packets }),
            FromCm::Ended(ended) => Frame::Ended(v1::AttemptEnded {
                outcome: Some(ended.outcome.into()),
                number: ended.number,
                route: ended.route,
            }),
            FromCm::Credit(packets) => Frame::Credit(v1::Credit { packets }),
            FromCm::Usage(domains) => {
                Frame::Usage(v1::Usage { domains: domains.into_iter().map(use_out).collect() })
            }
            FromCm::Refused(refused) => Frame::Refused(refused_out(*refused)),
            FromCm::Leaving(deadline) => {
                Frame::Leaving(v1::Leaving { deadline_ms: millis(deadline) })
            }
            FromCm::Serving => Frame::Serving(v1::Serving {}),
            FromCm::Ask(domain) => Frame::Ask(v1::Ask { domain: domain.as_str().to_owned() }),
            FromCm::Astray(stanza) => Frame::Astray(v1::Astray { stanza }),
            FromCm::Streams { streams, total } => Frame::Streams(v1::Streams {
                streams: streams.into_iter().map(stream_out).collect(),
                total,
            }),
            FromCm::Recalled { packet, instruction, known } => Frame::Recalled(v1::Recalled {
                packet: packet.0.to_vec(),
                instruction: instruction_out(instruction).into(),
                known,
            }),
            FromCm::Tried { number, steps } => {
                Frame::Tried(v1::Tried { number, steps: steps.into_iter().map(step_out).collect() })
            }
        };
        v1::FromCm { frame: Some(frame) }
    }
}

impl TryFrom<v1::FromCm> for FromCm {
    type Error = WireError;

    fn try_from(frame: v1::FromCm) -> Result<Self, WireError> {
        use v1::from_cm::Frame;
        Ok(match required(frame.frame, "frame")? {
            Frame::Hello(hello) => FromCm::Hello(hello_in(hello)?),
            Frame::Submit(submit) => FromCm::Submit {
                packet: required(submit.packet, "packet")?.try_into()?,
                accepted_in: submit.accepted_in.as_deref().map(id_in).transpose()?,
                again: submit.again,
                kept: submit.kept,
            },
            Frame::Acknowledged(acknowledged) => FromCm::Acknowledged(acknowledged.packets),
            Frame::Ended(ended) => FromCm::Ended(AttemptEnded {
                outcome: required(ended.outcome, "outcome")?.try_into()?,
                number: ended.number,
                route: ended.route,
            }),
            Frame::Credit(credit) => FromCm::Credit(credit.packets),
            Frame::Usage(usage) => {
                FromCm::Usage(usage.domains.into_iter().map(use_in).collect::<Result<_, _>>()?)
            }
            Frame::Refused(refused) => FromCm::Refused(Box::new(refused_in(refused)?)),
            Frame::Leaving(leaving) => {
                FromCm::Leaving(Duration::from_millis(leaving.deadline_ms.into()))
            }
            Frame::Serving(v1::Serving {}) => FromCm::Serving,
            Frame::Ask(ask) => FromCm::Ask(domain_in(&ask.domain)?),
            Frame::Astray(astray) => FromCm::Astray(astray.stanza),
            Frame::Streams(v1::Streams { streams, total }) => FromCm::Streams {
                streams: streams.into_iter().map(stream_in).collect::<Result<_, _>>()?,
                total,
            },
            Frame::Recalled(recalled) => FromCm::Recalled {
                packet: id_in(&recalled.packet)?,
                instruction: instruction_in(recalled.instruction)?,
                known: recalled.known,
            },
            Frame::Tried(v1::Tried { number, steps }) => {
                FromCm::Tried { number, steps: steps.into_iter().map(step_in).collect() }
            }
        })
    }
}

impl From<FromRouter> for v1::FromRouter {
    fn from(frame: FromRouter) -> Self {
        use v1::from_router::Frame;
        let frame = match frame {
            FromRouter::Hello(hello) => Frame::Hello(hello_out(hello)),
            FromRouter::Attempt(attempt) => Frame::Attempt(v1::Attempt {
                packet: Some(attempt.packet.into()),
                number: attempt.number,
                instruction: instruction_out(attempt.instruction).into(),
            }),
            FromRouter::Outcome(outcome) => Frame::Outcome(outcome.into()),
            FromRouter::Taken { packets, held } => Frame::Taken(v1::Taken { packets, held }),
            FromRouter::Credit(packets) => Frame::Credit(v1::Credit { packets }),
            FromRouter::Tables(tables) => Frame::Tables(tables_out(tables)),
            FromRouter::Verdict { domain, sip, lease } => Frame::Verdict(v1::Verdict {
                domain: domain.as_str().to_owned(),
                sip,
                lease_s: lease.as_secs().try_into().unwrap_or(u32::MAX),
            }),
            FromRouter::Invalidate(domains) => Frame::Invalidate(v1::Invalidate {
                all: domains.is_none(),
                domains: names_out(domains.unwrap_or_default()),
            }),
            FromRouter::Leaving(deadline) => {
                Frame::Leaving(v1::Leaving { deadline_ms: millis(deadline) })
            }
            FromRouter::Serving => Frame::Serving(v1::Serving {}),
            FromRouter::Drain(on) => Frame::Drain(v1::Drain { on }),
            FromRouter::Astray(stanza) => Frame::Astray(v1::Astray { stanza }),
            FromRouter::ListStreams => Frame::ListStreams(v1::ListStreams {}),
            FromRouter::Try(trial) => Frame::Trial(trial_out(trial)),
            FromRouter::Recall { packet, instruction } => Frame::Recall(v1::Recall {
                packet: packet.0.to_vec(),
                instruction: instruction_out(instruction).into(),
            }),
            FromRouter::Undelivered { stanza, failure } => {
                let failure = Some(failure_out(failure));
                Frame::Undelivered(v1::Undelivered { stanza, failure })
            }
        };
        v1::FromRouter { frame: Some(frame) }
    }
}

impl TryFrom<v1::FromRouter> for FromRouter {
    type Error = WireError;

    fn try_from(frame: v1::FromRouter) -> Result<Self, WireError> {
        use v1::from_router::Frame;
        Ok(match required(frame.frame, "frame")? {
            Frame::Hello(hello) => FromRouter::Hello(hello_in(hello)?),
            Frame::Attempt(attempt) => FromRouter::Attempt(Attempt {
                packet: required(attempt.packet, "packet")?.try_into()?,
                number: attempt.number,
                instruction: instruction_in(attempt.instruction)?,
            }),
            Frame::Outcome(outcome) => FromRouter::Outcome(outcome.try_into()?),
            Frame::Taken(v1::Taken { packets, held }) => FromRouter::Taken { packets, held },
            Frame::Credit(credit) => FromRouter::Credit(credit.packets),
            Frame::Tables(tables) => FromRouter::Tables(tables_in(tables)?),
            Frame::Verdict(verdict) => FromRouter::Verdict {
                domain: domain_in(&verdict.domain)?,
                sip: verdict.sip,
                lease: Duration::from_secs(verdict.lease_s.into()),
            },
            Frame::Invalidate(v1::Invalidate { all: true, .. }) => FromRouter::Invalidate(None),
            Frame::Invalidate(some) => FromRouter::Invalidate(Some(names_in(&some.domains)?)),
            Frame::Leaving(leaving) => {
                FromRouter::Leaving(Duration::from_millis(leaving.deadline_ms.into()))
            }
            Frame::Serving(v1::Serving {}) => FromRouter::Serving,
            Frame::Drain(drain) => FromRouter::Drain(drain.on),
            Frame::Astray(astray) => FromRouter::Astray(astray.stanza),
            Frame::ListStreams(v1::ListStreams {}) => FromRouter::ListStreams,
            Frame::Trial(trial) => FromRouter::Try(trial_in(trial)?),
            Frame::Recall(recall) => FromRouter::Recall {
                packet: id_in(&recall.packet)?,
                instruction: instruction_in(recall.instruction)?,
            },
            Frame::Undelivered(undelivered) => FromRouter::Undelivered {
                stanza: undelivered.stanza,
                failure: failure_in(required(undelivered.failure, "failure")?)?,
            },
        })
    }
}

fn hello_out(hello: Hello) -> v1::Hello {
    v1::Hello {
        role: role_out(hello.role).into(),
        node: hello.node,
        epoch: hello.epoch,
        capacity: hello.capacity,
        version: hello.version,
    }
}

fn hello_in(hello: v1::Hello) -> Result<Hello, WireError> {
    Ok(Hello {
        role: role_in(hello.role)?,
        node: hello.node,
        epoch: hello.epoch,
        capacity: hello.capacity,
        version: hello.version,
    })
}

fn stream_out(view: StreamView) -> v1::StreamView {
    let name = |domain: Option<Domain>| domain.map(|domain| domain.as_str().to_owned());
    v1::StreamView {
        local: name(view.local),
        remote: name(view.remote),
        dialed: view.dialed,
        encrypted: view.encrypted,
        authenticated: view.authenticated,
        pairs: view.pairs,
        queued: view.queued,
    }
}

fn stream_in(view: v1::StreamView) -> Result<StreamView, WireError> {
    Ok(StreamView {
        local: view.local.as_deref().map(domain_in).transpose()?,
        remote: view.remote.as_deref().map(domain_in).transpose()?,
        dialed: view.dialed,
        encrypted: view.encrypted,
        authenticated: view.authenticated,
        pairs: view.pairs,
        queued: view.queued,
    })
}

fn trial_out(trial: Trial) -> v1::Trial {
    let hop = trial.hop.map(|hop| v1::NextHop {
        host: hop.host,
        port: hop.port.into(),
        transport: transport_out(hop.transport).into(),
    });
    v1::Trial { number: trial.number, domain: trial.domain.as_str().to_owned(), hop }
}

fn trial_in(trial: v1::Trial) -> Result<Trial, WireError> {
    let hop = trial.hop.map(|hop| {
        Ok(NextHop {
            host: hop.host,
            port: hop.port.try_into().map_err(|_| WireError::Malformed("port"))?,
            transport: transport_in(hop.transport)?,
        })
    });
    let (number, domain) = (trial.number, domain_in(&trial.domain)?);
    Ok(Trial { number, domain, hop: hop.transpose()? })
}

fn step_out(step: TrialStep) -> v1::TrialStep {
    let took_us = step.took.as_micros().try_into().unwrap_or(u32::MAX);
    v1::TrialStep { what: step.what, finding: step.finding, good: step.good, took_us }
}

fn step_in(step: v1::TrialStep) -> TrialStep {
    let took = Duration::from_micros(step.took_us.into());
    TrialStep { what: step.what, finding: step.finding, good: step.good, took }
}

fn refused_out(refused: Refused) -> v1::Refused {
    v1::Refused {
        outcome: Some(refused.outcome.into()),
        domain: refused.domain.as_str().to_owned(),
        direction: direction_out(refused.direction).into(),
        trace: Some(trace_out(refused.trace)),
    }
}

fn refused_in(refused: v1::Refused) -> Result<Refused, WireError> {
    Ok(Refused {
        outcome: required(refused.outcome, "outcome")?.try_into()?,
        domain: domain_in(&refused.domain)?,
        direction: direction_in(refused.direction)?,
        trace: refused.trace.map(trace_in).transpose()?.unwrap_or_default(),
    })
}

fn use_out(usage: DomainUse) -> v1::DomainUse {
    v1::DomainUse {
        domain: usage.domain.as_str().to_owned(),
        hits: usage.hits,
        last_seen_s: usage.last_seen,
        last_failure: usage.last_failure,
    }
}

fn use_in(usage: v1::DomainUse) -> Result<DomainUse, WireError> {
    Ok(DomainUse {
        domain: domain_in(&usage.domain)?,
        hits: usage.hits,
        last_seen: usage.last_seen_s,
        last_failure: usage.last_failure,
    })
}

fn tables_out(tables: Tables) -> v1::Tables {
    v1::Tables {
        era: Some(v1::Era { store: tables.era.store, number: tables.era.number }),
        version: tables.version,
        routes: tables.routes.into_iter().map(v1::StaticRoute::from).collect(),
        blocked: tables.blocked.iter().map(ToString::to_string).collect(),
        pinned: names_out(tables.pinned),
    }
}

fn tables_in(tables: v1::Tables) -> Result<Tables, WireError> {
    let routes = tables.routes.into_iter().map(StaticRoute::try_from);
    let blocked = tables.blocked.iter().map(|pattern| pattern.parse());
    let era = tables.era.map(|era| Era { store: era.store, number: era.number });
    Ok(Tables {
        era: era.unwrap_or_default(),
        version: tables.version,
        routes: routes.collect::<Result<_, _>>()?,
        blocked: blocked.collect::<Result<_, _>>().map_err(|_| WireError::Malformed("blocked"))?,
        pinned: names_in(&tables.pinned)?,
    })
}

impl From<StaticRoute> for v1::StaticRoute {
    fn from(route: StaticRoute) -> Self {
        v1::StaticRoute {
            pattern: route.pattern.to_string(),
            user: route.pattern.is_user(),
            description: route.description,
            next_hop: route.next_hop,
            port: route.port.into(),
            transport: transport_out(route.transport).into(),
            priority: route.priority.into(),
            weight: route.weight.into(),
            allow_less_specific: route.allow_less_specific,
            in_service: route.in_service,
            blocked: route.blocked,
            credentials: route.credentials.map(|credentials| v1::Credentials {
                username: credentials.username,
                password: credentials.password,
            }),
            version: route.version,
            id: route.id,
        }
    }
}

impl TryFrom<v1::StaticRoute> for StaticRoute {
    type Error = WireError;

    fn try_from(route: v1::StaticRoute) -> Result<Self, WireError> {
        let pattern = match route.user {
            true => Pattern::user(&route.pattern),
            false => Pattern::domain(&route.pattern),
        };
        Ok(StaticRoute {
            id: route.id,
            pattern: pattern.map_err(|_| WireError::Malformed("pattern"))?,
            description: route.description,
            next_hop: route.next_hop,
            port: route.port.try_into().map_err(|_| WireError::Malformed("port"))?,
            transport: transport_in(route.transport)?,
            priority: route.priority.try_into().map_err(|_| WireError::Malformed("priority"))?,
            weight: route.weight.try_into().map_err(|_| WireError::Malformed("weight"))?,
            allow_less_specific: route.allow_less_specific,
            in_service: route.in_service,
            blocked: route.blocked,
            credentials: route.credentials.map(|credentials| Credentials {
                username: credentials.username,
                password: credentials.password,
            }),
            version: route.version,
        })
    }
}

fn domain_in(name: &str) -> Result<Domain, WireError> {
    Domain::parse(name).map_err(|_| WireError::Malformed("domain"))
}

fn names_in(names: &[String]) -> Result<Vec<Domain>, WireError> {
    names.iter().map(|name| domain_in(name)).collect()
}

fn names_out(domains: Vec<Domain>) -> Vec<String> {
    domains.iter().map(|domain| domain.as_str().to_owned()).collect()
}

twins!(Transport, Transport, transport_out, transport_in, "transport": Tcp, Udp, Tls);
twins!(Instruction, Instruction, instruction_out, instruction_in, "instruction":
    Reach, Probe, Home, Send, Discover, Accept);

//! A core among scripted servers and routers: real streams, real bytes, one clock.

mod bounces;
mod counting;
mod deliveries;
mod dialback;
mod discovery;
mod management;
mod naming;
mod onward;
mod passing;
mod proof;
mod random;
mod server;
mod silence;
mod spelling;
mod world;

use openfed_proto::address::Address;
use openfed_proto::domain::Domain;

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(super) fn address(jid: &str) -> Address {
    Address::from_jid(jid).unwrap()
}

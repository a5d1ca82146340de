//! A domain with several servers, some of them of no use.

use std::time::Duration;

use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Ending, Failure, Protocol};

use super::server::{Fault, Server};
use super::world::{World, taken};
use crate::core::ConnectFailure;
use crate::stream::StreamCondition;

const NAMES: [&str; 6] =
    ["one.example", "two.example", "three.example", "four.example", "five.example", "six.example"];

/// What is wrong with a server of the domain.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Fault(Fault),
    Says(Error),
    Distrusts,
    Mute,
    NoConnection(ConnectFailure),
}

#[derive(Clone, Copy, Debug)]
enum Error {
    HostUnknown,
    Internal,
}

/// `d.example` with these servers, in the order of DNS.
fn world(servers: &[Trouble]) -> World {
    let mut world = World::new();
    let names = &NAMES[..servers.len()];
    world.several.insert("d.example", names.to_vec());
    for (name, trouble) in names.iter().zip(servers) {
        let mut server = Server::new("d.example");
        match *trouble {
            Trouble::None => {}
            Trouble::Fault(fault) => server.fault = Some(fault),
            Trouble::Says(Error::HostUnknown) => {
                server.refuses = Some(StreamCondition::HostUnknown);
            }
            Trouble::Says(Error::Internal) => {
                server.refuses = Some(StreamCondition::InternalServerError);
            }
            Trouble::Distrusts => server.distrusts = true,
            Trouble::Mute => server.mute = true,
            Trouble::NoConnection(why) => world.break_name(name, why),
        }
        world.servers.insert(name, server);
    }
    world
}

/// Alice writes; how it ends, if it does so by itself.
fn writes(world: &mut World) -> Option<Ending> {
    let packet = world.sip_message("alice@corp.example", "bob@d.example", "hi");
    world.attempt(&packet, Instruction::Reach);
    world.endings().pop()
}

fn accepted(world: &mut World) -> Vec<usize> {
    let names = world.several["d.example"].clone();
    names.iter().map(|name| world.server(name).accepted).collect()
}

#[test]
fn one_server_of_no_use_does_not_keep_a_message_from_the_next() {
    let troubles = [
        Trouble::Fault(Fault::Closes),
        Trouble::Fault(Fault::Tls),
        Trouble::Fault(Fault::Unknown),
        Trouble::Says(Error::HostUnknown),
        Trouble::Says(Error::Internal),
    ];
    for trouble in troubles {
        let mut world = world(&[trouble, Trouble::None, Trouble::None]);
        let delivered = Ending::Delivered { by: Protocol::Xmpp, status: 200 };
        assert_eq!(writes(&mut world), Some(delivered), "{trouble:?}");
        assert_eq!(taken(world.server("two.example")).len(), 1, "{trouble:?}");
        assert_eq!(accepted(&mut world), [1, 1, 0], "{trouble:?}");
        let pings = world.server("two.example");
        pings.got.clear();
    }
}

#[test]
fn who_cannot_be_spoken_for_at_one_server_is_not_at_the_next() {
    let mut world = world(&[Trouble::Distrusts, Trouble::None]);
    let Some(Ending::Failed(failure)) = writes(&mut world) else { panic!("it fails") };
    assert_eq!(failure.cause, Cause::Untrusted);
    assert_eq!(accepted(&mut world), [1, 0]);
}

#[test]
fn of_several_that_fail_the_most_telling_is_told() {
    let closes = Trouble::Fault(Fault::Closes);
    let (unknown, internal) = (Trouble::Says(Error::HostUnknown), Trouble::Says(Error::Internal));
    let tls = Trouble::Fault(Fault::Tls);
    let no = Trouble::NoConnection;
    let cases = [
        ([closes, closes], Cause::Unreachable),
        ([closes, unknown], Cause::HostUnknown),
        ([unknown, closes], Cause::HostUnknown),
        ([unknown, no(ConnectFailure::Unreachable)], Cause::HostUnknown),
        ([no(ConnectFailure::Unreachable), unknown], Cause::HostUnknown),
        // What would be a downgrade stays one.
        ([tls, unknown], Cause::Untrusted),
        ([unknown, tls], Cause::Untrusted),
        ([no(ConnectFailure::Untrusted), closes], Cause::Untrusted),
        ([closes, no(ConnectFailure::Untrusted)], Cause::Untrusted),
        ([unknown, no(ConnectFailure::Busy)], Cause::Busy),
        ([internal, unknown], Cause::Remote),
        ([closes, internal], Cause::Remote),
        ([internal, tls], Cause::Remote),
        ([tls, internal], Cause::Remote),
    ];
    for (servers, cause) in cases {
        let mut world = world(&servers);
        let Some(Ending::Failed(Failure { cause: told, .. })) = writes(&mut world) else {
            panic!("{servers:?}: it fails")
        };
        assert_eq!(told, cause, "{servers:?}");
        assert!(accepted(&mut world).iter().all(|times| *times <= 1), "{servers:?}");
        assert!(world.core.conns.is_empty(), "{servers:?}");
    }
}

#[test]
fn only_a_few_are_tried() {
    let mut world = world(&[Trouble::Fault(Fault::Closes); 6]);
    assert!(matches!(writes(&mut world), Some(Ending::Failed(_))));
    assert_eq!(accepted(&mut world), [1, 1, 1, 1, 0, 0]);
}

#[test]
fn all_of_them_have_the_time_of_one() {
    let mut world = world(&[Trouble::Says(Error::HostUnknown), Trouble::Mute, Trouble::None]);
    assert_eq!(writes(&mut world), None);
    world.wait(Duration::from_millis(7_400));
    assert_eq!(world.endings(), []);
    world.wait(Duration::from_millis(100));
    let Some(Ending::Failed(failure)) = world.endings().pop() else { panic!("it fails") };
    assert_eq!(failure.cause, Cause::HostUnknown);
    world.wait(Duration::from_secs(10));
    assert_eq!(accepted(&mut world), [1, 1, 0]);
}

#[test]
fn a_key_is_verified_at_the_next_server_too() {
    let mut world = world(&[Trouble::Fault(Fault::Closes), Trouble::None]);
    world.server("two.example").say(
        "<message type='chat' id='m1' from='bob@d.example/desk' to='alice@corp.example'>\
         <body>hi</body></message>",
    );
    world.run();
    assert_eq!(taken(world.home()).len(), 1);
    assert_eq!(accepted(&mut world), [1, 1]);
}

//! `xmpp-cm`: the XMPP Federation Connection Manager.

use std::process::ExitCode;

fn main() -> ExitCode {
    openfed_node::process::main(
        "xmpp-cm",
        "XMPP Federation Connection Manager of openfed: the XMPP edge",
        xmpp_cm::serve,
    )
}

//! `sip-cm`: the SIP Federation Connection Manager.

use std::process::ExitCode;

fn main() -> ExitCode {
    openfed_node::process::main(
        "sip-cm",
        "SIP Federation Connection Manager of openfed: the SIP edge",
        sip_cm::serve,
    )
}

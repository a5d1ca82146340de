//! The router: decides where packets go, keeps the domain table, serves the API.

use std::process::ExitCode;

fn main() -> ExitCode {
    openfed_node::process::main(
        "xcp-router",
        "openfed's router: links of the connection managers, decisions, API",
        xcp_router::serve,
    )
}

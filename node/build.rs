//! Generates the gRPC stubs of the link; the messages themselves are `openfed-proto`'s.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["link.proto"], ["../proto/proto"])?;
    tonic_prost_build::configure()
        .extern_path(".openfed.v1", "::openfed_proto::wire::v1")
        .build_transport(false)
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../proto/proto");
    Ok(())
}

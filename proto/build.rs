//! Generates the messages of the wire from proto/*.proto, without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["link.proto"], ["proto"])?;
    prost_build::Config::new()
        .bytes([
            ".openfed.v1.Original.bytes",
            ".openfed.v1.Astray.stanza",
            ".openfed.v1.Undelivered.stanza",
        ])
        .skip_debug([
            ".openfed.v1.Address",
            ".openfed.v1.Credentials",
            ".openfed.v1.Text",
            ".openfed.v1.Html",
            ".openfed.v1.Original",
        ])
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}

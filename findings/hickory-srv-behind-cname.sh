#!/usr/bin/env bash
# Guess:  a stub resolver that is answered "CNAME, and the SRV records of the name behind it", in one
#         message, as every recursive server does it, gives those SRV records, as it does with addresses.
# Seen:   hickory-resolver 0.26.3 gives the address behind a CNAME, and for SRV behind a CNAME the error
#         "no records found". The CNAME alone can be asked for.
# Needs cargo (Rust 1.88 or later) and python3. Ends with "as seen" (0), or says what has changed (1).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dnslib==0.9.26
cat >server.py <<'PYTHON'
from dnslib import A, CNAME, QTYPE, RR, SRV
from dnslib.server import BaseResolver, DNSServer

ZONE = {
    ("_xmpp-server._tcp.hosted.example.", "SRV"): [
        RR("_xmpp-server._tcp.hosted.example", QTYPE.CNAME, ttl=60, rdata=CNAME("_xmpp-server._tcp.host.example")),
        RR("_xmpp-server._tcp.host.example", QTYPE.SRV, ttl=60, rdata=SRV(1, 1, 5269, "one.host.example")),
    ],
    ("www.hosted.example.", "A"): [
        RR("www.hosted.example", QTYPE.CNAME, ttl=60, rdata=CNAME("one.host.example")),
        RR("one.host.example", QTYPE.A, ttl=60, rdata=A("192.0.2.1")),
    ],
}

class Zone(BaseResolver):
    def resolve(self, request, handler):
        reply = request.reply()
        for record in ZONE.get((str(request.q.qname), QTYPE[request.q.qtype]), []):
            reply.add_answer(record)
        return reply

DNSServer(Zone(), address="127.0.0.2", port=15353).start()
PYTHON
venv/bin/python server.py >/dev/null 2>&1 &
server=$!
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"
[dependencies]
hickory-resolver = { version = "=0.26.3", default-features = false, features = ["tokio"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
TOML
cat >src/main.rs <<'RUST'
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;

#[tokio::main]
async fn main() {
    let mut server = NameServerConfig::udp_and_tcp("127.0.0.2".parse().unwrap());
    server.connections.iter_mut().for_each(|connection| connection.port = 15353);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let resolver = builder.build().unwrap();
    for (name, kind) in [
        ("www.hosted.example.", RecordType::A),
        ("_xmpp-server._tcp.hosted.example.", RecordType::SRV),
    ] {
        match resolver.lookup(name, kind).await {
            Ok(found) => {
                let wanted = found.answers().iter().filter(|it| it.record_type() == kind).count();
                println!("{kind}: {wanted} found");
            }
            Err(error) => println!("{kind}: nothing, is_no_records_found={}", error.is_no_records_found()),
        }
    }
}
RUST
seen=$(cargo run --quiet)
printf '%s\n' "$seen"
[ "$seen" = "A: 1 found
SRV: nothing, is_no_records_found=true" ] || { echo "changed"; exit 1; }
echo "hickory-resolver 0.26.3: as seen"

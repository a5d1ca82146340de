//! The DNS of the tests: a table of records, NXDOMAIN for the rest, and a count of who was asked for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::op::{Message, Metadata, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use crate::Result;

/// How long resolvers may keep an answer: not at all, so that a change acts at once.
const TTL: u32 = 0;

#[derive(Default)]
struct Zone {
    records: HashMap<String, Vec<RData>>,
    queries: Vec<(String, RecordType)>,
    silent: bool,
}

/// A DNS server over UDP and TCP.
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    tasks: [JoinHandle<()>; 2],
}

impl DnsServer {
    /// Starts with an empty table; with port 0, at one that is free.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).await?;
        let zone = Arc::<Mutex<Zone>>::default();
        let tasks = [
            tokio::spawn(serve_udp(udp, Arc::clone(&zone))),
            tokio::spawn(serve_tcp(tcp, Arc::clone(&zone))),
        ];
        Ok(Self { address, zone, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an A or AAAA record.
    pub fn host(&self, name: &str, ip: IpAddr) {
        self.add(
            name,
            match ip {
                IpAddr::V4(ip) => RData::A(A(ip)),
                IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
            },
        );
    }

    /// Adds an SRV record, e.g. for `_xmpp-server._tcp.foreign.example`.
    pub fn srv(
        &self,
        name: &str,
        priority: u16,
        weight: u16,
        port: u16,
        target: &str,
    ) -> Result<()> {
        let target = Name::from_ascii(format!("{}.", target.trim_end_matches('.')))?;
        self.add(name, RData::SRV(SRV::new(priority, weight, port, target)));
        Ok(())
    }

    /// Takes all records of a name away.
    pub fn remove(&self, name: &str) {
        lock(&self.zone).records.remove(&key(name));
    }

    /// Stops or starts answering; questions are still counted.
    pub fn silence(&self, silent: bool) {
        lock(&self.zone).silent = silent;
    }

    /// The number of questions so far about `name` or any name below it.
    pub fn queries_about(&self, name: &str) -> usize {
        let name = key(name);
        let below = format!(".{name}");
        let zone = lock(&self.zone);
        zone.queries.iter().filter(|(asked, _)| *asked == name || asked.ends_with(&below)).count()
    }

    /// All questions so far, as name and type.
    pub fn queries(&self) -> Vec<(String, RecordType)> {
        lock(&self.zone).queries.clone()
    }

    fn add(&self, name: &str, data: RData) {
        lock(&self.zone).records.entry(key(name)).or_default().push(data);
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = answer(&buffer[..length], &zone) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let zone = Arc::clone(&zone);
        tokio::spawn(async move { serve_connection(stream, &zone).await });
    }
}

async fn serve_connection(mut stream: TcpStream, zone: &Mutex<Zone>) -> Option<()> {
    loop {
        let mut question = vec![0; stream.read_u16().await.ok()?.into()];
        stream.read_exact(&mut question).await.ok()?;
        let answer = answer(&question, zone)?;
        stream.write_u16(answer.len().try_into().ok()?).await.ok()?;
        stream.write_all(&answer).await.ok()?;
    }
}

fn answer(question: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let request = Message::from_vec(question).ok()?;
    let query = request.queries.first()?.clone();
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.authoritative = true;
    response.metadata.recursion_available = true;
    let mut zone = lock(zone);
    fill(&mut response, &query, &mut zone);
    response.add_query(query);
    if zone.silent { None } else { response.to_vec().ok() }
}

fn fill(response: &mut Message, query: &Query, zone: &mut Zone) {
    let name = key(&query.name().to_ascii());
    zone.queries.push((name.clone(), query.query_type()));
    let Some(records) = zone.records.get(&name) else {
        // A name with something below it exists, if empty (RFC 8020).
        let parent = format!(".{name}");
        if !zone.records.keys().any(|known| known.ends_with(&parent)) {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        return;
    };
    for data in records.iter().filter(|data| data.record_type() == query.query_type()) {
        response.add_answer(Record::from_rdata(query.name().clone(), TTL, data.clone()));
    }
}

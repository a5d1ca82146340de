//! A DNS responder that answers every name with one address: a home server whose resolver is
//! pointed here hands every foreign domain to `xmpp-cm`, whatever server it is.
//!
//! | question | answer |
//! |---|---|
//! | `A`, `AAAA` of any name | the configured address if it is of that family, else no data |
//! | `SRV _xmpp-server._tcp.X` | `0 0 <port> X` |
//! | any other name with a label that begins with `_`, e.g. `_xmpps-server._tcp.X` | no such name |
//! | anything else | no data |

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Seconds that an answer may be kept.
const TTL: u32 = 60;
/// Longest question that is read; a real one has one name of at most 255 bytes.
const MAX_QUESTION: usize = 1_232;
/// TCP connections served at once; more wait in the kernel.
const MAX_TCP: usize = 64;
/// How long a TCP connection may be idle or slow.
const TCP_PATIENCE: Duration = Duration::from_secs(10);
/// After an error of the sockets themselves, e.g. out of files.
const PAUSE: Duration = Duration::from_millis(50);

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// The address of `xmpp-cm` as the home server reaches it.
    pub address: IpAddr,
    /// The port of its server-to-server listener.
    pub port: u16,
}

impl Answers {
    /// The answer to one question, both as on the wire. `None`: nothing is said, because what came
    /// is no question.
    pub fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        match Message::from_vec(question) {
            Ok(query) if query.metadata.message_type == MessageType::Query => {
                self.respond(query).to_vec().ok()
            }
            Ok(_) => None,
            Err(_) => format_error(question),
        }
    }

    fn respond(&self, query: Message) -> Message {
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.authoritative = true;
        if query.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(1_232);
            response.set_edns(edns);
        }
        response.metadata.response_code = match (query.metadata.op_code, &query.queries[..]) {
            (OpCode::Query, [one]) if one.query_class() == DNSClass::IN => {
                self.resolve(one.name(), one.query_type(), &mut response.answers)
            }
            (OpCode::Query, [_]) => ResponseCode::Refused,
            (OpCode::Query, _) => ResponseCode::FormErr,
            _ => ResponseCode::NotImp,
        };
        let code = response.metadata.response_code;
        if response.answers.is_empty()
            && matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
        {
            // Without it resolvers do not keep the negative answer (RFC 2308 §5).
            response.add_authority(start_of_authority());
        }
        response.add_queries(query.queries);
        response
    }

    fn resolve(&self, name: &Name, kind: RecordType, answers: &mut Vec<Record>) -> ResponseCode {
        let data = match service(name) {
            Service::Xmpp(target) if kind == RecordType::SRV => {
                Some(RData::SRV(SRV::new(0, 0, self.port, target)))
            }
            Service::Xmpp(_) => None,
            Service::Other => return ResponseCode::NXDomain,
            Service::None => match (kind, self.address) {
                (RecordType::A, IpAddr::V4(address)) => Some(RData::A(address.into())),
                (RecordType::AAAA, IpAddr::V6(address)) => Some(RData::AAAA(address.into())),
                _ => None,
            },
        };
        answers.extend(data.map(|data| Record::from_rdata(name.clone(), TTL, data)));
        ResponseCode::NoError
    }
}

enum Service {
    /// `_xmpp-server._tcp` of this name.
    Xmpp(Name),
    /// Some other service or underscored name.
    Other,
    /// A host.
    None,
}

fn service(name: &Name) -> Service {
    let is = |label: Option<&[u8]>, text: &str| {
        label.is_some_and(|label| label.eq_ignore_ascii_case(text.as_bytes()))
    };
    let mut labels = name.iter();
    if is(labels.next(), "_xmpp-server") && is(labels.next(), "_tcp") {
        let target = name.trim_to(labels.count());
        return if target.is_root() { Service::Other } else { Service::Xmpp(target) };
    }
    match name.iter().any(|label| label.starts_with(b"_")) {
        true => Service::Other,
        false => Service::None,
    }
}

fn start_of_authority() -> Record {
    let soa = SOA::new(Name::root(), Name::root(), 1, 3_600, 600, 86_400, TTL);
    Record::from_rdata(Name::root(), TTL, RData::SOA(soa))
}

/// What can be answered to bytes that are no message: their id, if they were meant as a question.
fn format_error(question: &[u8]) -> Option<Vec<u8>> {
    let [high, low, flags, ..] = question else { return None };
    let is_question = question.len() >= 12 && flags & 0x80 == 0;
    let id = u16::from_be_bytes([*high, *low]);
    let error = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    if is_question { error.to_vec().ok() } else { None }
}

/// The responder with its sockets.
#[derive(Debug)]
pub struct Responder {
    answers: Answers,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Responder {
    /// Binds UDP and TCP of one address.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn bind(listen: SocketAddr, answers: Answers) -> io::Result<Self> {
        let tcp = TcpListener::bind(listen).await?;
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { answers, udp, tcp })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn run(self) {
        tokio::join!(serve_udp(&self.udp, self.answers), serve_tcp(&self.tcp, self.answers));
    }
}

async fn serve_udp(socket: &UdpSocket, answers: Answers) {
    // One byte more than is read, so that a longer question is seen to be one.
    let mut buffer = [0; MAX_QUESTION + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) if length <= MAX_QUESTION && is_near(from.ip()) => {
                if let Some(answer) = buffer.get(..length).and_then(|bytes| answers.answer(bytes)) {
                    // A lost answer is asked for again.
                    let _ = socket.try_send_to(&answer, from);
                }
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_tcp(listener: &TcpListener, answers: Answers) {
    let room = Arc::new(Semaphore::new(MAX_TCP));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) if is_near(from.ip()) => {
                tokio::spawn(async move {
                    let _ = serve_connection(stream, answers).await;
                    drop(permit);
                });
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_connection(mut stream: TcpStream, answers: Answers) -> io::Result<()> {
    let mut buffer = [0; MAX_QUESTION];
    loop {
        let length = usize::from(timeout(TCP_PATIENCE, stream.read_u16()).await??);
        let Some(question) = buffer.get_mut(..length) else { return Ok(()) };
        timeout(TCP_PATIENCE, stream.read_exact(question)).await??;
        let Some(answer) = answers.answer(question) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(TCP_PATIENCE, stream.write_all(&framed)).await??;
    }
}

/// Whether a source may be the home server: this machine or a private network. To anybody else
/// the responder would be an amplifier for forged sources.
fn is_near(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(v4) => is_near_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_near_v4(v4),
            None => v6 == Ipv6Addr::LOCALHOST || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

fn is_near_v4(source: Ipv4Addr) -> bool {
    source.is_loopback() || source.is_private() || source.is_link_local()
}

#[cfg(test)]
mod tests;

use super::*;

const LOCAL: &str = "127.0.0.1:0";

fn hello<'a>() -> Request<'a> {
    Request { method: "MESSAGE", to: "sip:b@b.example", from: "sip:a@a.example", text: "hellö" }
}

#[tokio::test]
async fn what_one_agent_sends_the_other_takes_once() {
    let mut peer = Peer::start(LOCAL.parse().unwrap()).await.unwrap();
    let answer = ask(peer.address(), &hello(), T2).await.unwrap();
    assert_eq!(answer.status(), Some(200));
    assert_eq!(answer.header("To"), Some("<sip:b@b.example>;tag=openfed"));
    let (request, _) = peer.next().await.unwrap();
    assert_eq!((request.method(), request.body()), (Some("MESSAGE"), "hellö"));
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn silence_and_provisional_answers_are_repeated_into_until_the_final_one() {
    let deaf = UdpSocket::bind(LOCAL).await.unwrap();
    let address = deaf.local_addr().unwrap();
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 2000];
        for (status, reason) in [(0, ""), (100, "Trying"), (486, "Busy Here")] {
            let (octets, from) = deaf.recv_from(&mut buffer).await.unwrap();
            let request = Message::parse(&buffer[..octets]).unwrap();
            if status != 0 {
                deaf.send_to(&request.answer(status, reason).unwrap(), from).await.unwrap();
            }
        }
    });
    let answer = ask(address, &hello(), Duration::from_secs(8)).await.unwrap();
    assert_eq!((answer.status(), answer.status_line()), (Some(486), "486 Busy Here"));
    answers.await.unwrap();
}

#[tokio::test]
async fn endless_silence_ends_at_the_limit() {
    let silent = UdpSocket::bind(LOCAL).await.unwrap();
    let ended = ask(silent.local_addr().unwrap(), &hello(), Duration::from_millis(20)).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn foreign_writing_habits_are_read() {
    let text = b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=z9hG4bKx\r\nF : <sip:a@a>\r\n \
                 ;tag=1\r\nt: <sip:b@b>\r\n\r\n";
    let message = Message::parse(text).unwrap();
    assert_eq!(message.branch(), Some("z9hG4bKx"));
    assert_eq!(message.header("from"), Some("<sip:a@a> ;tag=1"));
    assert_eq!(message.answer(200, "OK"), None);
    assert_eq!(Message::parse(b"GET / HTTP/1.1\r\n\r\n"), None);
    assert_eq!(Message::parse(b"\x00\xff"), None);
}

#!/usr/bin/env bash
# Guess:  a server that opens a stream writes its stanzas in the order in which its users sent them,
#         also while the stream is being negotiated (RFC 6120 §10.1: in-order processing).
# Seen:   Prosody 0.12.3 counts an outgoing stream as authenticated from SASL <success/> on, but sends
#         what waited for it only when it has read the features of the restarted stream. What its users
#         write between the two goes out at once, before those features, and before what is older. With
#         dialback there is no such gap.
# Run as root on Debian 12. Ends with "as seen" (0), or says what has changed (1).
set -euo pipefail
version=0.12.3-1+deb12u1
have=$(dpkg-query -W -f '${Version}' prosody 2>/dev/null || true)
policy=/usr/sbin/policy-rc.d made=
if [ "$have" != "$version" ]; then
    # Exit status 101 keeps the package from starting its service.
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=yes; }
    apt-get install -y -qq "prosody=$version" openssl python3 >/dev/null
    [ -z "$made" ] || rm "$policy"
fi
folder=$(mktemp -d)
prosody=
trap '[ -z "$prosody" ] || kill "$prosody"; rm -rf "$folder"' EXIT
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 2 \
    -subj /CN=sending.example 2>/dev/null
mkdir -p sending%2eexample/accounts
echo 'return { ["password"] = "secret"; };' >sending%2eexample/accounts/ann.dat
cat >prosody.cfg.lua <<LUA
run_as_root = true
daemonize = false
data_path = "$folder"
pidfile = "$folder/pid"
modules_enabled = { "saslauth"; "tls"; "dialback"; "posix" }
interfaces = { "127.0.0.2" }
c2s_ports = { 15222 }
s2s_ports = { 15269 }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
s2s_secure_auth = false
ssl = { certificate = "$folder/certificate.pem"; key = "$folder/key.pem" }
log = { info = "$folder/log" }
VirtualHost "sending.example"
LUA
prosody -F --config prosody.cfg.lua >/dev/null 2>&1 &
prosody=$!
python3 - <<'PYTHON'
import re, socket, ssl, time

HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:{kind}' xmlns:db='jabber:server:dialback' "
          "xmlns:stream='http://etherx.jabber.org/streams' {names} version='1.0'>")
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"

class Peer:
    def __init__(self, sock):
        self.sock, self.heard = sock, ""
        sock.settimeout(15)

    def says(self, text):
        self.sock.sendall(text.encode())

    def until(self, pattern):
        while not (found := re.search(pattern, self.heard)):
            data = self.sock.recv(65536)
            if not data:
                raise SystemExit(f"changed: closed before {pattern}")
            self.heard += data.decode()
        self.heard = self.heard[found.end():]
        return found.group(0)

def connected(address):
    for _ in range(200):
        try:
            return socket.create_connection(address)
        except OSError:
            time.sleep(0.05)
    raise SystemExit("prosody does not listen")

# The receiving server is an address: nothing is to be looked up.
remote = socket.create_server(("127.0.0.3", 5269))
remote.settimeout(15)
user = Peer(connected(("127.0.0.2", 15222)))
opening = HEADER.format(kind="client", names="to='sending.example'")
user.says(opening)
user.until("</stream:features>")
user.says(f"<auth {SASL} mechanism='PLAIN'>AGFubgBzZWNyZXQ=</auth>")
user.until("<success")
user.says(opening)
user.until("</stream:features>")
user.says("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
user.until("type='result'|type=\"result\"")

def write(number):
    user.says(f"<message to='bob@127.0.0.3' id='m{number}'><body>{number}</body></message>")

write(1)
server = Peer(remote.accept()[0])
answer = HEADER.format(kind="server", names="id='1' from='127.0.0.3' to='sending.example'")

def offer(feature):
    server.until("<stream:stream[^>]*>")
    server.says(f"{answer}<stream:features>{feature}</stream:features>")

offer("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>")
server.until("<starttls[^>]*>")
server.says("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
server = Peer(context.wrap_socket(server.sock, server_side=True))
offer(f"<mechanisms {SASL}><mechanism>EXTERNAL</mechanism></mechanisms>")
server.until("</auth>")
server.says(f"<success {SASL}/>")
server.until("<stream:stream[^>]*>")
write(2)
first = server.until("id='m.'")
server.says(f"{answer}<stream:features/>")
second = server.until("id='m.'")
print(f"before the features came {first}, after them {second}")
if (first, second) != ("id='m2'", "id='m1'"):
    raise SystemExit("changed")
PYTHON
echo "prosody $version: as seen"

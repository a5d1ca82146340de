// A SIP user agent of the tests, of JAIN SIP: driven by lines on standard input, it tells what it
// sees by lines on standard output. The lines are those of ../sofia.c.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import javax.sip.ClientTransaction;
import javax.sip.Dialog;
import javax.sip.DialogTerminatedEvent;
import javax.sip.IOExceptionEvent;
import javax.sip.ListeningPoint;
import javax.sip.RequestEvent;
import javax.sip.ResponseEvent;
import javax.sip.ServerTransaction;
import javax.sip.SipFactory;
import javax.sip.SipListener;
import javax.sip.SipProvider;
import javax.sip.SipStack;
import javax.sip.TimeoutEvent;
import javax.sip.TransactionTerminatedEvent;
import javax.sip.address.AddressFactory;
import javax.sip.address.SipURI;
import javax.sip.header.CSeqHeader;
import javax.sip.header.ContactHeader;
import javax.sip.header.ContentTypeHeader;
import javax.sip.header.FromHeader;
import javax.sip.header.HeaderFactory;
import javax.sip.header.ToHeader;
import javax.sip.message.MessageFactory;
import javax.sip.message.Request;
import javax.sip.message.Response;

public final class Agent implements SipListener {
    private static final String OFFER =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

    private final AddressFactory addresses;
    private final HeaderFactory headers;
    private final MessageFactory messages;
    private final SipProvider provider;
    private final String host;
    private final int port;
    private final String user;
    private final String domain;
    private volatile Dialog call;

    private Agent(String own, String identity, String proxy) throws Exception {
        host = own.substring(0, own.lastIndexOf(':'));
        port = Integer.parseInt(own.substring(own.lastIndexOf(':') + 1));
        user = identity.substring(0, identity.indexOf('@'));
        domain = identity.substring(identity.indexOf('@') + 1);
        SipFactory factory = SipFactory.getInstance();
        factory.setPathName("gov.nist");
        Properties properties = new Properties();
        properties.setProperty("javax.sip.STACK_NAME", "agent");
        properties.setProperty("javax.sip.OUTBOUND_PROXY", proxy + "/udp");
        properties.setProperty("gov.nist.javax.sip.TRACE_LEVEL", "0");
        SipStack stack = factory.createSipStack(properties);
        addresses = factory.createAddressFactory();
        headers = factory.createHeaderFactory();
        messages = factory.createMessageFactory();
        ListeningPoint point = stack.createListeningPoint(host, port, "udp");
        provider = stack.createSipProvider(point);
        provider.addSipListener(this);
    }

    private static synchronized void tell(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private Request request(String method, String to) throws Exception {
        SipURI own = addresses.createSipURI(user, domain);
        FromHeader from = headers.createFromHeader(addresses.createAddress(own), UUID.randomUUID().toString());
        ToHeader target = headers.createToHeader(addresses.createAddress(to), null);
        Request request = messages.createRequest(
            addresses.createURI(to), method, provider.getNewCallId(), headers.createCSeqHeader(1L, method),
            from, target, List.of(headers.createViaHeader(host, port, "udp", null)),
            headers.createMaxForwardsHeader(70));
        request.addHeader(contact());
        return request;
    }

    private ContactHeader contact() throws Exception {
        SipURI uri = addresses.createSipURI(user, host);
        uri.setPort(port);
        return headers.createContactHeader(addresses.createAddress(uri));
    }

    private void fill(Request request, String hex) throws Exception {
        ContentTypeHeader type = headers.createContentTypeHeader("text", "plain");
        type.setParameter("charset", "UTF-8");
        request.setContent(HexFormat.of().parseHex(hex), type);
    }

    private ContentTypeHeader sdp() throws Exception {
        return headers.createContentTypeHeader("application", "sdp");
    }

    private void obey(String line) throws Exception {
        String[] words = line.trim().split(" ");
        switch (words[0] + " " + words.length) {
            case "message 3": {
                Request request = request(Request.MESSAGE, words[1]);
                request.removeHeader(ContactHeader.NAME);
                fill(request, words[2]);
                provider.getNewClientTransaction(request).sendRequest();
                break;
            }
            case "ask 3":
                provider.getNewClientTransaction(request(words[1], words[2])).sendRequest();
                break;
            case "call 2": {
                Request request = request(Request.INVITE, words[1]);
                request.setContent(OFFER, sdp());
                ClientTransaction transaction = provider.getNewClientTransaction(request);
                call = transaction.getDialog();
                transaction.sendRequest();
                break;
            }
            case "say 2": {
                Request request = call.createRequest(Request.MESSAGE);
                fill(request, words[1]);
                call.sendRequest(provider.getNewClientTransaction(request));
                break;
            }
            case "end 1":
                call.sendRequest(provider.getNewClientTransaction(call.createRequest(Request.BYE)));
                break;
            default:
                System.err.println("not understood: " + line);
        }
    }

    @Override
    public void processRequest(RequestEvent event) {
        try {
            Request request = event.getRequest();
            ServerTransaction transaction = event.getServerTransaction();
            if (transaction == null && !Request.ACK.equals(request.getMethod())) {
                transaction = provider.getNewServerTransaction(request);
            }
            switch (request.getMethod()) {
                case Request.MESSAGE:
                    tellMessage(request);
                    transaction.sendResponse(messages.createResponse(Response.OK, request));
                    break;
                case Request.INVITE: {
                    Response response = messages.createResponse(Response.OK, request);
                    response.addHeader(contact());
                    response.setContent(OFFER, sdp());
                    ((ToHeader) response.getHeader(ToHeader.NAME)).setTag("t" + System.nanoTime());
                    call = transaction.getDialog();
                    tell("called");
                    transaction.sendResponse(response);
                    break;
                }
                case Request.ACK:
                    tell("talking");
                    break;
                case Request.BYE:
                    transaction.sendResponse(messages.createResponse(Response.OK, request));
                    tell("ended");
                    break;
                case Request.OPTIONS:
                    transaction.sendResponse(messages.createResponse(Response.OK, request));
                    break;
                default:
                    transaction.sendResponse(messages.createResponse(Response.METHOD_NOT_ALLOWED, request));
            }
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }

    private void tellMessage(Request request) {
        byte[] body = request.getRawContent();
        String hex = HexFormat.of().formatHex(body == null ? new byte[0] : body);
        if (((ToHeader) request.getHeader(ToHeader.NAME)).getTag() != null) {
            tell("said " + hex);
            return;
        }
        SipURI from = (SipURI) ((FromHeader) request.getHeader(FromHeader.NAME)).getAddress().getURI();
        ContentTypeHeader type = (ContentTypeHeader) request.getHeader(ContentTypeHeader.NAME);
        String kind = type == null ? "-" : type.getContentType() + "/" + type.getContentSubType();
        tell("message " + from.getScheme() + ":" + from.getUser() + "@" + from.getHost() + " " + kind + " " + hex);
    }

    @Override
    public void processResponse(ResponseEvent event) {
        try {
            Response response = event.getResponse();
            CSeqHeader sequence = (CSeqHeader) response.getHeader(CSeqHeader.NAME);
            if (response.getStatusCode() < 200) {
                return;
            }
            boolean answered = Request.INVITE.equals(sequence.getMethod()) && response.getStatusCode() == 200;
            if (answered) {
                event.getDialog().sendAck(event.getDialog().createAck(sequence.getSeqNumber()));
            }
            tell("answer " + sequence.getMethod() + " " + response.getStatusCode());
            if (answered) {
                tell("talking");
            }
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }

    @Override
    public void processTimeout(TimeoutEvent event) {
        System.err.println("a transaction timed out");
    }

    @Override
    public void processIOException(IOExceptionEvent event) {
        System.err.println("no way to " + event.getHost());
    }

    @Override
    public void processTransactionTerminated(TransactionTerminatedEvent event) {}

    @Override
    public void processDialogTerminated(DialogTerminatedEvent event) {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.err.println("usage: Agent ADDRESS:PORT USER@DOMAIN PROXY");
            System.exit(64);
        }
        Agent agent = new Agent(arguments[0], arguments[1], arguments[2]);
        tell("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                agent.obey(line);
            } catch (Exception failure) {
                failure.printStackTrace();
            }
        }
        System.exit(0);
    }
}

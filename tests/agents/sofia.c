/*
 * A SIP user agent of the tests, of sofia-sip: driven by lines on standard input, it tells what it
 * sees by lines on standard output.
 *
 *     sofia ADDRESS:PORT USER@DOMAIN OUTBOUND-PROXY
 *
 * Lines in:
 *     message TO HEX     sends HEX as text/plain to the URI TO, outside a call
 *     ask METHOD TO      sends this request without a body
 *     call TO            calls
 *     say HEX            sends HEX as text/plain in the call
 *     end                ends the call
 * Lines out:
 *     ready
 *     message FROM TYPE HEX    a MESSAGE outside a call, answered 200
 *     said HEX                 the same in the call
 *     answer METHOD STATUS     the final response to what was sent
 *     called, talking, ended   what becomes of a call; whoever is called answers at once
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct agent agent_t;
#define NUA_MAGIC_T agent_t
#define SU_ROOT_MAGIC_T agent_t
#include <sofia-sip/nua.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su.h>

static const char OFFER[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                            "m=audio 9 RTP/AVP 0\r\n";

struct agent {
    su_home_t home[1];
    su_root_t *root;
    nua_t *nua;
    nua_handle_t *call;
    char from[256];
    char line[65536];
    size_t length;
};

static void tell_hex(const char *data, size_t length) {
    for (size_t i = 0; i < length; i++) printf("%02x", (unsigned char)data[i]);
    printf("\n");
}

static void tell_message(agent_t *agent, nua_handle_t *handle, const sip_t *sip) {
    const sip_payload_t *body = sip->sip_payload;
    const sip_content_type_t *type = sip->sip_content_type;
    if (handle == agent->call) {
        printf("said ");
    } else {
        const url_t *from = sip->sip_from->a_url;
        printf("message %s:%s@%s %s ", from->url_scheme, from->url_user ? from->url_user : "",
               from->url_host, type && type->c_type ? type->c_type : "-");
    }
    tell_hex(body ? body->pl_data : "", body ? body->pl_len : 0);
}

static void tell_answer(const char *method, int status) {
    if (status >= 200) printf("answer %s %d\n", method, status);
}

static void on_event(nua_event_t event, int status, char const *phrase, nua_t *nua, agent_t *agent,
                     nua_handle_t *handle, nua_hmagic_t *magic, sip_t const *sip, tagi_t tags[]) {
    (void)phrase, (void)nua, (void)magic, (void)tags;
    switch (event) {
    case nua_i_message:
        tell_message(agent, handle, sip);
        break;
    case nua_i_invite:
        agent->call = handle;
        printf("called\n");
        nua_respond(handle, SIP_200_OK, SIPTAG_CONTENT_TYPE_STR("application/sdp"),
                    SIPTAG_PAYLOAD_STR(OFFER), TAG_END());
        break;
    case nua_i_ack:
        printf("talking\n");
        break;
    case nua_r_invite:
        tell_answer("INVITE", status);
        if (status == 200) printf("talking\n");
        break;
    case nua_i_bye:
        printf("ended\n");
        agent->call = NULL;
        break;
    case nua_r_bye:
        tell_answer("BYE", status);
        agent->call = NULL;
        break;
    case nua_r_message:
        tell_answer("MESSAGE", status);
        break;
    case nua_r_method:
        tell_answer(sip && sip->sip_cseq ? sip->sip_cseq->cs_method_name : "-", status);
        break;
    case nua_r_options:
        tell_answer("OPTIONS", status);
        break;
    default:
        break;
    }
    fflush(stdout);
}

static nua_handle_t *towards(agent_t *agent, const char *to) {
    return nua_handle(agent->nua, NULL, NUTAG_URL(to), SIPTAG_TO_STR(to),
                      SIPTAG_FROM_STR(agent->from), TAG_END());
}

static void send_text(agent_t *agent, nua_handle_t *handle, const char *hex) {
    size_t length = strlen(hex) / 2;
    char *text = su_zalloc(agent->home, length + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        text[i] = (char)byte;
    }
    nua_message(handle, SIPTAG_CONTENT_TYPE_STR("text/plain;charset=UTF-8"),
                SIPTAG_PAYLOAD(sip_payload_create(agent->home, text, length)), TAG_END());
}

static void obey(agent_t *agent, char *line) {
    char *what = strtok(line, " "), *first = strtok(NULL, " "), *second = strtok(NULL, " ");
    if (what && first && second && !strcmp(what, "message")) {
        send_text(agent, towards(agent, first), second);
    } else if (what && first && second && !strcmp(what, "ask")) {
        if (!strcmp(first, "OPTIONS")) nua_options(towards(agent, second), TAG_END());
        else nua_method(towards(agent, second), NUTAG_METHOD(first), TAG_END());
    } else if (what && first && !strcmp(what, "call")) {
        agent->call = towards(agent, first);
        nua_invite(agent->call, SIPTAG_CONTENT_TYPE_STR("application/sdp"),
                   SIPTAG_PAYLOAD_STR(OFFER), TAG_END());
    } else if (what && first && agent->call && !strcmp(what, "say")) {
        send_text(agent, agent->call, first);
    } else if (what && agent->call && !strcmp(what, "end")) {
        nua_bye(agent->call, TAG_END());
    } else {
        fprintf(stderr, "not understood: %s\n", what ? what : "");
    }
}

/* Standard input has something: whole lines are obeyed; its end is ours. */
static int on_input(agent_t *agent, su_wait_t *wait, su_wakeup_arg_t *arg) {
    (void)wait, (void)arg;
    ssize_t got = read(0, agent->line + agent->length, sizeof agent->line - 1 - agent->length);
    if (got <= 0) exit(0);
    agent->length += (size_t)got;
    agent->line[agent->length] = 0;
    char *end;
    while ((end = strchr(agent->line, '\n'))) {
        size_t rest = agent->length - (size_t)(end + 1 - agent->line);
        *end = 0;
        obey(agent, agent->line);
        memmove(agent->line, end + 1, rest + 1);
        agent->length = rest;
    }
    return 0;
}

int main(int count, char *arguments[]) {
    static agent_t agent[1];
    static su_wait_t input[1];
    char own[256], proxy[256];
    if (count != 4) return fprintf(stderr, "usage: sofia ADDRESS:PORT USER@DOMAIN PROXY\n"), 64;
    snprintf(own, sizeof own, "sip:%s", arguments[1]);
    snprintf(agent->from, sizeof agent->from, "<sip:%s>", arguments[2]);
    snprintf(proxy, sizeof proxy, "sip:%s;lr", arguments[3]);
    su_init();
    su_home_init(agent->home);
    agent->root = su_root_create(agent);
    agent->nua = nua_create(agent->root, on_event, agent, NUTAG_URL(own), NUTAG_PROXY(proxy),
                            NUTAG_MEDIA_ENABLE(0), NUTAG_ALLOW("MESSAGE"), TAG_END());
    if (!agent->nua || su_wait_create(input, 0, SU_WAIT_IN)) return 1;
    su_root_register(agent->root, input, on_input, NULL, 0);
    printf("ready\n");
    fflush(stdout);
    su_root_run(agent->root);
    return 0;
}

/* The dialect nats: a client of a NATS server. The server says INFO; the client answers with CONNECT, its subscriptions and PING,
 * and when the first PONG has come all of that is taken. A session sends to one subject, and hears answers at an inbox of its own,
 * where the last token is the id of the request; or it listens: it subscribes to the subject in a queue group, and publishes
 * answers to the subjects that requests name, which are their ids.
 *
 * Other clients of NATS understand what is said: the type and the codec of a body stand in headers, a string is a body as it is,
 * other values are JSON unless the program has chosen a codec. What other clients say must not end a session: a message that is
 * wrong is refused alone. What only the server says, or must not pass on, ends it. */
#include "wire/nats.h"
#include "wire/subject.h"

#include <ferry/ferry.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
        TYPE_MAX = 1024,
        ERROR_MAX = 512,                /* bytes of a sentence in a header */
        SHOWN_MAX = 200,                /* bytes of a server's text in a sentence */
        BEAT_MAX_MS = 3600000,
};

static const char not_executed[] = "not executed", accepted[] = "accepted";

/* Reading: what the server says ------------------------------------------------------------------------ */

static int shown_size(const struct raw_text *text)
{
        return text->size > SHOWN_MAX ? SHOWN_MAX : (int)text->size;
}

/* A sentence of the conversation that concerns no request. */
static int say(struct incoming *ret, struct error *error, const char *what, const struct raw_text *text)
{
        static const char none[NATS_PONG_ID];

        ret->kind = WIRE_REFUSED;
        ret->id = (struct raw_text){ .bytes = none, .size = sizeof none };
        ret->codec = &codec_bytes.codec;
        ret->value = ferry_value_pack("'%s%.*s'", what, shown_size(text), text->bytes);
        return ret->value ? 0 : error_set(error, -ENOMEM, "a message for which there is no memory");
}

/* Servers write some of their sentences with capitals, and some without. */
static bool text_begins(const struct raw_text *text, const char *prefix)
{
        return text->size >= strlen(prefix) && nats_is_alike(text->bytes, prefix, strlen(prefix));
}

/* Whether the text behind a prefix is "SUBJECT" in quotes. */
static bool is_about(const struct raw_text *text, const char *prefix, const char *subject, size_t size)
{
        const char *at = text->bytes + strlen(prefix);

        return text_begins(text, prefix) && text->size >= strlen(prefix) + size + 2 && at[0] == '"' &&
               memcmp(at + 1, subject, size) == 0;
}

/* What an error means for a session that it ends. */
static int errno_of(const struct raw_text *text)
{
        static const struct {
                const char *prefix;
                int code;
        } known[] = {
                { "Authorization Violation", -EACCES },         { "Authentication Timeout", -EACCES },
                { "User Authentication", -EACCES },             { "Account Authentication", -EACCES },
                { "Permissions Violation", -EACCES },           { "Maximum Payload Violation", -EMSGSIZE },
                { "Maximum Connections Exceeded", -EBUSY },     { "Maximum Account Active Connections", -EBUSY },
                { "Unknown Protocol Operation", -EPROTO },      { "Parser Error", -EPROTO },
                { "Maximum Control Line Exceeded", -EPROTO },   { "Attempted To Connect To", -EPROTO },
                { "Maximum Subscriptions Exceeded", -EBUSY },
                { "Secure Connection", -EOPNOTSUPP },
        };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (text_begins(text, known[i].prefix))
                        return known[i].code;
        return -ECONNRESET;
}

/* The server closes the connection behind most of these. Where it does not, the session can do nothing any more if what is denied
 * is its own subject or its inbox. Which message was denied it does not say: all of them, unless one was passed on before. */
static int read_error(struct wire *wire, const struct nats_line *line, struct incoming *ret, struct error *error)
{
        static const char publish[] = "Permissions Violation for Publish to ",
                          subscription[] = "Permissions Violation for Subscription to ";
        const struct login *login = wire->login;
        struct raw_text text = line->text;
        bool is_sending, is_ours;

        if (text.size >= 2 && text.bytes[0] == '\'' && text.bytes[text.size - 1] == '\'')
                text = (struct raw_text){ .bytes = text.bytes + 1, .size = text.size - 2 };
        is_sending = is_about(&text, publish, login->subject, login->subject_size);
        is_ours = is_sending || is_about(&text, subscription, login->inbox, NATS_INBOX_SIZE) ||
                  is_about(&text, subscription, login->subject, login->subject_size);
        if ((text_begins(&text, "Permissions Violation") && !is_ours) || text_begins(&text, "Invalid Subject") ||
            text_begins(&text, "Invalid Publish Subject"))
                return say(ret, error, "the NATS server reports: ", &text);
        ret->is_denied = is_sending && login->passage != NATS_PASSAGE_SEEN;
        return error_set(error, errno_of(&text), "the error '%.*s'%s", shown_size(&text), text.bytes,
                         ret->is_denied ? ": what was sent was not passed on" :
                         is_sending ? ": it has passed on what was sent before, but not all of it" :
                         text_begins(&text, "Authorization Violation") ?
                         ": it takes no such login, so look at the user and the password, or the token, in its URL, or at the key" : "");
}

/* Reading: messages ------------------------------------------------------------------------------------ */

static const ferry_codec *find_codec(const struct wire *wire, const struct raw_text *name)
{
        const ferry_codec *const ours[] = { ferry_codec_msgpack(), ferry_codec_php(), ferry_codec_json(),
                                            ferry_codec_json_objects(), &codec_bytes.codec,
                                            wire->codec ? wire->codec : &codec_bytes.codec };

        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
                if (strlen(ours[i]->name) == name->size && memcmp(ours[i]->name, name->bytes, name->size) == 0)
                        return ours[i];
        return NULL;
}

static int read_body(const struct wire *wire, const struct nats_headers *headers, const char *body, struct incoming *ret,
                     struct error *error)
{
        const struct native_codec *native;
        size_t offset = 0;
        int code;

        ret->codec = headers->codec.bytes ? find_codec(wire, &headers->codec) : &codec_bytes.codec;
        if (!ret->codec)
                return error_set(error, -EBADMSG, "a message in the unknown codec '%.*s'", shown_size(&headers->codec),
                                 headers->codec.bytes);
        native = codec_native(ret->codec);
        code = native ? native->check(body, ret->body_size, &ret->check) :
                        codec_decode(ret->codec, body, ret->body_size, &ret->value, &offset);
        if (native)
                offset = ret->check.offset;
        if (code == -EAGAIN)
                code = -EBADMSG;
        if (code)
                error_set(error, code, "a message whose body is wrong at byte %zu, for the codec %s", offset, ret->codec->name);
        return code;
}

static int set_text(struct incoming *ret, ferry_value *value, struct error *error)
{
        ret->codec = &codec_bytes.codec;
        ret->body_size = 0;
        ret->value = value;
        return value ? 0 : error_set(error, -ENOMEM, "an answer for which there is no memory");
}

static bool is_outcome(const struct nats_headers *headers, const char *outcome)
{
        return headers->outcome.bytes && headers->outcome.size == strlen(outcome) && memcmp(headers->outcome.bytes, outcome, strlen(outcome)) == 0;
}

/* An answer. That of the server itself has only a status. */
static int read_answer(struct wire *wire, const struct nats_headers *headers, const char *payload, struct incoming *ret,
                       struct error *error)
{
        const struct raw_text *text = &headers->error;
        size_t beat_ms = nats_read_number(&headers->beat);

        if (headers->status == 503 && ret->body_size == 0) {
                ret->kind = WIRE_REFUSED;
                ret->refusal = -ECONNREFUSED;
                ret->is_leaving = true;
                return set_text(ret, ferry_value_pack("'no responders: no process listens at ''nats:%s'', so the request was not"
                                                      " executed'", wire->login->subject), error);
        }
        if (headers->status != 0) {
                ret->kind = WIRE_ERROR;
                return set_text(ret, ferry_value_pack("'the NATS server answers with the status %u %.*s'", headers->status,
                                                      shown_size(&headers->description), headers->description.bytes ?
                                                      headers->description.bytes : ""), error);
        }
        if (is_outcome(headers, accepted)) {
                ret->kind = WIRE_ACCEPTED;
                ret->type = headers->instance;
                ret->beat_ms = (int)(beat_ms > BEAT_MAX_MS ? BEAT_MAX_MS : beat_ms);
                ret->body_size = 0;
                return 0;
        }
        if (!text->bytes && !headers->error_code.bytes)
                return read_body(wire, headers, payload + ret->body_offset, ret, error);
        ret->kind = is_outcome(headers, not_executed) ? WIRE_REFUSED : WIRE_ERROR;
        ret->is_leaving = ret->kind == WIRE_REFUSED;
        /* The payload of an error is for the programs of other libraries; ours have the whole sentence there. */
        if (headers->type.bytes && ret->body_size > 0)
                return read_body(wire, headers, payload + ret->body_offset, ret, error);
        if (text->size == 0)
                return set_text(ret, ferry_value_pack("'the service has failed with the code %.*s'", shown_size(&headers->error_code),
                                                      headers->error_code.bytes ? headers->error_code.bytes : ""), error);
        ret->codec = &codec_bytes.codec;
        ret->body_offset = (size_t)(text->bytes - payload);
        ret->body_size = text->size;
        return codec_bytes.check(text->bytes, text->size, &ret->check);
}

static bool is_type(const char *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f)
                        return false;
        return size <= TYPE_MAX && utf8_is_valid(bytes, size) && (size == 0 || (bytes[0] != ' ' && bytes[size - 1] != ' '));
}

/* Clients of the same server may name anything, also what their line has room for, and that of the answer has not: the server would end
 * the connection for that. */
static bool can_be_answered(const struct raw_text *reply)
{
        return reply->size <= NATS_REPLY_MAX && subject_is_valid(reply->bytes, reply->size, false);
}

static int say_dropped(struct incoming *ret, struct error *error, const struct raw_text *reply)
{
        return say(ret, error, "a request was dropped, as no answer can be published to ", reply);
}

/* Kind and id, by the line alone. */
static void read_envelope(const struct nats_line *line, struct incoming *ret)
{
        const char *dot = memrchr(line->subject.bytes, '.', line->subject.size);

        if (line->subscription == nats_subject_subscription) {
                ret->kind = line->reply.bytes ? WIRE_REQUEST : WIRE_NOTIFICATION;
                ret->id = line->reply;
        } else if (line->subscription == nats_inbox_subscription && dot) {
                ret->kind = WIRE_RESPONSE;
                ret->id.bytes = dot + 1;
                ret->id.size = (size_t)(line->subject.bytes + line->subject.size - ret->id.bytes);
        }
}

/* What a service is asked about itself. Where no answer is wanted, or none can be sent, there is nothing to do. */
static int read_question(const struct nats_line *line, struct incoming *ret)
{
        const char *question = nats_service_question(line->subscription);

        if (!can_be_answered(&line->reply))
                return 0;
        ret->kind = WIRE_QUESTION;
        ret->id = line->reply;
        ret->type = (struct raw_text){ .bytes = question, .size = strlen(question) };
        return 0;
}

/* Whether a subject is one for acknowledgements. */
static bool is_of_jetstream(const char *subject, size_t size)
{
        static const char prefix[] = "$JS.ACK.";

        return subject && size > strlen(prefix) && memcmp(subject, prefix, strlen(prefix)) == 0;
}

/* A status of the server, by which it answers itself. Its number is the type, so that a program can tell one from another. */
static int read_status(const struct wire *wire, const struct nats_headers *headers, struct incoming *ret, struct error *error)
{
        /* With the digits, which stand before it. */
        struct raw_text whole = { .bytes = headers->number.bytes,
                                  .size = (size_t)(headers->description.bytes + headers->description.size - headers->number.bytes) };

        ret->type = headers->number;
        if (headers->status == 503 && ret->body_size == 0)
                return say(ret, error, "no responders: no process listens at ",
                           &(struct raw_text){ .bytes = wire->login->subject, .size = wire->login->subject_size });
        return say(ret, error, "the NATS server answers with the status ", &whole);
}

/* An answer to a notification. One that names a reply wants an answer in turn: a message of JetStream, whose server is told as long as
 * this side has it in hand. */
static int read_gathered(struct wire *wire, const struct nats_line *line, const struct nats_headers *headers, const char *payload,
                         struct incoming *ret, struct error *error)
{
        if (headers->status != 0)
                return read_status(wire, headers, ret, error);
        if (headers->error.bytes || headers->error_code.bytes)
                return say(ret, error, "a service has failed: ", headers->error.bytes ? &headers->error : &headers->error_code);
        ret->kind = line->reply.bytes ? WIRE_REQUEST : WIRE_NOTIFICATION;
        ret->id = line->reply;
        ret->wants_acceptance = is_of_jetstream(line->reply.bytes, line->reply.size);
        if (line->reply.bytes && !can_be_answered(&line->reply))
                return say_dropped(ret, error, &line->reply);
        if (!ret->type.bytes)
                ret->type = (struct raw_text){ .bytes = "", .size = 0 };
        return read_body(wire, headers, payload + ret->body_offset, ret, error);
}

static int read_message(struct wire *wire, const char *payload, const struct nats_line *line, struct incoming *ret,
                        struct error *error)
{
        struct login *login = wire->login;
        struct nats_headers headers = { 0 };
        bool is_ours = line->subscription == nats_inbox_subscription ?
                               login->is_gathering || (line->subject.size > NATS_INBOX_SIZE && memcmp(line->subject.bytes, login->inbox, NATS_INBOX_SIZE) == 0) :
                               login->is_listening && (line->subscription == nats_subject_subscription ||
                                                       nats_service_question(line->subscription));

        if (!is_ours || memcmp(payload + line->size + line->payload, "\r\n", 2) != 0)
                return error_set(error, -EBADMSG, is_ours ? "a message that is longer than it says" :
                                                            "a message for no subscription of this side");
        if (nats_service_question(line->subscription))
                return read_question(line, ret);
        read_envelope(line, ret);
        if (ret->kind == WIRE_RESPONSE)
                login->passage = NATS_PASSAGE_SEEN;
        if (ret->kind == WIRE_REQUEST && !can_be_answered(&ret->id))
                return say_dropped(ret, error, &line->reply);
        if (ret->kind == WIRE_REQUEST)
                nats_service_note_request(&login->service);
        if (line->headers > 0 && nats_read_headers(payload + line->size, line->headers, &headers) < 0)
                return error_set(error, -EBADMSG, "a message whose headers are malformed");
        ret->type = headers.type;
        if (!ret->type.bytes && ret->kind != WIRE_RESPONSE)
                ret->type = line->subject;
        if (!is_type(ret->type.bytes ? ret->type.bytes : "", ret->type.size)) {
                ret->type = (struct raw_text){ 0 };
                return error_set(error, -EBADMSG, "a message whose type is not UTF-8, is too long, or has control characters");
        }
        ret->body_offset = line->size + line->headers;
        ret->body_size = line->payload - line->headers;
        if (login->is_gathering)
                return read_gathered(wire, line, &headers, payload, ret, error);
        ret->wants_acceptance = ret->kind == WIRE_REQUEST && headers.accept.bytes;
        return ret->kind == WIRE_RESPONSE ? read_answer(wire, &headers, payload, ret, error) :
                                            read_body(wire, &headers, payload + ret->body_offset, ret, error);
}

/* One of several answers, which has the type of its request. */
static int read_item(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        struct nats_item item;

        /* Also if it is wrong: that is the fault of another client, not of the server. */
        ret->kind = WIRE_RESPONSE;
        if (wire->login->is_listening || wire->login->is_gathering || nats_read_item(payload, size, &item) <= 0)
                return error_set(error, -EBADMSG, "several answers in one message, which are malformed, or for which nothing has asked");
        wire->login->passage = NATS_PASSAGE_SEEN;
        ret->id = item.id;
        ret->body_offset = item.size;
        ret->body_size = item.body;
        return read_body(wire, &(struct nats_headers){ .codec = item.codec }, payload + item.size, ret, error);
}

static int read_payload(struct wire *wire, const char *payload, size_t size, struct incoming *ret, struct error *error)
{
        struct nats_line line;

        if (nats_is_item(payload, size))
                return read_item(wire, payload, size, ret, error);
        if (nats_read_line(payload, size, &line) <= 0)
                return error_set(error, -EBADMSG, "a line that is not of the protocol of NATS");
        switch (line.verb) {
        case NATS_INFO:
                return nats_read_info(wire, &line, ret, error);
        case NATS_PONG:
                return nats_read_pong(wire->login, ret);
        case NATS_ERR:
                return read_error(wire, &line, ret, error);
        case NATS_PING:
                ret->kind = WIRE_PING;
                return 0;
        case NATS_MSG:
        case NATS_HMSG:
                return read_message(wire, payload, &line, ret, error);
        default:
                return 0;
        }
}

static void peek(const char *bytes, size_t size, struct incoming *ret)
{
        struct nats_line line;
        struct nats_item item;

        ret->kind = WIRE_UNKNOWN;
        if (nats_read_item(bytes, size, &item) > 0) {
                ret->kind = WIRE_RESPONSE;
                ret->id = item.id;
                return;
        }
        if (nats_read_line(bytes, size, &line) > 0 && (line.verb == NATS_MSG || line.verb == NATS_HMSG))
                read_envelope(&line, ret);
        if (ret->kind == WIRE_REQUEST && !can_be_answered(&ret->id))
                ret->kind = WIRE_NOTIFICATION;
}

/* Writing ---------------------------------------------------------------------------------------------- */

static int append_text(struct buffer *buffer, const char *text)
{
        return buffer_append(buffer, text, strlen(text));
}

static int append_header(struct buffer *buffer, const char *name, const char *value, size_t size)
{
        int code = append_text(buffer, name);

        if (!code)
                code = buffer_append(buffer, ": ", 2);
        if (!code)
                code = buffer_append(buffer, value, size);
        return code ? code : buffer_append(buffer, "\r\n", 2);
}

/* What other clients show of an error: one line. */
static int append_error(struct buffer *buffer, const struct outgoing *outgoing)
{
        const char *sentence = ferry_value_text(outgoing->body, "the request has failed");
        bool is_refused = outgoing->kind == WIRE_REFUSED;
        char line[ERROR_MAX + 1];
        size_t size = 0;
        int code;

        while (size < ERROR_MAX && sentence[size]) {
                line[size] = (char)((unsigned char)sentence[size] < ' ' || sentence[size] == 0x7f ? ' ' : sentence[size]);
                size++;
        }
        /* Not in the middle of a character. */
        while (size > 0 && sentence[size] && ((unsigned char)sentence[size] & 0xc0) == 0x80)
                size--;
        code = append_header(buffer, "Nats-Service-Error", line, size);
        if (!code)
                code = append_header(buffer, "Nats-Service-Error-Code", is_refused ? "503" : "500", 3);
        if (!code && is_refused)
                code = append_header(buffer, "Ferry-Outcome", not_executed, strlen(not_executed));
        return code;
}

/* NULL: the bytes of a string, of which no header says anything. */
static const ferry_codec *choose_codec(const struct wire *wire, const struct outgoing *outgoing)
{
        bool is_plain = outgoing->codec == &codec_bytes.codec, is_string = ferry_value_kind(outgoing->body) == FERRY_VALUE_STRING;
        const ferry_codec *codec = outgoing->codec ? outgoing->codec : wire->codec;

        /* An acknowledgement is plain, whatever the task is. */
        if (wire->login->is_gathering && outgoing->kind == WIRE_RESPONSE && is_string && is_of_jetstream(outgoing->id, outgoing->id_size))
                return NULL;
        /* An answer to a side that speaks plainly is plain. */
        if (codec && !is_plain)
                return codec;
        return is_string ? NULL : ferry_codec_json();
}

static int append_headers(struct buffer *buffer, const struct outgoing *outgoing, const ferry_codec *codec)
{
        static const char first[] = "NATS/1.0\r\n", type[] = "Ferry-Type: ", name[] = "Ferry-Codec: ", accept[] = "Ferry-Accept: 1\r\n",
                          end[] = "\r\n";
        bool is_response = outgoing->kind == WIRE_RESPONSE;
        const char *own_type = outgoing->type ? outgoing->type : "";
        size_t type_size = strlen(own_type), name_size = codec ? strlen(codec->name) : 0;
        char *begin = buffer_reserve(buffer, sizeof first + sizeof type + type_size + sizeof end + sizeof name + name_size + sizeof end +
                                                     sizeof accept + sizeof end), *at;
        int code;

        if (!begin)
                return -ENOMEM;
        at = put_text(begin, first);
        if (is_response ? !outgoing->is_type_known : type_size > 0)
                at = put_text(put(put_text(at, type), own_type, type_size), end);
        if (codec)
                at = put_text(put(put_text(at, name), codec->name, name_size), end);
        if (outgoing->kind == WIRE_REQUEST)
                at = put_text(at, accept);
        if (outgoing->kind != WIRE_ERROR && outgoing->kind != WIRE_REFUSED) {
                buffer->end += (size_t)(put_text(at, end) - begin);
                return 0;
        }
        buffer->end += (size_t)(at - begin);
        code = append_error(buffer, outgoing);
        return code ? code : append_text(buffer, end);
}

/* HPUB or PUB SUBJECT [REPLY], up to the sizes. */
static int append_line(const struct login *login, struct buffer *buffer, const struct outgoing *outgoing, bool is_headed)
{
        static const char verb[] = "HPUB ";
        bool is_sent = outgoing->kind == WIRE_REQUEST || outgoing->kind == WIRE_NOTIFICATION;
        char *begin = buffer_reserve(buffer, sizeof verb + login->subject_size + outgoing->id_size + sizeof " 0" + NATS_INBOX_SIZE), *at;

        if (!begin)
                return -ENOMEM;
        at = is_headed ? put_text(begin, verb) : put_text(begin, verb + 1);
        at = is_sent ? put(at, login->subject, login->subject_size) : put(at, outgoing->id, outgoing->id_size);
        if (outgoing->kind == WIRE_REQUEST || (outgoing->kind == WIRE_NOTIFICATION && login->is_gathering)) {
                *at++ = ' ';
                at = put(at, login->inbox, NATS_INBOX_SIZE);
                at = outgoing->kind == WIRE_REQUEST ? put(at, outgoing->id, outgoing->id_size) : put(at, "0", 1);
        }
        buffer->end += (size_t)(at - begin);
        return 0;
}

static int check_sending(const struct wire *wire, const struct outgoing *outgoing, const ferry_codec *codec, struct error *error)
{
        const struct login *login = wire->login;
        const char *type = outgoing->type ? outgoing->type : "";

        if (!is_type(type, strlen(type)))
                return error_set(error, -EINVAL, "in nats a type is UTF-8 of at most %d bytes, without control characters, and"
                                                 " without a blank at its ends: not \"%.100s\"", TYPE_MAX, type);
        if (codec && (!is_type(codec->name, strlen(codec->name)) || !*codec->name))
                return error_set(error, -EINVAL, "in nats the name of a codec stands in a header, which takes no such name");
        if (outgoing->kind == WIRE_REQUEST && login->is_listening)
                return error_set(error, -EOPNOTSUPP, "a session that listens at 'nats:%s' sends no requests: open another one",
                                 login->subject);
        if (outgoing->kind == WIRE_NOTIFICATION && !subject_is_valid(login->subject, login->subject_size, false))
                return error_set(error, -EINVAL, "cannot send to 'nats:%s', which has wildcards", login->subject);
        if (outgoing->kind == WIRE_REQUEST && login->is_gathering)
                return error_set(error, -EOPNOTSUPP, "a session that gathers answers sends notifications only: open another one for"
                                                     " requests to 'nats:%s'", login->subject);
        return 0;
}

static size_t limit_of(const struct wire *wire)
{
        return wire->peer_max < wire->send_max ? wire->peer_max : wire->send_max;
}

static void note_answer(struct nats_service *service, const struct outgoing *outgoing)
{
        if (outgoing->kind == WIRE_ERROR || outgoing->kind == WIRE_REFUSED)
                nats_service_note_answer(service, ferry_value_text(outgoing->body, "the request has failed"));
        else if (outgoing->kind == WIRE_RESPONSE)
                nats_service_note_answer(service, NULL);
}

/* The places of the sizes of a message: of the headers, if there are any, and of all. */
static const char no_sizes[] = NATS_NO_SIZE NATS_NO_SIZE "\r\n";

enum { SIZE_FIELD = sizeof NATS_NO_SIZE - 1 };

/* What an answer does not say is as in its request; JetStream takes bytes alone. */
static bool has_headers(const struct wire *wire, const struct outgoing *outgoing, const ferry_codec *codec)
{
        return codec || outgoing->kind != WIRE_RESPONSE ||
               (!outgoing->is_type_known && !(wire->login->is_gathering && is_of_jetstream(outgoing->id, outgoing->id_size)));
}

static int cannot_write(struct error *error, int code, const char *reason)
{
        return error_set(error, code, "cannot write the message: %s", *reason ? reason : error_describe(code));
}

static int write_published(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error)
{
        bool has_body = outgoing->body != NULL;
        const ferry_codec *codec = has_body ? choose_codec(wire, outgoing) : NULL;
        /* Before the server has said how much it takes, each message is as small as it can be. */
        bool is_headed = has_headers(wire, outgoing, codec), may_gather = wire->peer_max < SIZE_MAX && nats_may_gather(outgoing, codec);
        size_t before = buffer_size(buffer), sizes = 0, content = 0, body = 0, total;
        char reason[96] = "";
        int code = check_sending(wire, outgoing, codec, error);

        if (code)
                return code;
        if (may_gather) {
                code = nats_add_to_batch(&wire->login->batch, buffer, outgoing, codec, limit_of(wire), reason);
                if (code > 0)
                        note_answer(&wire->login->service, outgoing);
                if (code)
                        return code > 0 ? 0 : cannot_write(error, code, reason);
        }
        code = append_line(wire->login, buffer, outgoing, is_headed);
        sizes = buffer_size(buffer);
        if (!code)
                code = append_text(buffer, is_headed ? no_sizes : no_sizes + SIZE_FIELD);
        content = buffer_size(buffer);
        if (!code && is_headed)
                code = append_headers(buffer, outgoing, codec);
        body = buffer_size(buffer);
        if (!code && body - content > limit_of(wire))
                code = -EMSGSIZE;
        if (!code && has_body)
                code = codec_encode(codec ? codec : &codec_bytes.codec, outgoing->body, buffer, content + limit_of(wire), reason);
        total = buffer_size(buffer) - content;
        if (!code && total > limit_of(wire))
                code = -EMSGSIZE;
        if (!code)
                code = buffer_append(buffer, "\r\n", 2);
        if (code) {
                buffer->end = buffer->begin + before;
                return code == -EMSGSIZE ? wire_over_limit(wire, error) : cannot_write(error, code, reason);
        }
        if (is_headed)
                nats_put_number((char *)buffer_bytes(buffer) + sizes + SIZE_FIELD, body - content);
        nats_put_number((char *)buffer_bytes(buffer) + content - strlen("\r\n"), total);
        if (outgoing->kind == WIRE_REQUEST && wire->login->passage == NATS_PASSAGE_UNTRIED)
                wire->login->passage = NATS_PASSAGE_TRIED;
        /* A codec of the program, which writes apart, may have sent something meanwhile: nothing is added to that any more. */
        wire->login->batch.size = 0;
        if (may_gather)
                nats_begin_batch(&wire->login->batch, buffer_size(buffer) - before, total - (body - content), outgoing, codec);
        note_answer(&wire->login->service, outgoing);
        return 0;
}

static const char returned[] = "-NAK {\"delay\":5000000000}", progress[] = "+WPI";

/* Bytes without headers: what JetStream and other clients understand. */
static int write_plain(struct buffer *buffer, const struct outgoing *outgoing, const char *bytes, size_t size)
{
        char line_end[32];
        int code = append_text(buffer, "PUB ");

        if (!code)
                code = buffer_append(buffer, outgoing->id, outgoing->id_size);
        snprintf(line_end, sizeof line_end, " %zu\r\n", size);
        if (!code)
                code = append_text(buffer, line_end);
        if (!code)
                code = buffer_append(buffer, bytes, size);
        return code ? code : append_text(buffer, "\r\n");
}

static int write_answer(const struct login *login, struct buffer *buffer, const struct outgoing *outgoing)
{
        ferry_value *body = nats_service_answer(&login->service, login->subject, NATS_QUEUE_GROUP, outgoing->type);
        struct buffer json = { 0 };
        int code = body ? codec_encode(ferry_codec_json(), body, &json, SIZE_MAX, NULL) : -ENOMEM;

        ferry_value_unref(body);
        if (!code)
                code = write_plain(buffer, outgoing, (const char *)buffer_bytes(&json), buffer_size(&json));
        buffer_deinit(&json);
        return code;
}

/* A task of JetStream that is refused goes back to the server, which would take an empty answer for done, and any other for none. */
static bool is_returned(const struct login *login, const struct outgoing *outgoing)
{
        return login->is_gathering && (outgoing->kind == WIRE_ERROR || outgoing->kind == WIRE_REFUSED) &&
               is_of_jetstream(outgoing->id, outgoing->id_size);
}

/* Accepted, and the same again as a heartbeat: headers alone. */
static int write_accepted(const struct login *login, struct buffer *buffer, const struct outgoing *outgoing)
{
        char headers[sizeof "NATS/1.0\r\nFerry-Outcome: \r\nFerry-Instance: \r\nFerry-Beat: \r\n\r\n" + sizeof accepted +
                     sizeof login->service.instance + 12], sizes[48];
        int size = snprintf(headers, sizeof headers, "NATS/1.0\r\nFerry-Outcome: %s\r\nFerry-Instance: %s\r\nFerry-Beat: %d\r\n\r\n",
                            accepted, login->service.instance, outgoing->beat_ms);
        int code;

        if (login->is_gathering)
                return write_plain(buffer, outgoing, progress, strlen(progress));
        code = append_line(login, buffer, outgoing, true);
        snprintf(sizes, sizeof sizes, " %d %d\r\n", size, size);
        if (!code)
                code = append_text(buffer, sizes);
        if (!code)
                code = append_text(buffer, headers);
        return code ? code : append_text(buffer, "\r\n");
}

static int write_message(struct wire *wire, struct buffer *buffer, const struct outgoing *outgoing, struct error *error)
{
        size_t before = buffer_size(buffer);
        int code;

        /* No answer is added to what does not end the buffer. */
        if (outgoing->kind != WIRE_RESPONSE)
                wire->login->batch.size = 0;
        switch (outgoing->kind) {
        case WIRE_START_OK:
                code = nats_write_login(wire->login, buffer, outgoing->proof_room);
                break;
        case WIRE_PING:
                code = append_text(buffer, "PING\r\n");
                wire->login->pings = code ? wire->login->pings : (uint64_t)read_u32(outgoing->id) << 32 | read_u32(outgoing->id + 4);
                break;
        case WIRE_PONG:
                code = append_text(buffer, "PONG\r\n");
                break;
        case WIRE_SUBSCRIBE:
                wire->login->is_away = false;
                code = nats_write_subscription(wire->login, buffer);
                break;
        case WIRE_UNSUBSCRIBE:
                wire->login->is_away = true;
                code = append_text(buffer, "UNSUB 2\r\n");
                break;
        case WIRE_ANSWER:
                code = write_answer(wire->login, buffer, outgoing);
                break;
        case WIRE_CLOSE:
                code = append_text(buffer, wire->login->is_listening ? "UNSUB 2\r\nPING\r\n" : "UNSUB 1\r\n");
                wire->login->has_unsubscribed = !code && wire->login->is_listening;
                wire->login->pings += wire->login->has_unsubscribed;
                break;
        case WIRE_ACCEPTED:
                code = write_accepted(wire->login, buffer, outgoing);
                break;
        case WIRE_NOTIFICATION:
        case WIRE_REQUEST:
        case WIRE_RESPONSE:
        case WIRE_ERROR:
        case WIRE_REFUSED:
                if (!is_returned(wire->login, outgoing))
                        return write_published(wire, buffer, outgoing, error);
                code = write_plain(buffer, outgoing, returned, strlen(returned));
                break;
        default:
                return error_set(error, -EOPNOTSUPP, "the dialect nats has no such frame");
        }
        if (!code)
                return 0;
        buffer->end = buffer->begin + before;
        return error_set(error, code, "cannot write a message: %s", error_describe(code));
}

static size_t make_id(struct wire *wire, char id[WIRE_ID_TEXT_MAX])
{
        return (size_t)(put_digits(id, ++wire->counter) - id);
}

static void id_text(const char *id, size_t size, char *text)
{
        memcpy(text, id, size);
        text[size] = '\0';
}

const struct dialect dialect_nats = {
        .name = "nats",
        .scheme = "nats",
        .framing = &framing_nats,
        .has_ids = true,
        .has_errors = true,
        .has_refused = true,
        .has_ping = true,
        .has_close = true,
        .has_login = true,
        .has_acceptance = true,
        .has_implied_types = true,
        .begin = nats_begin,
        .renew = nats_renew,
        .forget_start = nats_forget_start,
        .servers = nats_servers,
        .instance = nats_instance,
        .awaits_close = nats_awaits_close,
        .free_login = nats_free_login,
        .secure = nats_secure,
        .prove = nats_prove,
        .read = read_payload,
        .peek = peek,
        .peek_sent = nats_peek_sent,
        .measure_sent = nats_measure_sent,
        .write = write_message,
        .make_id = make_id,
        .id_text = id_text,
};

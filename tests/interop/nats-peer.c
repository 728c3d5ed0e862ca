/* The C client of NATS as the other side of ferry: nats-peer request SUBJECT TEXT prints the answer, or how it has failed;
 * nats-peer reply SUBJECT answers each request by its text between brackets, and one that says "fail" as a service that fails does;
 * nats-peer publish SUBJECT TEXT publishes. Its library has threads. */
#include <nats/nats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 10000 };

static natsConnection *connection;

static void check(natsStatus status, const char *what)
{
        if (status == NATS_OK)
                return;
        fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
        exit(1);
}

static void answer(natsConnection *from, natsSubscription *subscription, natsMsg *request, void *userdata)
{
        char text[256];
        natsMsg *reply = NULL;
        const char *type = "";
        int size = snprintf(text, sizeof text, "[%.*s]", natsMsg_GetDataLength(request), natsMsg_GetData(request));

        (void)subscription, (void)userdata;
        natsMsgHeader_Get(request, "Ferry-Type", &type);
        check(natsMsg_Create(&reply, natsMsg_GetReply(request), NULL, text, size), "create");
        if (strcmp(text, "[fail]") == 0) {
                check(natsMsgHeader_Set(reply, "Nats-Service-Error", "it cannot"), "set");
                check(natsMsgHeader_Set(reply, "Nats-Service-Error-Code", "400"), "set");
        }
        printf("%s %s\n", type, text);
        fflush(stdout);
        check(natsConnection_PublishMsg(from, reply), "publish");
        natsMsg_Destroy(reply);
        natsMsg_Destroy(request);
}

static void serve(const char *subject)
{
        natsSubscription *subscription;

        check(natsConnection_QueueSubscribe(&subscription, connection, subject, "ferry", answer, NULL), "subscribe");
        check(natsConnection_Flush(connection), "flush");
        printf("ready\n");
        fflush(stdout);
        for (;;)
                pause();
}

static void request(const char *subject, const char *text)
{
        natsMsg *reply = NULL;
        natsStatus status = natsConnection_RequestString(&reply, connection, subject, text, TIMEOUT_MS);
        const char *error = NULL, *code = NULL;

        check(status, "request");
        natsMsgHeader_Get(reply, "Nats-Service-Error", &error);
        natsMsgHeader_Get(reply, "Nats-Service-Error-Code", &code);
        if (error)
                printf("error %s: %s\n", code ? code : "", error);
        else
                printf("%.*s\n", natsMsg_GetDataLength(reply), natsMsg_GetData(reply));
        natsMsg_Destroy(reply);
}

int main(int argc, char **argv)
{
        const char *url = getenv("NATS_URL");

        if (argc < 3 || !url)
                return 2;
        check(natsConnection_ConnectTo(&connection, url), "connect");
        if (strcmp(argv[1], "reply") == 0)
                serve(argv[2]);
        else if (strcmp(argv[1], "request") == 0 && argc > 3)
                request(argv[2], argv[3]);
        else if (argc > 3) {
                check(natsConnection_PublishString(connection, argv[2], argv[3]), "publish");
                check(natsConnection_Flush(connection), "flush");
        }
        natsConnection_Destroy(connection);
        nats_Close();
        return 0;
}

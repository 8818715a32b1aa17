/* cli/admin_client.h - inside admin: one client, from accept to close.  Seen by admin*.c only.
 *
 * A client reads a request, waits for a picture where the answer needs one, and writes the answer;
 * then it reads the next.  Thread: the control thread's. */
#ifndef CLI_ADMIN_CLIENT_H
#define CLI_ADMIN_CLIENT_H

#include "cli/admin.h"
#include "cli/http_request.h"
#include "core/list.h"

enum admin_state {
    ADMIN_READING,
    ADMIN_WAITING, /* for a picture */
    ADMIN_WRITING,
    ADMIN_LEAVING, /* all is said; closing over bytes not read would take the answer back */
    ADMIN_DONE
};

/* What an answer is made of. */
enum admin_topic { TOPIC_STATUS, TOPIC_METRICS, TOPIC_READY };

struct admin_client {
    struct list link;
    const struct admin_options *options;
    int fd;
    bool http;
    enum admin_state state;
    enum admin_topic topic; /* while it waits */
    bool last, head;        /* this answer is the last one; it has no body */
    uint64_t deadline_ms;
    size_t taken, sent; /* of input: the bytes of the request; of the answer */
    size_t length;
    struct writer answer, body;
    char input[HTTP_REQUEST_MAX];
};

/* fd is taken, on failure too.  NULL: no memory. */
struct admin_client *admin_client_new(const struct admin_options *options, int fd, bool http,
                                      uint64_t now_ms) MUST_CHECK;
void admin_client_free(struct admin_client *client);
short admin_client_wants(const struct admin_client *client); /* poll events */
void admin_client_ready(struct admin_client *client, short revents, uint64_t now_ms);
/* True when time has run out: the client is done, and counted. */
bool admin_client_expire(struct admin_client *client, uint64_t now_ms);
void admin_client_pictured(struct admin_client *client, const struct report *report,
                           uint64_t now_ms);

/* ---- admin_request.c: what is asked, and answers ---- */
/* A whole line, without its end.  Answers at once or begins to wait. */
void admin_take_line(struct admin_client *client, const char *line, size_t length);
void admin_take_http(struct admin_client *client, const struct http_request *request);
void admin_refuse_http(struct admin_client *client, int status);
/* The answer that was waited for. */
void admin_answer(struct admin_client *client, const struct report *report);

#endif

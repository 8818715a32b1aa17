#include "cli/admin_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/addr.h"

enum { PATIENCE_S = 10, ANSWER_MAX = 256 << 20 };

static int call_complain(const char *what, int rc)
{
    fprintf(stderr, "qmux-uring: %s: %s\n", what, strerror(-rc));
    return rc;
}

static void call_explain(const char *path, int rc)
{
    if (rc == -EACCES || rc == -EPERM)
        fprintf(stderr,
                "qmux-uring: %s: %s\n"
                "It is for the user whom the process runs as, and for root: try with sudo.\n",
                path, strerror(-rc));
    else
        fprintf(stderr,
                "qmux-uring: nobody answers at %s: %s\n"
                "Does it run, does its file have [admin] socket, and is --socket the same?\n",
                path, strerror(-rc));
}

int admin_call_open(struct admin_call *call, const char *path)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct addr addr;
    int rc = addr_from_path(&addr, path);

    *call = (struct admin_call){.fd = -1};
    if (rc)
        return call_complain(path, rc);
    call->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (call->fd < 0)
        return call_complain("socket", -errno);
    setsockopt(call->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(call->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(call->fd, &addr.sa, addr.length) == 0)
        return 0;
    rc = -errno;
    call_explain(path, rc);
    admin_call_close(call);
    return rc;
}

void admin_call_close(struct admin_call *call)
{
    json_free(&call->answer);
    writer_release(&call->line);
    if (call->fd >= 0)
        close(call->fd);
    call->fd = -1;
}

int admin_call_ask(struct admin_call *call, const char *word)
{
    static char piece[65536];
    struct writer *line = &call->line;

    json_free(&call->answer);
    writer_clear(line);
    writer_add(line, "%s\n", word);
    if (line->failed || send(call->fd, line->text, line->length, MSG_NOSIGNAL) < 0)
        return call_complain("cannot ask", line->failed ? -ENOMEM : -errno);
    writer_clear(line);
    while (!line->length || line->text[line->length - 1] != '\n') {
        ssize_t got = recv(call->fd, piece, sizeof piece, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return call_complain("no answer", got ? -errno : -ECONNRESET);
        writer_bytes(line, piece, (size_t)got);
        if (line->failed || line->length > ANSWER_MAX)
            return call_complain("the answer", -ENOMEM);
    }
    line->text[--line->length] = 0;
    return 0;
}

int admin_call_read(struct admin_call *call)
{
    const struct json *ok;
    int rc = json_read(&call->answer, call->line.text);

    if (rc)
        return call_complain("an answer that is not understood", rc);
    ok = json_get(call->answer.nodes, "ok");
    if (ok->type == JSON_TRUE)
        return 0;
    fprintf(stderr, "qmux-uring: %s\n", json_text(call->answer.nodes, "error"));
    return -EPERM;
}

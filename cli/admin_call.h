/* cli/admin_call.h - asks a running process over its admin socket.  Thread: the main one. */
#ifndef CLI_ADMIN_CALL_H
#define CLI_ADMIN_CALL_H

#include "cli/json.h"
#include "cli/writer.h"

#define ADMIN_SOCKET_STANDARD "/run/qmux-uring.sock"

struct admin_call {
    int fd;
    struct writer line; /* the answer, without its newline */
    struct json_document answer;
};

/* 0, or -errno after it was printed. */
int admin_call_open(struct admin_call *call, const char *path) MUST_CHECK;
void admin_call_close(struct admin_call *call);
/* One request: reads its line.  0, or -errno after it was printed. */
int admin_call_ask(struct admin_call *call, const char *word) MUST_CHECK;
/* The line as a tree, which changes the line; a refusal is printed.  0 or -errno. */
int admin_call_read(struct admin_call *call) MUST_CHECK;

#endif

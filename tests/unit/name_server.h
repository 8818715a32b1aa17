/* tests/unit/name_server.h - a DNS server on the loopback that answers from a small zone, and the
 * resolv.conf that names it.  One at a time; the test gives it its turns. */
#ifndef TESTS_UNIT_NAME_SERVER_H
#define TESTS_UNIT_NAME_SERVER_H

#include <stdbool.h>
#include <stdint.h>

extern struct name_server {
    int fd;
    uint16_t port;
    uint32_t queries; /* since it was opened */
} name_server;
extern char resolv_conf[];

/* On a port of its own, which the resolv.conf then names. */
bool name_server_open(void);
void name_server_close(void);
/* Answers what has come. */
void name_server_serve(void);

#endif

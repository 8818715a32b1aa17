/* core/addr.h - a socket address: IPv4, IPv6 or a unix path; a plain value.  Thread: any. */
#ifndef CORE_ADDR_H
#define CORE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/must.h"

struct addr {
    socklen_t length; /* 0: none */
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un local;
    };
};

enum { ADDR_TEXT_SIZE = 128 }; /* the longest text with its NUL */

static inline int addr_family(const struct addr *addr)
{
    return addr->length ? addr->sa.sa_family : AF_UNSPEC;
}
/* "192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/x.sock": numeric only.  0 or -EINVAL. */
int addr_parse(struct addr *addr, const char *text) MUST_CHECK;
/* The same, and "192.0.2.1:80-90": *last is the last port of the run.  0 or -EINVAL. */
int addr_parse_range(struct addr *addr, uint16_t *last, const char *text) MUST_CHECK;
/* "192.0.2.1" or "2001:db8::1" and a port.  0 or -EINVAL. */
int addr_from_host(struct addr *addr, const char *host, uint16_t port) MUST_CHECK;
int addr_from_path(struct addr *addr, const char *path) MUST_CHECK; /* unix; -ENAMETOOLONG */
void addr_from_sockaddr(struct addr *addr, const struct sockaddr *sa, socklen_t length);
/* The inverse of addr_parse; returns text. */
const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_SIZE]);
const char *addr_format_host(const struct addr *addr, char text[ADDR_TEXT_SIZE]); /* without port */
uint16_t addr_port(const struct addr *addr);                                      /* 0 for unix */
void addr_set_port(struct addr *addr, uint16_t port);
bool addr_equal(const struct addr *a, const struct addr *b);
uint64_t addr_hash(const struct addr *addr, uint64_t seed);
bool addr_is_wildcard(const struct addr *addr); /* 0.0.0.0 or :: */

/* "host:port", "[v6]:port" or "host" (port 0) cut in two; checks characters and length of host
 * (at most 253) and port 1-65535.  0 or -EINVAL. */
int host_port_split(const char *text, char host[256], uint16_t *port) MUST_CHECK;

#endif

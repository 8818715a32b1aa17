/* core/sock.h - making sockets the way this program wants them.  Thread: any.  All return a
 * descriptor (the caller's, closed with os->close) or -errno. */
#ifndef CORE_SOCK_H
#define CORE_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/os.h"

struct tcp_options {
    char congestion[16];  /* "cubic"; empty leaves the system's */
    uint32_t keepalive_s; /* 0: off */
};

/* What a new socket has by itself, as it was at most a second ago. */
struct tcp_habit {
    char congestion[16];
    uint64_t again_ns; /* when to ask again */
};

/* IPv6 sockets take IPv6 only, so that both wildcards can be bound. */
int sock_tcp_listen(struct os *os, const struct addr *addr, int backlog);
/* Bound, to listen later; reuse_port: beside others of ours. */
int sock_tcp_bind(struct os *os, const struct addr *addr, bool reuse_port);
/* A socket's file that nobody listens on any more is replaced.  mode 0: as the umask has it. */
int sock_unix_listen(struct os *os, const struct addr *addr, int backlog, uint32_t mode);
void sock_unix_remove(struct os *os, const struct addr *addr); /* its file, at the end */
int sock_tcp(struct os *os, int family);                       /* to connect with */
/* nodelay, …; what a listening socket has, those that it accepts have too */
void sock_tcp_tune(struct os *os, int fd, const struct tcp_options *options);
/* Whether the kernel has it, and lets us use it: 0 or -errno. */
int sock_try_congestion(struct os *os, const char *name);
/* The same in two parts: what must be so from the first byte, and what only one that lives long has
 * need of. */
void sock_tcp_tune_first(struct os *os, int fd, const struct tcp_options *options,
                         struct tcp_habit *habit, uint64_t now_ns);
void sock_tcp_keep_alive(struct os *os, int fd, uint32_t keepalive_s);
void sock_reset_on_close(struct os *os, int fd); /* linger 0: close sends RST */
void sock_abort(struct os *os, int fd);          /* closes with RST: a FIN would look in order */
/* UDP: buffers raised as far as allowed, GRO on, DF set; packet_info: learn the local address of
 * each datagram (wildcard binds). */
int sock_udp_bind(struct os *os, const struct addr *addr, bool packet_info, bool reuse_port);
int sock_udp_connect(struct os *os, const struct addr *peer);
void sock_udp_hear_errors(struct os *os, int fd); /* all that ICMP says, not refusals alone */
/* For other people's datagrams: one that is larger than the path leaves in fragments, as it would
 * without us. */
void sock_udp_let_fragment(struct os *os, int fd, int family);

#endif

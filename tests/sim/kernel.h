/* tests/sim/kernel.h - the inside of the simulator, shared by its files only. */
#ifndef TESTS_SIM_KERNEL_H
#define TESTS_SIM_KERNEL_H

#include "core/list.h"
#include "core/resolve.h"
#include "tests/sim/sim.h"

#define SIM_WALL_MS UINT64_C(1790000000000) /* the wall clock at a monotonic 0: in 2026 */

enum {
    SIM_HOSTS = 8,
    SIM_WORKERS = 4, /* of a host */
    SIM_ADDRESSES = 4,
    SIM_NAMES = 16,
    SIM_SYNS = 32,
    SIM_FD_BASE = 1 << 20, /* no descriptor of the real kernel */
    SIM_FDS = 4096
};

/* ---- clock and events ---- */
typedef void sim_event_fn(struct sim *sim, void *subject, uint64_t detail);
struct sim_event {
    uint64_t at_ns, order;
    sim_event_fn *run;
    void *subject;
    uint64_t detail;
};
void sim_schedule(struct sim *sim, uint64_t at_ns, sim_event_fn *run, void *subject,
                  uint64_t detail);
void sim_trace(struct sim *sim, const char *what, uint64_t a, uint64_t b, int64_t c);
uint64_t sim_draw(struct sim *sim);
bool sim_chance(struct sim *sim, uint32_t per_thousand); /* false in a calm world */
void *sim_alloc(size_t size);                            /* zeroed; never NULL */

/* ---- faults ---- */
enum sim_call {
    SIM_CALL_SOCKET = OP_KIND_COUNT,
    SIM_CALL_BIND,
    SIM_CALL_LISTEN,
    SIM_CALL_CONNECT,
    SIM_CALL_OPTION,
    SIM_CALL_ADDR,
    SIM_CALL_EVENT,
    SIM_CALL_PIPE,
    SIM_CALL_SPLICE,
    SIM_CALL_GROUP,
    SIM_CALL_COUNT
};
/* Counts an operation; 0, or the -errno it must fail with. */
int sim_fail(struct sim *sim, int kind);

/* ---- the network ---- */
struct sim_link {
    struct sim_weather weather;
    uint64_t last_ns; /* when the last datagram arrives that kept its place */
    bool cut;
};
struct sim_link *sim_link(struct sim_host *from, struct sim_host *to);
uint64_t sim_delay(struct sim *sim, const struct sim_link *link);
bool sim_same_address(const struct addr *a, const struct addr *b); /* whatever their ports */
bool sim_host_has(const struct sim_host *host, const struct addr *addr);
/* The host an address belongs to, seen from `from`; NULL: nobody's. */
struct sim_host *sim_route(struct sim_host *from, const struct addr *to);
void sim_source(struct sim_host *host, const struct addr *to, struct addr *source); /* no port */
uint16_t sim_ephemeral(struct sim_host *host);

/* ---- sockets ---- */
enum sim_kind { SIM_TCP, SIM_UDP, SIM_EVENT, SIM_PIPE };
enum sim_state { SIM_IDLE, SIM_LISTENING, SIM_CONNECTING, SIM_CONNECTED, SIM_DEAD };

struct sim_pipe { /* one direction of a TCP connection; offsets count from the start */
    uint8_t *bytes;
    uint32_t capacity; /* a power of two */
    uint64_t written, arrived, taken;
    uint64_t last_ns; /* when the last segment arrives */
    bool fin_sent, fin_arrived, cut;
};

struct sim_datagram {
    struct list link;
    struct addr from, to;
    struct sim_host *target;
    struct sim_socket *sender;
    uint32_t length;
    uint8_t ecn;
    uint8_t data[];
};

struct sim_socket {
    struct list link; /* all of the sim's */
    struct sim_host *host;
    enum sim_kind kind;
    enum sim_state state;
    int fd;              /* -1: closed by its owner */
    uint32_t references; /* the descriptor and busy operations */
    int family;
    struct addr local, peer;
    int error;              /* pending, positive */
    struct list bound_link; /* in its host's, while others may find it by its address */
    bool linger_zero, packet_info, gro, reuse_port, released;
    bool read_closed, poked;
    uint32_t least;      /* SO_RCVLOWAT */
    struct list waiting; /* struct sim_op */
    /* Actors: called soon after anything changed. */
    void (*ready)(struct sim_socket *socket);
    void *actor;
    /* TCP */
    struct sim_socket *mate;
    struct sim_pipe out;
    struct list pending, accept_link; /* accept queue; a place in one */
    uint32_t attempts;                /* SYNs sent */
    uint32_t backlog, pending_count;
    bool black_hole, blocked;
    /* UDP */
    struct list datagrams;
    uint32_t queued; /* bytes */
    /* event */
    uint64_t value;
};

struct sim_socket *sim_socket_new(struct sim_host *host, enum sim_kind kind, int family);
struct sim_socket *sim_socket_of(struct sim_host *host, int fd); /* NULL: EBADF */
int sim_socket_number(struct sim_socket *socket);          /* gives it a descriptor, or -EMFILE */
void sim_socket_close(struct sim_socket *socket);          /* the owner lets go */
void sim_socket_drop(struct sim_socket *socket);           /* one reference */
void sim_socket_wake(struct sim_socket *socket);           /* something changed */
uint32_t sim_socket_poll(const struct sim_socket *socket); /* POLLIN, POLLOUT, … */
struct sim_socket *sim_bound(struct sim_host *host, enum sim_kind kind, const struct addr *local,
                             const struct addr *peer);
int sim_bind(struct sim_socket *socket, const struct addr *addr);

/* ---- TCP: what an actor or the ring asks.  Bytes, or -errno ---- */
int sim_tcp_listen(struct sim_socket *socket, int backlog);
int sim_tcp_connect(struct sim_socket *socket, const struct addr *peer); /* 0: begun */
struct sim_socket *sim_tcp_accept(struct sim_socket *listener);          /* NULL: none */
int sim_tcp_send(struct sim_socket *socket, const struct iovec *parts, size_t count, size_t skip);
int sim_tcp_recv(struct sim_socket *socket, const struct iovec *parts, size_t count);
uint64_t sim_tcp_waiting(const struct sim_socket *socket); /* bytes to read */
int sim_tcp_shutdown(struct sim_socket *socket, int how);
void sim_tcp_abort(struct sim_socket *socket);   /* RST */
void sim_tcp_release(struct sim_socket *socket); /* its last reference is gone */
uint32_t sim_tcp_poll(const struct sim_socket *socket);

/* ---- pipes: their reading end first; how much they hold, or -errno ---- */
int sim_pipe_open(struct sim_host *host, int fds[2]);
int sim_splice(struct sim_socket *from, struct sim_socket *to, uint32_t length);

/* ---- UDP ---- */
int sim_udp_connect(struct sim_socket *socket, const struct addr *peer);
int sim_udp_send(struct sim_socket *socket, const struct msghdr *message);
/* Takes one datagram, or a GRO run of them, into `data`; -EAGAIN, or the pending error. */
struct sim_received {
    struct addr from, to;
    uint32_t length, segment;
    uint8_t ecn;
    bool truncated;
};
int sim_udp_recv(struct sim_socket *socket, uint8_t *data, size_t size, struct sim_received *in);
void sim_udp_release(struct sim_socket *socket);
uint32_t sim_udp_poll(const struct sim_socket *socket);

/* ---- rings ---- */
struct sim_op {
    struct list link;   /* a queue of the ring, or the socket's waiting */
    struct list anchor; /* holds the op's own link, which finds this record again */
    struct list cancel; /* the ring's, between the asking and the doing */
    struct op *op;
    struct sim_ring *ring;
    struct sim_socket *socket;
    uint64_t sent, seal; /* bytes sent so far; checksum of what is to be sent */
    int fail;            /* -errno to end with */
    bool finished;
};
/* One try: completes the operation, or leaves it waiting at its socket. */
void sim_op_attempt(struct sim_op *record);
void sim_op_complete(struct sim_op *record, struct op_result result, int buffer_id);
uint64_t sim_op_seal(const struct op *op); /* of the bytes that a send was given */
bool sim_datagram_parse(const struct op *op, struct op_result result, struct datagram_in *in);
int sim_group_take(struct group *group); /* a buffer id, or -1 when it is dry */
struct sim_ring;
struct ring *sim_ring_open(struct sim_host *host);
bool sim_ring_ready(const struct ring *ring);        /* a turn would do something now */
uint64_t sim_ring_deadline(const struct ring *ring); /* when late completions are delivered */
void sim_op_poke(struct sim_op *op);

/* ---- the world ---- */
struct sim_machine; /* a worker and what it is made of */
struct sim_host {
    struct os os;
    struct sim *sim;
    const char *name;
    uint32_t index;
    struct addr addrs[SIM_ADDRESSES];
    uint32_t addr_count;
    uint32_t fd_limit, fds;
    uint16_t next_port;
    uint32_t syns;             /* that came in */
    uint64_t syn_ns[SIM_SYNS]; /* the first of them */
    struct list bound;
    struct addr outer; /* length 0: no NAT */
    uint16_t outer_shift;
    struct sim_machine *machines[SIM_WORKERS]; /* by worker */
    uint32_t machine_count;
};

struct sim {
    struct sim_options options;
    uint64_t now_ns, prng, hash, ops, order;
    uint32_t faults;
    bool fault_met;
    struct sim_event *events; /* a heap */
    uint32_t event_count, event_room;
    struct sim_host hosts[SIM_HOSTS];
    uint32_t host_count;
    struct sim_link links[SIM_HOSTS][SIM_HOSTS];
    struct sim_socket *fds[SIM_FDS];
    struct list sockets, flying; /* all; datagrams under way */
    struct resolver resolver;
    struct {
        char host[256];
        struct addr addr;
    } names[SIM_NAMES];
    uint32_t name_count;
    struct sim_user *users;
    struct sim_service *services;
    uint32_t user_count;
    struct log *log;
};

void sim_os_init(struct sim_host *host);
void sim_users_free(struct sim *sim);
void sim_services_free(struct sim *sim);

/* ---- actors ---- */
struct sim_user {
    struct sim_user *next;
    struct sim *sim;
    struct sim_socket *socket; /* NULL once ended */
    struct sim_user_script script;
    struct sim_datagrams datagrams;
    uint32_t id; /* from 1 */
    enum sim_user_end end;
    uint64_t sent, received;
    bool connected, read_paused, write_paused, saw_end, sent_end, is_udp;
    uint32_t answers;
    bool *answered;
};
struct sim_user *sim_user_of(struct sim *sim, uint32_t id); /* NULL: there is none */
struct sim_socket *sim_actor_socket(struct sim_host *host, enum sim_kind kind, int family,
                                    void (*ready)(struct sim_socket *socket), void *actor);

/* ---- the keyed streams ---- */
enum { HISTORY_HEAD = 16 };
struct history_head { /* the first bytes of what a user sends */
    uint32_t magic, user;
    uint64_t down;
};
bool history_parse(const uint8_t bytes[HISTORY_HEAD], struct history_head *head);
/* The bytes of a user's connection, either way. */
void history_bytes(const struct sim_user *user, bool up, uint64_t offset, uint8_t *to,
                   size_t length);
bool history_check(const struct sim_user *user, bool up, uint64_t offset, const uint8_t *data,
                   size_t length);

uint64_t history_key(uint64_t seed, uint32_t connection, bool up);
void history_fill(uint64_t key, uint64_t offset, uint8_t *to, size_t length);

#endif

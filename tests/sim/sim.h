/* tests/sim/sim.h - a deterministic world for workers: hosts with addresses, a kernel model behind
 * struct ring and struct os, a network, a clock, users and services.  One thread, one seed; the
 * same seed and options give the same trace hash.
 *
 *     struct sim *sim = sim_open(.seed = 7, .fail_op = n);
 *     struct sim_host *relay = sim_host(sim, "relay", "10.0.0.1");
 *     struct worker *worker = sim_worker(relay);
 *     ...
 *     sim_run(sim, 60 * SIM_SECOND);
 *     struct sim_verdict verdict = sim_close(&sim);
 *     check(verdict.faults == 0);
 *
 * Owner: the scenario.  Everything made from a sim is the sim's and goes with sim_close.  What the
 * simulator itself allocates does not pass through core/mem, so that the n-th allocation is always
 * the program's. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/worker.h"

#define SIM_US     UINT64_C(1000)
#define SIM_MS     UINT64_C(1000000)
#define SIM_SECOND UINT64_C(1000000000)

struct sim;
struct sim_host;
struct sim_user;
struct sim_service;

/* How rough the world is; parts per thousand. */
struct sim_weather {
    uint32_t loss, duplication, reorder;
    uint64_t latency_ns, jitter_ns;
    uint32_t mtu;        /* IP packets; 0: 1500 */
    uint32_t black_hole; /* larger ones vanish without a word; 0: none */
};

struct sim_options {
    uint64_t seed;
    uint64_t fail_op;    /* the n-th ring operation or system call fails; 0: none */
    uint64_t fail_error; /* with which of its possible errors */
    uint64_t fail_alloc; /* the n-th allocation through core/mem fails; 0: none */
    bool trace;          /* print every event */
    bool tight;          /* hardly more chunks than are published to the ring */
    bool calm;           /* whole reads and writes, completions at once */
    struct sim_weather weather;
};
#define sim_open(...) sim_open_with(&(struct sim_options){__VA_ARGS__})
struct sim *sim_open_with(const struct sim_options *options);

struct sim_verdict {
    uint64_t hash;   /* of every kernel result, delivery and log line, with its time */
    uint64_t end_ns; /* how long the world lasted */
    uint64_t ops;    /* operations and system calls asked for: bounds fail_op */
    uint32_t faults; /* violations, each printed with the seed: 0 is a pass */
    bool fault_met;  /* fail_op or fail_alloc was reached */
};
/* Checks that nothing is left: busy operations, open descriptors, allocations since sim_open. */
struct sim_verdict sim_close(struct sim **sim);
/* A violation: printed, counted. */
void sim_fault(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- time ---- */
uint64_t sim_now(const struct sim *sim);
typedef bool sim_until_fn(void *context);
/* Steps until `until` says so (NULL: never) or `for_ns` has passed.  Whether `until` was met. */
bool sim_run_until(struct sim *sim, uint64_t for_ns, sim_until_fn *until, void *context);
void sim_run(struct sim *sim, uint64_t for_ns);
/* Calls `act` at a time from now. */
typedef void sim_act_fn(struct sim *sim, void *context);
void sim_at(struct sim *sim, uint64_t in_ns, sim_act_fn *act, void *context);
uint64_t sim_random(struct sim *sim, uint64_t bound); /* 0 .. bound - 1 */

/* ---- hosts and the network ---- */
/* A machine; more addresses by sim_host_address.  127.0.0.0/8 and ::1 are every host's own. */
struct sim_host *sim_host(struct sim *sim, const char *name, const char *address);
void sim_host_address(struct sim_host *host, const char *address);
void sim_host_descriptors(struct sim_host *host, uint32_t limit); /* beyond it: -EMFILE */
struct os *sim_os(struct sim_host *host);
/* One more worker (of four) with its ring, pools and log on that host; NULL when an allocation or
 * operation that it needs was made to fail.  sim_close releases it; it must be idle then. */
struct worker *sim_worker(struct sim_host *host);
void sim_workers_release(struct sim_host *host); /* idle; the host may then have others */
void sim_name(struct sim *sim, const char *host_name, const char *address); /* for the resolver */
/* Both directions between two hosts. */
void sim_weather(struct sim_host *a, struct sim_host *b, const struct sim_weather *weather);
void sim_partition(struct sim_host *from, struct sim_host *to, bool cut); /* one direction */
/* UDP of the host leaves from this address; rebinding gives every socket a new outer port. */
void sim_nat(struct sim_host *host, const char *outer_address);
void sim_nat_rebind(struct sim_host *host);

/* ---- actors ---- */
/* A connection's bytes: the first 16 of the user's name the connection and how much the service is
 * to send; the rest of each direction is a keyed stream of its own. */
struct sim_user_script {
    uint64_t up, down;       /* bytes each way; down counts only where the service obeys */
    uint64_t read_pause_ns;  /* between reads: a slow reader */
    uint64_t write_pause_ns; /* between writes */
    uint64_t reset_after;    /* bytes received, then RST; 0: never */
    uint64_t patience_ns;    /* then it gives up with RST; 0: one minute */
    bool keep_open;          /* FIN only after the service's FIN */
    bool echo;               /* expects its own bytes back */
};
enum sim_user_end {
    SIM_USER_RUNNING,
    SIM_USER_COMPLETE, /* all bytes and the FIN, exact */
    SIM_USER_FAILED,   /* ended by an error, a reset of either side or impatience */
    SIM_USER_REFUSED
};
struct sim_user *sim_user(struct sim_host *host, const struct addr *server,
                          const struct sim_user_script *script);
enum sim_user_end sim_user_end(const struct sim_user *user);
uint64_t sim_user_received(const struct sim_user *user);
bool sim_users_ended(void *sim); /* a sim_until_fn */
uint32_t sim_users_complete(const struct sim *sim);

/* UDP: sends `count` datagrams of `size` bytes, each answered by an echo service; counts answers,
 * which must be exact and come from the address asked. */
struct sim_datagrams {
    uint32_t count, size, flight; /* flight: sent at once; 0: 1 */
    uint64_t pause_ns;
};
struct sim_user *sim_udp_user(struct sim_host *host, const struct addr *server,
                              const struct sim_datagrams *script);
uint32_t sim_user_answers(const struct sim_user *user);

enum sim_service_kind {
    SIM_OBEY,       /* reads all, sends what the user's first bytes ask for, FIN */
    SIM_ECHO,       /* sends back what it reads */
    SIM_SLOW,       /* as SIM_OBEY, but reads and writes with pauses */
    SIM_CLOSE,      /* closes at once */
    SIM_RESET,      /* RST after some bytes */
    SIM_CUT,        /* RST in the middle of what it was asked to send */
    SIM_SILENT,     /* accepts, neither reads nor writes */
    SIM_BLACK_HOLE, /* the SYN is never answered */
    SIM_UDP_ECHO,
    SIM_SERVICE_KINDS
};
struct sim_service *sim_service(struct sim_host *host, enum sim_service_kind kind, uint16_t port);
void sim_service_stop(struct sim_service *service); /* later connects are refused */
uint32_t sim_service_accepted(const struct sim_service *service);

#endif

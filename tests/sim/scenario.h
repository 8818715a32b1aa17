/* tests/sim/scenario.h - whole worlds, built from a seed, run and judged.
 *
 * A scenario is a function of its options alone: it opens a sim, builds hosts, relays, users and
 * services, runs until the users have ended, stops the relays and closes the sim.  What it checks
 * beyond the simulator's own checks: that users of a well-behaved service complete while nothing
 * was made to fail, and that nobody completes at a service that cuts them short. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "relay/relay.h"
#include "tests/sim/sim.h"

struct scenario {
    const char *name;
    const char *about;
    struct sim_verdict (*run)(const struct sim_options *options);
};
extern const struct scenario scenarios[];
extern const uint32_t scenario_count;

struct sim_verdict scenario_direct(const struct sim_options *options);
struct sim_verdict scenario_session(const struct sim_options *options);
struct sim_verdict scenario_tunnel(const struct sim_options *options);
struct sim_verdict scenario_tunnel_session(const struct sim_options *options);
struct sim_verdict scenario_server_lost(const struct sim_options *options);
struct sim_verdict scenario_client_lost(const struct sim_options *options);
struct sim_verdict scenario_flapping(const struct sim_options *options);
struct sim_verdict scenario_reload(const struct sim_options *options);

/* ---- a relay of the program on a host ---- */
struct station {
    struct sim *sim;
    struct sim_host *host;
    struct settings *settings;
    struct crew *crew;
    struct station_relay {
        struct station *station;
        struct worker *worker;
        struct relay *relay;
        bool drained, ended;
        struct { /* of a change of settings: the worker's until it is taken */
            struct mail mail;
            enum relay_change step;
            bool taken;
            int rc;
            char error[512];
        } change;
    } relays[4];    /* by worker */
    uint32_t count; /* of workers; 0 when it could not be started */
    bool registered;
};
/* Workers of a host, by the seed: one, two or four. */
uint32_t scenario_workers(const struct sim *sim);
/* Reads the configuration and starts it on as many workers as it says.  A failure without a fault
 * that was asked for is a violation. */
void station_start(struct station *station, struct sim *sim, struct sim_host *host,
                   const char *text);
/* Other settings, while the world goes on: each worker takes each step at a moment of its own, none
 * before all have taken the last.  0, or -errno and a sentence: the old ones stay. */
int station_change(struct station *station, const char *text, char *error, size_t error_size);
void station_sweep(struct station *station); /* what older settings have left behind */
/* Of a text, its errors in `error`; NULL: there were some. */
struct settings *station_read(const struct station *station, const char *text, char *error,
                              size_t error_size);
/* Stops (or drains) and runs the world until it has ended, then frees all. */
void station_stop(struct station *station);

/* ---- users at services ---- */
/* A listener of a relay under test and what stands behind it. */
struct door {
    enum sim_service_kind kind;
    uint16_t port;
    bool absent; /* nothing listens behind it */
};
enum { DOORS_MAX = 16, VISITORS_MAX = 64 };
struct visitors {
    struct sim *sim;
    struct sim_user *users[VISITORS_MAX];
    const struct door *doors[VISITORS_MAX];
    bool resets[VISITORS_MAX];
    uint32_t count;
    bool rough;           /* the world may break well-behaved ones too */
    bool patient;         /* none leaves before its time */
    bool loses_datagrams; /* its network may lose them, and nobody sends them again */
};
void visitors_send(struct visitors *visitors, struct sim_host *from, const char *address,
                   const struct door *door);
/* Runs until all have ended and judges each by its door. */
void visitors_await(struct visitors *visitors);

#endif

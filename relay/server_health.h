/* relay/server_health.h - asks a server again and again whether it serves, as its backend says, and
 * marks it down or fit.  The first answer counts at once; later ones in a row: `fall` bad ones take
 * it out, `rise` good ones bring it back.  What is our own fault says nothing of it.
 *
 * Owner: its server.  Thread: worker 0's.  Life: init -> adjust... -> stop -> stopped. */
#ifndef RELAY_SERVER_HEALTH_H
#define RELAY_SERVER_HEALTH_H

#include "core/worker.h"
#include "relay/health.h"

struct server_member;

struct server_health {
    struct server_member *server;
    struct health_check *check; /* NULL: none is under way */
    struct timer timer;         /* until the next one */
    uint64_t began_ns;          /* the last one */
    uint32_t in_a_row;          /* answers that speak against how it is marked */
    uint32_t tried;             /* of its addresses, in this check */
    enum reason bad;            /* what was wrong with those; REASON_DONE: nothing yet */
    enum health_kind kind;      /* HEALTH_NONE: it is not asked */
    bool known;                 /* an answer came */
    bool spread;                /* it has its moment in the interval */
    bool stopping;
};

void server_health_init(struct server_health *health, struct server_member *server);
/* What its backend says now; begins, goes on, or ends. */
void server_health_adjust(struct server_health *health);
/* Where a check is under way, server_health_stopped comes. */
void server_health_stop(struct server_health *health);
void server_health_stopped(struct server_member *server); /* server_site.c */

#endif

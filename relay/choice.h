/* relay/choice.h - asks a pool for a member, and tells it what came of it: counted and logged.
 * Thread: the worker's. */
#ifndef RELAY_CHOICE_H
#define RELAY_CHOICE_H

#include "balancer/balancer.h"

struct member *choice_pick(struct backend_pool *pool, struct pick *pick) MUST_CHECK;
void choice_failed(const struct backend_pool *pool, struct member *member, struct worker *worker,
                   enum reason reason);
void choice_succeeded(const struct backend_pool *pool, struct member *member,
                      struct worker *worker);

#endif

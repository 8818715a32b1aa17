/* balancer/pool.h - what pool.c and pick.c share; nobody else's business. */
#ifndef BALANCER_POOL_H
#define BALANCER_POOL_H

#include "balancer/balancer.h"

struct backend_pool {
    char name[65];
    enum balance balance;
    struct member **members; /* in the order they came */
    uint32_t count, capacity;
    uint32_t next; /* where the next search begins: after the member picked last */
};

#endif

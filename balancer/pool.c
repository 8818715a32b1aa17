#include "balancer/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

struct backend_pool *backend_pool_new(const char *name, enum balance balance)
{
    struct backend_pool *pool = mem_new(sizeof(*pool));

    if (!pool)
        return NULL;
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pool->balance = balance;
    return pool;
}

void backend_pool_free(struct backend_pool **pool)
{
    if (!*pool)
        return;
    while ((*pool)->count)
        backend_pool_remove(*pool, (*pool)->members[(*pool)->count - 1]);
    mem_free((*pool)->members);
    mem_free(*pool);
    *pool = NULL;
}

const char *backend_pool_name(const struct backend_pool *pool)
{
    return pool->name;
}

int backend_pool_add(struct backend_pool *pool, struct member *member)
{
    if (pool->count == pool->capacity) {
        uint32_t capacity = pool->capacity ? pool->capacity * 2 : 8;
        struct member **members = mem_resize(pool->members, capacity * sizeof(struct member *));

        if (!members)
            return -ENOMEM;
        pool->members = members;
        pool->capacity = capacity;
    }
    pool->members[pool->count++] = member;
    return 0;
}

void backend_pool_remove(struct backend_pool *pool, struct member *member)
{
    uint32_t index = 0;

    while (index < pool->count && pool->members[index] != member)
        index++;
    must(index < pool->count);
    pool->count--;
    memmove(pool->members + index, pool->members + index + 1,
            (pool->count - index) * sizeof(struct member *));
    if (index < pool->next)
        pool->next--;
    member->state = MEMBER_GONE;
    if (!member->active)
        member->ops->unused(member);
}

uint32_t backend_pool_count(const struct backend_pool *pool)
{
    return pool->count;
}

struct member *backend_pool_member(const struct backend_pool *pool, uint32_t index)
{
    must(index < pool->count);
    return pool->members[index];
}

void member_hold(struct member *member)
{
    member->active++;
}

void member_drop(struct member *member)
{
    must(member->active > 0);
    member->active--;
    if (!member->active && member->state == MEMBER_GONE)
        member->ops->unused(member);
}

#include "relay/crew.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

struct crew *crew_new(struct os *os, const struct settings *settings, struct worker *const *workers,
                      uint32_t count, int *failed, char *error, size_t error_size)
{
    struct crew *crew = mem_new(sizeof(*crew));

    must(count && count <= SETTINGS_WORKERS_MAX);
    if (!crew) {
        *failed = -ENOMEM;
        snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
        return NULL;
    }
    crew->os = os;
    crew->workers = count;
    list_init(&crew->leavers);
    for (uint32_t i = 0; i < count; i++)
        crew->by_index[i] = workers[i];
    crew->now = edition_new(crew, settings, NULL, failed, error, error_size);
    if (!crew->now)
        crew_free(&crew);
    return crew;
}

/* ---- other settings ---- */

int crew_prepare(struct crew *crew, struct settings *settings, char *error, size_t error_size)
{
    int failed;

    must(!crew->next);
    crew->next = edition_new(crew, settings, crew->now, &failed, error, error_size);
    if (!crew->next)
        return failed;
    crew->next->owned = settings;
    return 0;
}

void crew_forget(struct crew *crew)
{
    edition_forget(&crew->next, crew, crew->now);
}

/* Until now a worker may have handed something to one that is on its way out. */
void crew_switched(struct crew *crew, uint64_t now_ns)
{
    uint64_t patience_ns = crew->next->settings->process.drain_timeout_ns;

    for (struct list *at = crew->next->leavers.next; at != &crew->next->leavers; at = at->next) {
        struct leaver *leaver = container_of(at, struct leaver, link);

        leaver->from = crew->now;
        leaver->deadline_ns = now_ns + patience_ns;
        crew->now->left++;
    }
}

void crew_settled(struct crew *crew)
{
    struct edition *old = crew->now;

    edition_settle(crew->next, old);
    for (struct list *at = crew->leavers.next; at != &crew->leavers; at = at->next)
        leaver_settle(container_of(at, struct leaver, link), crew->next);
    for (struct list *at = crew->next->leavers.next; at != &crew->next->leavers; at = at->next)
        leaver_begin(container_of(at, struct leaver, link));
    list_take_all(&crew->leavers, &crew->next->leavers);
    crew->now = crew->next;
    crew->next = NULL;
    if (!old->left)
        edition_free(&old);
}

/* ---- who leaves ---- */

bool crew_is_left(const struct crew *crew)
{
    return !list_empty(&crew->leavers);
}

static void leaver_end(struct leaver *leaver)
{
    struct edition *from = leaver->from;

    list_remove(&leaver->link);
    leaver_free(leaver);
    from->left--;
    if (!from->left)
        edition_free(&from);
}

void crew_sweep(struct crew *crew, uint64_t now_ns)
{
    struct list *next;

    for (struct list *at = crew->leavers.next; at != &crew->leavers; at = next) {
        struct leaver *leaver = container_of(at, struct leaver, link);

        next = at->next;
        if (leaver->gone)
            leaver_end(leaver);
        else if (!atomic_load(&leaver->ending))
            atomic_store(&leaver->ending, leaver_is_done(leaver, now_ns));
        else if (!atomic_load(&leaver->parts))
            leaver->gone = leaver_is_free(leaver);
    }
}

/* ---- looking in ---- */

const struct settings *crew_settings(const struct crew *crew)
{
    return crew->now->settings;
}

int crew_listener_addr(const struct crew *crew, const char *listener, struct addr *addr)
{
    for (uint32_t i = 0; i < crew->now->settings->listener_count; i++)
        if (!strcmp(crew->now->settings->listeners[i].name, listener)) {
            *addr = crew->now->listeners[i]->first;
            return 0;
        }
    return -ENOENT;
}

int crew_tunnel_addr(const struct crew *crew, const char *tunnel, struct addr *addr)
{
    for (uint32_t i = 0; i < crew->now->settings->tunnel_count; i++)
        if (!strcmp(crew->now->settings->tunnels[i].name, tunnel)) {
            quic_port_addr(crew->now->tunnels[i]->ports[0], addr);
            return 0;
        }
    return -ENOENT;
}

/* ---- the end ---- */

void crew_free(struct crew **handle)
{
    struct crew *crew = *handle;

    if (!crew)
        return;
    while (!list_empty(&crew->leavers))
        leaver_end(container_of(crew->leavers.next, struct leaver, link));
    if (crew->now)
        edition_close(&crew->now, crew);
    mem_free(crew);
    *handle = NULL;
}

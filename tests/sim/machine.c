#include "tests/sim/machine.h"

#include <stdlib.h>
#include <string.h>

struct sim_machine {
    struct worker worker;
    struct counters counters;
    struct sim *sim;
    bool broken; /* a turn failed */
    bool again;  /* chunks may have come back after the ring looked for them */
};

struct worker *sim_worker(struct sim_host *host)
{
    struct sim_machine *machine = sim_alloc(sizeof(*machine));
    struct worker_options options = {.os = &host->os,
                                     .ring = sim_ring_open(host),
                                     .limits = {{2048, 1024, 128}},
                                     .counters = &machine->counters,
                                     .log = log_source_new(host->sim->log),
                                     .resolver = &host->sim->resolver,
                                     .index = host->machine_count};

    must(host->machine_count < SIM_WORKERS);
    if (host->sim->options.tight)
        options.limits.count[POOL_MEDIUM] = 64 + (uint32_t)sim_random(host->sim, 32);
    machine->sim = host->sim;
    if (!options.log)
        ring_close(&options.ring);
    if (!options.log || worker_init(&machine->worker, &options) < 0) {
        free(machine);
        return NULL;
    }
    host->machines[host->machine_count++] = machine;
    return &machine->worker;
}

void sim_workers_release(struct sim_host *host)
{
    bool calm = host->sim->options.calm;

    host->sim->options.calm = true; /* nothing comes late while the clock stands */
    while (host->machine_count)
        machine_free(&host->machines[--host->machine_count]);
    host->sim->options.calm = calm;
}

/* What the worker will ask its ring to wait for, seen from outside. */
uint64_t machine_wakes_at(const struct sim_machine *machine)
{
    const struct worker *worker = &machine->worker;
    uint64_t timer, late;

    if (machine->broken)
        return UINT64_MAX;
    if (machine->again || sim_ring_ready(worker->ring) || !list_empty(&worker->tasks) ||
        atomic_load_explicit(&worker->mailbox, memory_order_relaxed))
        return 0;
    timer = timers_next(&worker->timers);
    late = sim_ring_deadline(worker->ring);
    return timer < late ? timer : late;
}

/* The next turn goes on with operations that met an empty group, though it may be empty no more. */
static bool group_goes_on(const struct group *group)
{
    return !list_empty(&group->dry) && group->published;
}

void machine_turn(struct sim_machine *machine)
{
    const struct worker *worker = &machine->worker;
    bool again = machine->again;
    int rc = worker_turn(&machine->worker, UINT64_MAX);

    machine->again = (!again && !list_empty(&worker->ring->refillable)) ||
                     group_goes_on(&worker->tcp_group) || group_goes_on(&worker->udp_group);
    if (rc < 0) {
        sim_fault(machine->sim, "a worker's ring broke: %d", rc);
        machine->broken = true;
    }
}

static void group_check(struct sim *sim, const struct group *group)
{
    if (group->published < group->count)
        sim_fault(sim, "only %u of %u chunks of a group are published", group->published,
                  group->count);
}

static void pools_check(struct sim *sim, const struct worker *worker)
{
    static const char *const names[] = {"small", "medium", "large"};

    group_check(sim, &worker->tcp_group);
    group_check(sim, &worker->udp_group);
    for (uint32_t size = 0; size < POOL_COUNT; size++) {
        uint32_t busy = pools_busy(worker->pools, (enum pool_size)size);
        uint32_t published = (worker->tcp_group.size == size ? worker->tcp_group.published : 0u) +
                             (worker->udp_group.size == size ? worker->udp_group.published : 0u);

        if (busy != published)
            sim_fault(sim, "%u %s chunks were not given back", busy - published, names[size]);
    }
}

void machine_free(struct sim_machine **handle)
{
    struct sim_machine *machine = *handle;

    *handle = NULL;
    if (!machine)
        return;
    pools_check(machine->sim, &machine->worker);
    worker_release(&machine->worker);
    free(machine);
}

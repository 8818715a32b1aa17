/* The clock, the event heap and the loop that steps everything. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/tls.h"
#include "tests/sim/kernel.h"
#include "tests/sim/machine.h"

enum { STEPS_MAX = 4000000 }; /* a world that needs more does not come to rest */

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

/* ---- chance ---- */
uint64_t sim_draw(struct sim *sim)
{
    uint64_t x = sim->prng += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t sim_random(struct sim *sim, uint64_t bound)
{
    return bound ? sim_draw(sim) % bound : 0;
}

bool sim_chance(struct sim *sim, uint32_t per_thousand)
{
    return !sim->options.calm && per_thousand && sim_random(sim, 1000) < per_thousand;
}

/* ---- what happened ---- */
void sim_trace(struct sim *sim, const char *what, uint64_t a, uint64_t b, int64_t c)
{
    const uint64_t words[] = {sim->now_ns, (uint64_t)what[0] << 8 | (uint8_t)what[1], a, b,
                              (uint64_t)c};

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        sim->hash = (sim->hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (sim->hash >> 29);
    if (sim->options.trace)
        fprintf(stderr, "%12.6f %-16s %6llu %8llu %lld\n", (double)sim->now_ns / 1e9, what,
                (unsigned long long)a, (unsigned long long)b, (long long)c);
}

void sim_fault(struct sim *sim, const char *format, ...)
{
    va_list arguments;

    sim->faults++;
    fprintf(stderr, "seed %llu fail_op %llu fail_alloc %llu at %.6f s: ",
            (unsigned long long)sim->options.seed, (unsigned long long)sim->options.fail_op,
            (unsigned long long)sim->options.fail_alloc, (double)sim->now_ns / 1e9);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- events ---- */
static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_schedule(struct sim *sim, uint64_t at_ns, sim_event_fn *run, void *subject,
                  uint64_t detail)
{
    struct sim_event event = {at_ns, sim->order++, run, subject, detail};
    uint32_t slot = sim->event_count++;

    if (slot == sim->event_room) {
        sim->event_room = sim->event_room ? sim->event_room * 2 : 1024;
        sim->events = realloc(sim->events, sim->event_room * sizeof(*sim->events));
        if (!sim->events)
            abort();
    }
    for (; slot && event_before(&event, &sim->events[(slot - 1) / 2]); slot = (slot - 1) / 2)
        sim->events[slot] = sim->events[(slot - 1) / 2];
    sim->events[slot] = event;
}

static struct sim_event event_pop(struct sim *sim)
{
    struct sim_event first = sim->events[0], last = sim->events[--sim->event_count];
    uint32_t slot = 0, child;

    while ((child = slot * 2 + 1) < sim->event_count) {
        if (child + 1 < sim->event_count &&
            event_before(&sim->events[child + 1], &sim->events[child]))
            child++;
        if (!event_before(&sim->events[child], &last))
            break;
        sim->events[slot] = sim->events[child];
        slot = child;
    }
    sim->events[slot] = last;
    return first;
}

static bool events_run_one(struct sim *sim)
{
    struct sim_event event;

    if (!sim->event_count || sim->events[0].at_ns > sim->now_ns)
        return false;
    event = event_pop(sim);
    event.run(sim, event.subject, event.detail);
    return true;
}

struct sim_act {
    sim_act_fn *run;
    void *context;
};

static void act_due(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_act act = *(struct sim_act *)subject;

    free(subject);
    act.run(sim, act.context);
}

void sim_at(struct sim *sim, uint64_t in_ns, sim_act_fn *act, void *context)
{
    struct sim_act *kept = sim_alloc(sizeof(*kept));

    *kept = (struct sim_act){act, context};
    sim_schedule(sim, sim->now_ns + in_ns, act_due, kept, 0);
}

/* ---- the loop ---- */
uint64_t sim_now(const struct sim *sim)
{
    return sim->now_ns;
}

/* One turn of each runnable machine of a host, beginning with any of them.  Whether one ran. */
static bool host_turn(struct sim *sim, struct sim_host *host)
{
    uint32_t count = host->machine_count;
    uint32_t first = count > 1 ? (uint32_t)sim_random(sim, count) : 0;
    bool ran = false;

    for (uint32_t i = 0; i < count; i++) {
        struct sim_machine *machine = host->machines[(first + i) % count];

        if (machine_wakes_at(machine) > sim->now_ns)
            continue;
        machine_turn(machine);
        sim->now_ns += sim->options.calm ? SIM_US : SIM_US + sim_random(sim, 5 * SIM_US);
        ran = true;
    }
    return ran;
}

static bool machines_turn(struct sim *sim)
{
    uint32_t first = (uint32_t)sim_random(sim, sim->host_count);
    bool ran = false;

    for (uint32_t i = 0; i < sim->host_count; i++)
        ran |= host_turn(sim, &sim->hosts[(first + i) % sim->host_count]);
    return ran;
}

static uint64_t next_ns(const struct sim *sim)
{
    uint64_t next = sim->event_count ? sim->events[0].at_ns : UINT64_MAX;

    for (uint32_t i = 0; i < sim->host_count; i++)
        for (uint32_t k = 0; k < sim->hosts[i].machine_count; k++) {
            uint64_t at = machine_wakes_at(sim->hosts[i].machines[k]);

            if (at < next)
                next = at;
        }
    return next;
}

bool sim_run_until(struct sim *sim, uint64_t for_ns, sim_until_fn *until, void *context)
{
    uint64_t end = sim->now_ns + for_ns;
    bool met = false;

    for (uint32_t steps = 0; !(met = until && until(context)); steps++) {
        if (steps == STEPS_MAX) {
            sim_fault(sim, "the world does not come to rest");
            break;
        }
        while (events_run_one(sim))
            ;
        if (machines_turn(sim))
            continue;
        if (next_ns(sim) > end)
            break;
        if (next_ns(sim) > sim->now_ns)
            sim->now_ns = next_ns(sim);
    }
    if (!met && sim->now_ns < end)
        sim->now_ns = end;
    return met;
}

void sim_run(struct sim *sim, uint64_t for_ns)
{
    sim_run_until(sim, for_ns, NULL, NULL);
}

/* ---- beginning and end ---- */
static void log_line(void *context, enum log_level level, const char *line, size_t length)
{
    struct sim *sim = context;

    sim_trace(sim, "log", level, length, length ? line[length - 1] : 0);
    if (sim->options.trace)
        fprintf(stderr, "             | %.*s\n", (int)length, line);
}

static uint64_t log_wall_ms(void *context)
{
    struct sim *sim = context;

    return SIM_WALL_MS + sim->now_ns / SIM_MS;
}

static void names_answer(struct sim *sim, void *subject, uint64_t detail)
{
    struct resolve_request *request = subject;

    sim_trace(sim, "resolved", request->count, 0, request->error);
    worker_post(request->worker, &request->mail);
}

static void names_mail(struct mail *mail)
{
    struct resolve_request *request = container_of(mail, struct resolve_request, mail);

    request->done(request);
}

static void names_ask(struct resolver *resolver, struct resolve_request *request)
{
    struct sim *sim = container_of(resolver, struct sim, resolver);

    request->mail.run = names_mail;
    request->count = 0;
    request->ttl_s = 60;
    request->error = -ENOENT;
    if (addr_from_host(&request->addrs[0], request->host, request->port) == 0)
        request->count = 1;
    for (uint32_t i = 0; i < sim->name_count && !request->count; i++) {
        if (strcmp(sim->names[i].host, request->host) != 0)
            continue;
        request->addrs[0] = sim->names[i].addr;
        addr_set_port(&request->addrs[0], request->port);
        request->count = 1;
    }
    if (request->count)
        request->error = 0;
    sim_schedule(sim, sim->now_ns + SIM_MS + sim_random(sim, 20 * SIM_MS), names_answer, request,
                 0);
}

/* The answer is on its way already. */
static void names_hurry(struct resolver *resolver)
{
}

void sim_name(struct sim *sim, const char *host_name, const char *address)
{
    must(sim->name_count < SIM_NAMES);
    snprintf(sim->names[sim->name_count].host, sizeof(sim->names[0].host), "%s", host_name);
    must(addr_from_host(&sim->names[sim->name_count++].addr, address, 0) == 0);
}

/* ---- what TLS takes from outside ---- */
static int64_t tls_time(void *context)
{
    struct sim *sim = context;

    return (int64_t)(SIM_WALL_MS / 1000 + sim->now_ns / SIM_SECOND);
}

static void tls_random(void *context, void *to, size_t length)
{
    struct sim *sim = context;

    for (uint8_t *at = to; length; length--)
        *at++ = (uint8_t)(sim_draw(sim) >> 32);
}

struct sim *sim_open_with(const struct sim_options *options)
{
    struct sim *sim = sim_alloc(sizeof(*sim));
    const struct log_options log = {.level = options->trace ? LOG_DEBUG : LOG_INFO,
                                    .sink = log_line,
                                    .sink_context = sim,
                                    .wall_ms = log_wall_ms,
                                    .wall_context = sim};
    int error = 0;

    sim->options = *options;
    sim->prng = options->seed * UINT64_C(0xda942042e4dd58b5) + 1;
    sim->now_ns = 1000 * SIM_SECOND;
    sim->resolver.ask = names_ask;
    sim->resolver.hurry = names_hurry;
    list_init(&sim->sockets);
    list_init(&sim->flying);
    must(tls_global_init(&(struct tls_hooks){tls_time, tls_random, sim}) == 0);
    mem_count(true);
    sim->log = log_open(&log, &error);
    must(sim->log);
    mem_fail_at(options->fail_alloc);
    return sim;
}

static void leaks_check(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        if (sim->hosts[i].fds)
            sim_fault(sim, "%s: %u descriptors left open", sim->hosts[i].name, sim->hosts[i].fds);
    }
    if (mem_live() != 0)
        sim_fault(sim, "%lld allocations left", (long long)mem_live());
}

static void sockets_free(struct sim *sim)
{
    struct list *node;

    while ((node = list_pop(&sim->flying)))
        free(container_of(node, struct sim_datagram, link));
    while ((node = list_pop(&sim->sockets))) {
        struct sim_socket *socket = container_of(node, struct sim_socket, link);

        sim_udp_release(socket);
        free(socket->out.bytes);
        free(socket);
    }
}

struct sim_verdict sim_close(struct sim **handle)
{
    struct sim *sim = *handle;
    struct sim_verdict verdict;

    *handle = NULL;
    sim->options.calm = true; /* nothing comes late any more */
    for (uint32_t i = 0; i < sim->host_count; i++)
        sim_workers_release(&sim->hosts[i]);
    sim_users_free(sim);
    sim_services_free(sim);
    sim->fault_met |= mem_failed();
    mem_fail_at(0);
    log_close(&sim->log);
    leaks_check(sim);
    mem_count(false);
    verdict = (struct sim_verdict){.hash = sim->hash,
                                   .end_ns = sim->now_ns - 1000 * SIM_SECOND,
                                   .ops = sim->ops,
                                   .faults = sim->faults,
                                   .fault_met = sim->fault_met};
    for (uint32_t i = 0; i < sim->event_count; i++) {
        if (sim->events[i].run == act_due)
            free(sim->events[i].subject);
    }
    sockets_free(sim);
    free(sim->events);
    free(sim);
    return verdict;
}

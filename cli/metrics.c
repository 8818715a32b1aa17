/* Metrics in Prometheus' text form: one family after the other, each row once. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/metrics.h"
#include "cli/report.h"

/* ---- families ---- */

void metrics_family(struct writer *out, const char *name, const char *type, const char *help)
{
    writer_add(out, "# HELP qmux_%s %s.\n# TYPE qmux_%s %s\n", name, help, name, type);
}

/* Up to the blank before the value; labels end with a NULL name. */
static void row_begin(struct writer *out, const char *name, const struct metrics_label *labels)
{
    writer_add(out, "qmux_%s", name);
    for (const struct metrics_label *label = labels; label->name; label++) {
        writer_add(out, "%s%s=", label == labels ? "{" : ",", label->name);
        writer_label(out, label->value);
    }
    writer_add(out, "%s ", labels->name ? "}" : "");
}

void metrics_row(struct writer *out, const char *name, const struct metrics_label *labels,
                 uint64_t value)
{
    row_begin(out, name, labels);
    writer_add(out, "%" PRIu64 "\n", value);
}

void metrics_row_seconds(struct writer *out, const char *name, const struct metrics_label *labels,
                         uint64_t ns)
{
    row_begin(out, name, labels);
    writer_add(out, "%.9f\n", (double)ns / 1e9);
}

static void rows_directions(struct writer *out, const char *name, const char *kind,
                            const char *value, const char *kind2, const char *value2,
                            const struct traffic *traffic)
{
    static const char *const directions[] = {"in", "out"};

    for (int i = 0; i < 2; i++) {
        struct metrics_label one[] = {
            {kind,           value},
            {"direction",              directions[i]},
            {0}
        };
        struct metrics_label two[] = {
            {kind,        value},
            {kind2,           value2},
            {"direction",directions[i]},
            {0}
        };

        metrics_row(out, name, kind2 ? two : one, i ? traffic->out : traffic->in);
    }
}

/* ---- counters of the process ---- */

static bool is_limit(enum counter counter)
{
    return strncmp(counter_name(counter), "limit_", 6) == 0;
}

static void metrics_counters(struct writer *out, const struct report *report)
{
    static const struct metrics_label none[] = {{0}};

    for (int i = 0; i < COUNTER_COUNT; i++) {
        char name[64];

        if (is_limit((enum counter)i))
            continue;
        snprintf(name, sizeof name, "%s_total", counter_name((enum counter)i));
        metrics_family(out, name, "counter", counter_text((enum counter)i));
        metrics_row(out, name, none, report->counters[i]);
    }
    metrics_family(out, "limit_reached_total", "counter", "Times that a limit was reached");
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (is_limit((enum counter)i)) {
            struct metrics_label limit[] = {
                {"limit", counter_name((enum counter)i) + 6},
                {0      }
            };

            metrics_row(out, "limit_reached_total", limit, report->counters[i]);
        }
}

static void metrics_process(struct writer *out, const struct report *report)
{
    static const struct metrics_label none[] = {{0}};
    const struct metrics_label version[] = {
        {"version", QMUX_VERSION},
        {0        }
    };

    metrics_family(out, "build_info", "gauge", "Always 1; the version is its label");
    metrics_row(out, "build_info", version, 1);
    metrics_family(out, "start_time_seconds", "gauge", "When the process started, since 1970");
    metrics_row_seconds(out, "start_time_seconds", none, report->started_ms * 1000000);
    metrics_family(out, "reload_time_seconds", "gauge",
                   "When other settings came into force, since 1970; 0: never");
    metrics_row_seconds(out, "reload_time_seconds", none, report->reloaded_ms * 1000000);
    metrics_family(out, "workers", "gauge", "Worker threads");
    metrics_row(out, "workers", none, report->workers);
    metrics_family(out, "draining", "gauge", "1 while no new users are taken");
    metrics_row(out, "draining", none, strcmp(report->state, "draining") == 0);
    metrics_family(out, "services_active", "gauge",
                   "Connections and UDP sessions that our client serves");
    metrics_row(out, "services_active", none, report->status->services_active);
}

/* ---- listeners ---- */

static uint64_t listener_connections(const struct status_listener *listener)
{
    return listener->connections;
}
static uint64_t listener_connections_total(const struct status_listener *listener)
{
    return listener->connections_total;
}
static uint64_t listener_refused_total(const struct status_listener *listener)
{
    return listener->refused_total;
}
static uint64_t listener_sessions(const struct status_listener *listener)
{
    return listener->udp_sessions;
}
static uint64_t listener_sessions_total(const struct status_listener *listener)
{
    return listener->udp_sessions_total;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*value)(const struct status_listener *listener);
} listener_families[] = {
    {"listener_connections",        "gauge",   "Connections open now",  listener_connections      },
    {"listener_connections_total",  "counter", "Connections taken",     listener_connections_total},
    {"listener_refused_total",      "counter", "Connections refused",   listener_refused_total    },
    {"listener_udp_sessions",       "gauge",   "UDP sessions open now", listener_sessions         },
    {"listener_udp_sessions_total", "counter", "UDP sessions begun",    listener_sessions_total   },
};

static uint64_t listener_leaving(const struct status *status, const char *name)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < status->listener_count; i++) {
        const struct status_listener *listener = &status->listeners[i];

        if (listener->leaving && strcmp(listener->name, name) == 0)
            sum += listener->connections + listener->udp_sessions;
    }
    return sum;
}

static void metrics_leavers(struct writer *out, const struct status *status,
                            const struct status *by_name)
{
    metrics_family(out, "listener_leaving", "gauge",
                   "Connections and UDP sessions that go on where nobody new is taken any more");
    for (uint32_t i = 0; i < by_name->listener_count; i++) {
        struct metrics_label labels[] = {
            {"listener", by_name->listeners[i].name},
            {0         }
        };

        metrics_row(out, "listener_leaving", labels,
                    by_name->listeners[i].leaving ? listener_leaving(status, labels[0].value) : 0);
    }
}

static void metrics_listeners(struct writer *out, const struct status *status)
{
    for (size_t f = 0; f < ARRAY_COUNT(listener_families); f++) {
        metrics_family(out, listener_families[f].name, listener_families[f].type,
                       listener_families[f].help);
        for (uint32_t i = 0; i < status->listener_count; i++) {
            struct metrics_label labels[] = {
                {"listener", status->listeners[i].name},
                {0         }
            };

            metrics_row(out, listener_families[f].name, labels,
                        listener_families[f].value(&status->listeners[i]));
        }
    }
    metrics_family(out, "listener_bytes_total", "counter",
                   "Bytes from users (in) and to users (out)");
    for (uint32_t i = 0; i < status->listener_count; i++)
        rows_directions(out, "listener_bytes_total", "listener", status->listeners[i].name, NULL,
                        NULL, &status->listeners[i].traffic);
}

/* ---- backends and their servers ---- */

static uint64_t status_active(const struct status_member *member)
{
    return member->active;
}
static uint64_t status_total(const struct status_member *member)
{
    return member->total;
}
static uint64_t status_failures(const struct status_member *member)
{
    return member->failures;
}
static uint64_t member_fit(const struct status_member *member)
{
    return status_member_fit(member);
}
static uint64_t member_one(const struct status_member *member)
{
    return 1;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*value)(const struct status_member *member);
} member_families[] =
    {
        {"member_sessions",       "gauge",   "Sessions on a server now",                status_active  },
        {"member_sessions_total", "counter", "Sessions that a server was given",        status_total   },
        {"member_failures_total", "counter", "Sessions that a server failed",           status_failures},
        {"member_up",             "gauge",   "1 while a server is fit and not ejected", member_fit     },
},
  backend_families[] = {
      {"backend_sessions", "gauge", "Sessions on all members now", status_active},
      {"backend_members", "gauge", "Members there are", member_one},
      {"backend_members_fit", "gauge", "Members that are fit and not ejected", member_fit},
};

/* Tunnel clients have families of their own, with a bound on how many are named. */
static void metrics_members(struct writer *out, const struct status *status)
{
    for (size_t f = 0; f < ARRAY_COUNT(member_families); f++) {
        metrics_family(out, member_families[f].name, member_families[f].type,
                       member_families[f].help);
        for (uint32_t i = 0; i < status->member_count; i++) {
            const struct status_member *member = &status->members[i];
            struct metrics_label labels[] = {
                {"backend",     status->backends[member->backend].name},
                {"member",             member->name},
                {0}
            };

            if (!status->backends[member->backend].tunnel)
                metrics_row(out, member_families[f].name, labels, member_families[f].value(member));
        }
    }
    metrics_family(out, "member_bytes_total", "counter",
                   "Bytes from users (in) and to users (out)");
    for (uint32_t i = 0; i < status->member_count; i++)
        if (!status->backends[status->members[i].backend].tunnel)
            rows_directions(out, "member_bytes_total", "backend",
                            status->backends[status->members[i].backend].name, "member",
                            status->members[i].name, &status->members[i].traffic);
}

static void metrics_backends(struct writer *out, const struct status *status)
{
    for (size_t f = 0; f < ARRAY_COUNT(backend_families); f++) {
        metrics_family(out, backend_families[f].name, backend_families[f].type,
                       backend_families[f].help);
        for (uint32_t b = 0; b < status->backend_count; b++) {
            struct metrics_label labels[] = {
                {"backend", status->backends[b].name},
                {0        }
            };
            uint64_t sum = 0;

            for (uint32_t i = 0; i < status->member_count; i++)
                if (status->members[i].backend == b)
                    sum += backend_families[f].value(&status->members[i]);
            metrics_row(out, backend_families[f].name, labels, sum);
        }
    }
}

/* ---- the way it is put together ---- */

static void metrics_status(struct writer *out, const struct status *status,
                           const struct status *by_name)
{
    metrics_listeners(out, by_name);
    metrics_leavers(out, status, by_name);
    metrics_backends(out, by_name);
    metrics_members(out, by_name);
    metrics_clients(out, by_name);
}

/* No row may be there twice, and what leaves may have the name of what stays. */
void report_metrics(struct writer *out, const struct report *report)
{
    struct status by_name = {.by_name = true};

    metrics_process(out, report);
    metrics_counters(out, report);
    if (!status_has_leavers(report->status))
        metrics_status(out, report->status, report->status);
    else if (status_merge(&by_name, report->status))
        out->failed = true;
    else
        metrics_status(out, report->status, &by_name);
    status_release(&by_name);
}

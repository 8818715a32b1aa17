#include "cli/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/grid.h"

struct screen {
    struct writer *out;
    const struct json *now, *before; /* before: NULL at first */
    struct screen_options options;
    uint64_t ms; /* between the two */
};

/* ---- cells ---- */

/* "12.3M" */
static void add_scaled(struct grid *grid, double value)
{
    static const char units[] = " kMGTPE";
    size_t unit = 0;

    while (value >= 999.5 && units[unit + 1]) {
        value /= 1000;
        unit++;
    }
    if (unit)
        grid_add(grid, "%.*f%c", value < 99.95 ? 1 : 0, value, units[unit]);
    else
        grid_add(grid, "%.0f", value);
}

static void add_rate(struct grid *grid, const struct screen *screen, uint64_t now, uint64_t before)
{
    if (screen->ms)
        add_scaled(grid, now > before ? (double)(now - before) * 8000 / (double)screen->ms : 0);
    else
        grid_add(grid, "-");
}

static void add_text(struct grid *grid, const struct json *row, const char *name)
{
    grid_add(grid, "%s", json_text(row, name));
}

static void add_number(struct grid *grid, const struct json *row, const char *name)
{
    grid_add(grid, "%" PRIu64, json_number(row, name));
}

/* What is not known yet is a dash. */
static void add_round_trip(struct grid *grid, const struct json *row)
{
    const struct json *rtt = json_get(row, "rtt_ms");
    int length = (int)strcspn(rtt->text, ",}");

    if (strspn(rtt->text, "0.") < (size_t)length)
        grid_add(grid, "%.*s", length, rtt->text);
    else
        grid_add(grid, "-");
}

static const char *time_text(uint64_t ms, char *text, size_t size)
{
    uint64_t seconds = ms / 1000;

    if (seconds >= 86400)
        snprintf(text, size, "%" PRIu64 "d %" PRIu64 "h", seconds / 86400, seconds / 3600 % 24);
    else
        snprintf(text, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600,
                 seconds / 60 % 60, seconds % 60);
    return text;
}

/* ---- tables ---- */

static bool is_leaving(const struct json *row)
{
    return strcmp(json_text(row, "state"), "leaving") == 0;
}

/* The row of the same name in an earlier table; one that leaves may have another's. */
static const struct json *row_before(const struct json *table, const struct json *row)
{
    for (const struct json *at = table->first; at; at = at->next)
        if (!strcmp(json_text(at, "name"), json_text(row, "name")) &&
            is_leaving(at) == is_leaving(row))
            return at;
    return row;
}

/* The columns that end a row of traffic; the rates come last, and only where they are wanted. */
/* clang-format off */
#define TRAFFIC_COLUMNS                                                                            \
    {.title = "BYTES IN", .rank = 2}, {.title = "BYTES OUT", .rank = 2}, {.title = "IN bit/s"},    \
    {.title = "OUT bit/s"}
/* clang-format on */
enum { RATES = 2 };

static void add_traffic(struct grid *grid, const struct screen *screen, const struct json *row,
                        const struct json *before)
{
    uint64_t in = json_number(row, "bytes_in"), out = json_number(row, "bytes_out");

    add_scaled(grid, (double)in);
    add_scaled(grid, (double)out);
    if (!screen->options.live)
        return;
    add_rate(grid, screen, in, json_number(before, "bytes_in"));
    add_rate(grid, screen, out, json_number(before, "bytes_out"));
}

static void screen_end_table(struct screen *screen, struct grid *grid)
{
    if (grid->cell_count)
        writer_bytes(screen->out, "\n", 1);
    grid_write(grid, screen->out, screen->options.width);
    grid_release(grid);
}

static void screen_listeners(struct screen *screen)
{
    static const struct grid_column columns[] = {
        {.title = "LISTENER", .text = true},
        {.title = "STATE",    .text = true, .rank = 1},
        {.title = "ADDRESS",                   .text = true             },
        {.title = "OPEN"                  },
        {.title = "UDP"     },
        {.title = "TOTAL",          .rank = 1   },
        {.title = "REFUSED",          .rank = 1            },
        TRAFFIC_COLUMNS
    };
    const struct json *before = json_get(screen->before, "listeners");
    struct grid grid;

    grid_init(&grid, columns, ARRAY_COUNT(columns) - (screen->options.live ? 0 : RATES));
    for (const struct json *row = json_get(screen->now, "listeners")->first; row; row = row->next) {
        add_text(&grid, row, "name");
        add_text(&grid, row, "state");
        add_text(&grid, row, "address");
        add_number(&grid, row, "connections");
        add_number(&grid, row, "udp_sessions");
        grid_add(&grid, "%" PRIu64,
                 json_number(row, "connections_total") + json_number(row, "udp_sessions_total"));
        add_number(&grid, row, "refused_total");
        add_traffic(&grid, screen, row, row_before(before, row));
    }
    screen_end_table(screen, &grid);
}

static void add_members(struct grid *grid, const struct screen *screen, const struct json *backend,
                        const struct json *backend_before)
{
    const struct json *before = json_get(backend_before, "members");

    for (const struct json *row = json_get(backend, "members")->first; row; row = row->next) {
        add_text(grid, backend, "name");
        add_text(grid, row, "name");
        add_text(grid, row, "state");
        add_number(grid, row, "active");
        add_number(grid, row, "total");
        add_number(grid, row, "failures");
        add_traffic(grid, screen, row, row_before(before, row));
    }
}

/* A pool without members has a row too: that nobody is there is what one looks for. */
static void add_no_members(struct grid *grid, const struct json *backend)
{
    add_text(grid, backend, "name");
    grid_add(grid, "(nobody)");
    for (uint32_t i = 2; i < grid->column_count; i++)
        grid_add(grid, "-");
}

static void screen_backends(struct screen *screen, const char *kind, const char *title)
{
    const struct grid_column columns[] = {
        {.title = title,   .text = true},
        {.title = "MEMBER",                .text = true},
        {.title = "STATE",.text = true},
        {.title = "ACTIVE"},
        {.title = "TOTAL",                .rank = 1},
        {.title = "FAILED"               },
        TRAFFIC_COLUMNS
    };
    const struct json *before = json_get(screen->before, kind);
    struct grid grid;

    grid_init(&grid, columns, ARRAY_COUNT(columns) - (screen->options.live ? 0 : RATES));
    for (const struct json *row = json_get(screen->now, kind)->first; row; row = row->next) {
        if (json_get(row, "members")->first)
            add_members(&grid, screen, row, row_before(before, row));
        else
            add_no_members(&grid, row);
    }
    screen_end_table(screen, &grid);
}

/* The columns that end a row of a QUIC connection. */
/* clang-format off */
#define PATH_COLUMNS                                                                               \
    {.title = "RTT ms"}, {.title = "LOST"}, {.title = "WINDOW", .rank = 1}, {.title = "STREAMS"}
/* clang-format on */

static void add_path(struct grid *grid, const struct json *row)
{
    add_round_trip(grid, row);
    add_number(grid, row, "packets_lost");
    add_scaled(grid, (double)json_number(row, "congestion_window"));
    add_number(grid, row, "streams");
}

static void screen_clients(struct screen *screen)
{
    static const struct grid_column columns[] = {
        {.title = "CLIENT", .text = true},
        {.title = "ID",     .text = true, .rank = 2},
        {.title = "ADDRESS",                 .text = true           },
        {.title = "STATE",                 .text = true  },
        PATH_COLUMNS
    };
    const struct json *tunnel = json_get(screen->now, "tunnels")->first;
    struct grid grid;

    grid_init(&grid, columns, ARRAY_COUNT(columns));
    for (; tunnel; tunnel = tunnel->next)
        for (const struct json *row = json_get(tunnel, "clients")->first; row; row = row->next) {
            add_text(&grid, row, "identity");
            add_text(&grid, row, "id");
            add_text(&grid, row, "address");
            add_text(&grid, row, "state");
            add_path(&grid, row);
        }
    screen_end_table(screen, &grid);
}

static void screen_servers(struct screen *screen)
{
    static const struct grid_column columns[] = {
        {.title = "SERVER",  .text = true},
        {.title = "ADDRESS", .text = true},
        {.title = "STATE",   .text = true},
        PATH_COLUMNS
    };
    struct grid grid;

    grid_init(&grid, columns, ARRAY_COUNT(columns));
    for (const struct json *row = json_get(screen->now, "servers")->first; row; row = row->next) {
        add_text(&grid, row, "name");
        add_text(&grid, row, "address");
        add_text(&grid, row, "state");
        add_path(&grid, row);
    }
    screen_end_table(screen, &grid);
}

/* ---- as a whole ---- */

static void screen_process(const struct screen *screen, uint64_t uptime_ms)
{
    const struct json *now = screen->now;
    char time[32];

    writer_add(screen->out, "qmux-uring %s  pid %" PRIu64 "  %s  up %s  workers %" PRIu64,
               json_text(now, "version"), json_number(now, "pid"), json_text(now, "state"),
               time_text(uptime_ms, time, sizeof time), json_number(now, "workers"));
    if (json_get(now, "servers")->first)
        writer_add(screen->out, "  serving %" PRIu64, json_number(now, "services_active"));
    writer_bytes(screen->out, "\n", 1);
}

void screen_write(struct writer *out, const struct json *now, const struct json *before,
                  const struct screen_options *options)
{
    uint64_t ms = json_number(now, "uptime_ms"), ms_before = json_number(before, "uptime_ms");
    struct screen screen = {.out = out, .now = now, .before = before, .options = *options};

    if (before && ms > ms_before)
        screen.ms = ms - ms_before;
    screen_process(&screen, ms);
    screen_listeners(&screen);
    screen_backends(&screen, "backends", "BACKEND");
    screen_backends(&screen, "tunnels", "TUNNEL");
    screen_clients(&screen);
    screen_servers(&screen);
}

#include "cli/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CELL_SIZE = 32 };

/* ---- cells ---- */

/* "12.3 MB" */
static const char *cell_bytes(uint64_t bytes, char cell[CELL_SIZE])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(cell, CELL_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return cell;
}

/* "1.2 Gbit/s", or a dash where there is nothing to compare with. */
static const char *cell_rate(uint64_t now, uint64_t before, uint64_t ms, char cell[CELL_SIZE])
{
    static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
    double value = ms && now >= before ? (double)(now - before) * 8000 / (double)ms : 0;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    if (ms)
        snprintf(cell, CELL_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    else
        snprintf(cell, CELL_SIZE, "-");
    return cell;
}

static const char *cell_time(uint64_t ms, char cell[CELL_SIZE])
{
    uint64_t seconds = ms / 1000;

    if (seconds >= 86400)
        snprintf(cell, CELL_SIZE, "%" PRIu64 "d %" PRIu64 "h", seconds / 86400,
                 seconds / 3600 % 24);
    else
        snprintf(cell, CELL_SIZE, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600,
                 seconds / 60 % 60, seconds % 60);
    return cell;
}

/* What peers call themselves: nothing of it may move a terminal's cursor. */
static const char *cell_text(const struct json *row, const char *name, char cell[CELL_SIZE])
{
    size_t length = 0;

    for (const char *text = json_text(row, name); *text && length < CELL_SIZE - 1; text++)
        cell[length++] = (unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f ? '?' : *text;
    cell[length] = 0;
    return *cell ? cell : "-";
}

/* ---- tables ---- */

struct screen {
    struct writer *out;
    const struct json *now, *before; /* before: NULL at first */
    uint64_t ms;                     /* between the two */
};

static bool has_same(const struct json *a, const struct json *b, const char *name)
{
    return strcmp(json_text(a, name), json_text(b, name)) == 0;
}

/* The row of the same name in an earlier table; one that leaves may have another's. */
static const struct json *row_before(const struct json *table, const struct json *row)
{
    for (const struct json *at = table->first; at; at = at->next)
        if (has_same(at, row, "name") && has_same(at, row, "state"))
            return at;
    return row;
}

static void screen_rates(struct screen *screen, const struct json *row, const struct json *before)
{
    char in[CELL_SIZE], out[CELL_SIZE];

    writer_add(
        screen->out, " %12s %12s",
        cell_rate(json_number(row, "bytes_in"), json_number(before, "bytes_in"), screen->ms, in),
        cell_rate(json_number(row, "bytes_out"), json_number(before, "bytes_out"), screen->ms,
                  out));
    writer_add(screen->out, " %9s %9s\n", cell_bytes(json_number(row, "bytes_in"), in),
               cell_bytes(json_number(row, "bytes_out"), out));
}

static void screen_listeners(struct screen *screen)
{
    const struct json *before = json_get(screen->before, "listeners");
    char name[CELL_SIZE], address[CELL_SIZE];

    writer_add(screen->out, "\n%-12s %-7s %-22s %8s %8s %12s %12s %9s %9s\n", "LISTENER", "STATE",
               "ADDRESS", "OPEN", "UDP", "IN", "OUT", "BYTES IN", "BYTES OUT");
    for (const struct json *row = json_get(screen->now, "listeners")->first; row; row = row->next) {
        writer_add(screen->out, "%-12s %-7s %-22s %8" PRIu64 " %8" PRIu64,
                   cell_text(row, "name", name), json_text(row, "state"),
                   cell_text(row, "address", address), json_number(row, "connections"),
                   json_number(row, "udp_sessions"));
        screen_rates(screen, row, row_before(before, row));
    }
}

static void screen_members(struct screen *screen, const struct json *backend,
                           const struct json *backend_before)
{
    const struct json *before = json_get(backend_before, "members");
    char name[CELL_SIZE], of[CELL_SIZE];

    for (const struct json *row = json_get(backend, "members")->first; row; row = row->next) {
        writer_add(screen->out, "%-12s %-22s %-7s %8" PRIu64 " %8" PRIu64,
                   cell_text(backend, "name", of), cell_text(row, "name", name),
                   json_text(row, "state"), json_number(row, "active"),
                   json_number(row, "failures"));
        screen_rates(screen, row, row_before(before, row));
    }
}

static void screen_backends(struct screen *screen, const char *kind)
{
    const struct json *table = json_get(screen->now, kind);
    const struct json *before = json_get(screen->before, kind);

    if (!table->first)
        return;
    writer_add(screen->out, "\n%-12s %-22s %-7s %8s %8s %12s %12s %9s %9s\n",
               strcmp(kind, "tunnels") == 0 ? "TUNNEL" : "BACKEND", "MEMBER", "STATE", "ACTIVE",
               "FAILED", "IN", "OUT", "BYTES IN", "BYTES OUT");
    for (const struct json *row = table->first; row; row = row->next)
        screen_members(screen, row, row_before(before, row));
}

static void screen_path(struct screen *screen, const struct json *row, const char *first,
                        const char *second)
{
    char name[CELL_SIZE], label[CELL_SIZE], address[CELL_SIZE], window[CELL_SIZE];
    const struct json *rtt = json_get(row, "rtt_ms");

    writer_add(screen->out, "%-22s %-12s %-22s %6.*s ms %6" PRIu64 " %9s %8" PRIu64 "\n",
               cell_text(row, first, name), cell_text(row, second, label),
               cell_text(row, "address", address), (int)strcspn(rtt->text, ",}"),
               *rtt->text ? rtt->text : "-", json_number(row, "packets_lost"),
               cell_bytes(json_number(row, "congestion_window"), window),
               json_number(row, "streams"));
}

static void screen_clients(struct screen *screen)
{
    bool titled = false;

    for (const struct json *tunnel = json_get(screen->now, "tunnels")->first; tunnel;
         tunnel = tunnel->next)
        for (const struct json *row = json_get(tunnel, "clients")->first; row; row = row->next) {
            if (!titled)
                writer_add(screen->out, "\n%-22s %-12s %-22s %9s %6s %9s %8s\n", "CLIENT", "ID",
                           "ADDRESS", "RTT", "LOST", "WINDOW", "STREAMS");
            titled = true;
            screen_path(screen, row, "identity", "id");
        }
}

static void screen_servers(struct screen *screen)
{
    const struct json *table = json_get(screen->now, "servers");

    if (table->first)
        writer_add(screen->out, "\n%-22s %-12s %-22s %9s %6s %9s %8s\n", "SERVER", "STATE",
                   "ADDRESS", "RTT", "LOST", "WINDOW", "STREAMS");
    for (const struct json *row = table->first; row; row = row->next)
        screen_path(screen, row, "name", "state");
}

void screen_write(struct writer *out, const struct json *now, const struct json *before)
{
    uint64_t ms = json_number(now, "uptime_ms"), ms_before = json_number(before, "uptime_ms");
    struct screen screen = {.out = out, .now = now, .before = before};
    char time[CELL_SIZE];

    if (before && ms > ms_before)
        screen.ms = ms - ms_before;
    writer_add(out, "qmux-uring %s  pid %" PRIu64 "  %s  up %s  workers %" PRIu64 "\n",
               json_text(now, "version"), json_number(now, "pid"), json_text(now, "state"),
               cell_time(ms, time), json_number(now, "workers"));
    if (json_get(now, "listeners")->first)
        screen_listeners(&screen);
    screen_backends(&screen, "backends");
    screen_backends(&screen, "tunnels");
    screen_clients(&screen);
    screen_servers(&screen);
}

#include "cli/report.h"

#include <inttypes.h>
#include <unistd.h>

#include "core/addr.h"

static void json_addr(struct writer *out, const char *name, const struct addr *addr)
{
    char text[ADDR_TEXT_SIZE];

    writer_add(out, ",\"%s\":", name);
    if (addr->length)
        writer_json(out, addr_format(addr, text));
    else
        writer_add(out, "null");
}

static void json_traffic(struct writer *out, const struct traffic *traffic)
{
    writer_add(out, ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64, traffic->in, traffic->out);
}

static void json_listener(struct writer *out, const struct status_listener *listener)
{
    static const char *const protocols[] = {
        [PROTOCOL_TCP] = "tcp", [PROTOCOL_UDP] = "udp", [PROTOCOL_BOTH] = "both"};

    writer_add(out, "{\"name\":");
    writer_json(out, listener->name);
    json_addr(out, "address", &listener->addr);
    writer_add(out, ",\"state\":\"%s\",\"protocol\":\"%s\",\"backend\":",
               status_leaving(listener->leaving), protocols[listener->protocol]);
    writer_json(out, listener->backend);
    writer_add(out,
               ",\"connections\":%u,\"connections_total\":%" PRIu64 ",\"refused_total\":%" PRIu64
               ",\"udp_sessions\":%u,\"udp_sessions_total\":%" PRIu64,
               listener->connections, listener->connections_total, listener->refused_total,
               listener->udp_sessions, listener->udp_sessions_total);
    json_traffic(out, &listener->traffic);
    writer_add(out, "}");
}

/* One that is ejected is tried again now and then, and comes back by serving. */
static const char *member_text(const struct status_member *member)
{
    return member->ejected && member->state == MEMBER_FIT ? "ejected"
                                                          : status_member_state(member->state);
}

static void json_member(struct writer *out, const struct status_member *member)
{
    writer_add(out, "{\"name\":");
    writer_json(out, member->name);
    writer_add(out, ",\"state\":\"%s\",\"active\":%u,\"total\":%" PRIu64 ",\"failures\":%" PRIu64,
               member_text(member), member->active, member->total, member->failures);
    json_traffic(out, &member->traffic);
    writer_add(out, "}");
}

static void json_members(struct writer *out, const struct status *status, uint32_t backend)
{
    const char *comma = "";

    writer_add(out, ",\"members\":[");
    for (uint32_t i = 0; i < status->member_count; i++) {
        if (status->members[i].backend != backend)
            continue;
        writer_add(out, "%s", comma);
        json_member(out, &status->members[i]);
        comma = ",";
    }
    writer_add(out, "]");
}

static void json_path(struct writer *out, uint64_t rtt_ns, uint64_t lost, uint64_t window,
                      uint32_t streams)
{
    writer_add(out,
               ",\"rtt_ms\":%.3f,\"packets_lost\":%" PRIu64 ",\"congestion_window\":%" PRIu64
               ",\"streams\":%u",
               (double)rtt_ns / 1e6, lost, window, streams);
}

static void json_client(struct writer *out, const struct status_client *client)
{
    writer_add(out, "{\"identity\":");
    writer_json(out, client->identity);
    writer_add(out, ",\"id\":");
    writer_json(out, client->label);
    json_addr(out, "address", &client->addr);
    writer_add(out, ",\"state\":\"%s\",\"version\":%u", status_member_state(client->state),
               client->version);
    json_path(out, client->rtt_ns, client->packets_lost, client->congestion_window,
              client->streams);
    json_traffic(out, &client->traffic);
    writer_add(out, "}");
}

static void json_clients(struct writer *out, const struct status *status, uint32_t tunnel)
{
    const char *comma = "";

    writer_add(out, ",\"clients\":[");
    for (uint32_t i = 0; i < status->client_count; i++) {
        if (status->clients[i].tunnel != tunnel)
            continue;
        writer_add(out, "%s", comma);
        json_client(out, &status->clients[i]);
        comma = ",";
    }
    writer_add(out, "]");
}

static void json_backends(struct writer *out, const struct status *status, bool tunnels)
{
    const char *comma = "";

    writer_add(out, ",\"%s\":[", tunnels ? "tunnels" : "backends");
    for (uint32_t i = 0; i < status->backend_count; i++) {
        if (status->backends[i].tunnel != tunnels)
            continue;
        writer_add(out, "%s{\"name\":", comma);
        writer_json(out, status->backends[i].name);
        if (tunnels) {
            json_addr(out, "address", &status->backends[i].addr);
            writer_add(out, ",\"state\":\"%s\"", status_leaving(status->backends[i].leaving));
        }
        json_members(out, status, i);
        if (tunnels)
            json_clients(out, status, i);
        writer_add(out, "}");
        comma = ",";
    }
    writer_add(out, "]");
}

static void json_server(struct writer *out, const struct status_server *server)
{
    writer_add(out, "{\"name\":");
    writer_json(out, server->name);
    json_addr(out, "address", &server->addr);
    writer_add(out, ",\"state\":\"%s\"", server->state);
    json_path(out, server->rtt_ns, server->packets_lost, server->congestion_window,
              server->streams);
    json_traffic(out, &server->traffic);
    writer_add(out, "}");
}

static void json_counters(struct writer *out, const struct report *report)
{
    writer_add(out, ",\"counters\":{");
    for (int i = 0; i < COUNTER_COUNT; i++)
        writer_add(out, "%s\"%s\":%" PRIu64, i ? "," : "", counter_name((enum counter)i),
                   report->counters[i]);
    writer_add(out, "}");
}

void report_json(struct writer *out, const struct report *report)
{
    const struct status *status = report->status;

    writer_add(out,
               "{\"v\":1,\"ok\":true,\"version\":\"%s\",\"pid\":%d,\"state\":\"%s\","
               "\"uptime_ms\":%" PRIu64 ",\"reloaded_ms\":%" PRIu64
               ",\"workers\":%u,\"listeners\":[",
               QMUX_VERSION, (int)getpid(), report->state, report->uptime_ms, report->reloaded_ms,
               report->workers);
    for (uint32_t i = 0; i < status->listener_count; i++) {
        writer_add(out, "%s", i ? "," : "");
        json_listener(out, &status->listeners[i]);
    }
    writer_add(out, "]");
    json_backends(out, status, false);
    json_backends(out, status, true);
    writer_add(out, ",\"servers\":[");
    for (uint32_t i = 0; i < status->server_count; i++) {
        writer_add(out, "%s", i ? "," : "");
        json_server(out, &status->servers[i]);
    }
    writer_add(out, "],\"services_active\":%u", status->services_active);
    json_counters(out, report);
    writer_add(out, "}");
}

void report_error(struct writer *out, const char *error)
{
    writer_add(out, "{\"v\":1,\"ok\":false,\"error\":");
    writer_json(out, error);
    writer_add(out, "}");
}

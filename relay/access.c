#include "relay/access.h"

void access_write(struct worker *worker, const struct access_line *line)
{
    bool connected = line->connected_ns;
    const struct log_field fields[] = {
        LOG_TEXT("listener", line->listener),
        LOG_TEXT("protocol", line->protocol),
        LOG_NUMBER("connection", line->connection),
        LOG_ADDR("source", line->source->length ? line->source : NULL),
        LOG_ADDR("destination", line->destination->length ? line->destination : NULL),
        LOG_TEXT("backend", line->backend),
        LOG_TEXT("member", line->member),
        LOG_NUMBER("bytes_in", line->bytes_in),
        LOG_NUMBER("bytes_out", line->bytes_out),
        LOG_NUMBER("duration_ms", (worker->now_ns - line->began_ns) / 1000000),
        connected ? LOG_NUMBER("connect_ms", (line->connected_ns - line->began_ns) / 1000000)
                  : LOG_TEXT("connect_ms", NULL),
        LOG_TEXT("reason", reason_name(line->reason)),
    };

    if (log_wanted(worker->access, LOG_INFO))
        log_write(worker->access, LOG_INFO, NULL, fields, ARRAY_COUNT(fields));
}

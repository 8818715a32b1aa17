/* What admin clients ask for, by line and by HTTP, and the answers. */
#include <stdio.h>
#include <string.h>

#include "cli/admin_client.h"

/* ---- waiting for a picture ---- */

static void wait_for(struct admin_client *client, enum admin_topic topic)
{
    client->topic = topic;
    client->state = ADMIN_WAITING;
    if (!client->options->events->picture(client->options->context))
        admin_answer(client, NULL);
}

/* ---- answers ---- */

/* From body to answer, with HTTP's head where it is one. */
static void answer_http(struct admin_client *client, int status, const char *type)
{
    struct writer *answer = &client->answer;

    writer_add(answer,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store\r\n%s%s\r\n",
               status, http_status_text(status), type, client->body.length,
               status == 405 ? "Allow: GET, HEAD\r\n" : "",
               client->last ? "Connection: close\r\n" : "");
    if (!client->head)
        writer_bytes(answer, client->body.text ? client->body.text : "", client->body.length);
    client->state = ADMIN_WRITING;
}

static void answer_line(struct admin_client *client)
{
    writer_bytes(&client->answer, client->body.text ? client->body.text : "", client->body.length);
    writer_bytes(&client->answer, "\n", 1);
    client->state = ADMIN_WRITING;
}

static void answer_text(struct admin_client *client, int status, const char *text)
{
    writer_add(&client->body, "%s\n", text);
    answer_http(client, status, "text/plain; charset=utf-8");
}

static void answer_error(struct admin_client *client, const char *error)
{
    report_error(&client->body, error);
    answer_line(client);
}

static void answer_good(struct admin_client *client)
{
    writer_add(&client->body, "{\"v\":1,\"ok\":true}");
    answer_line(client);
}

static void answer_json(struct admin_client *client, const struct report *report)
{
    if (report)
        report_json(&client->body, report);
    else
        report_error(&client->body, "the workers do not answer: the process is starting or ending");
    if (client->http)
        answer_http(client, report ? 200 : 503, "application/json");
    else
        answer_line(client);
}

void admin_answer(struct admin_client *client, const struct report *report)
{
    if (client->topic == TOPIC_STATUS) {
        answer_json(client, report);
    } else if (client->topic == TOPIC_READY) {
        bool ready = report && report->ready;

        answer_text(client, ready ? 200 : 503, ready ? "ready" : "not ready");
    } else if (report) {
        report_metrics(&client->body, report);
        answer_http(client, 200, "text/plain; version=0.0.4; charset=utf-8");
    } else {
        answer_text(client, 503, "the workers do not answer");
    }
}

/* ---- lines ---- */

static void line_status(struct admin_client *client)
{
    wait_for(client, TOPIC_STATUS);
}

static void line_drain(struct admin_client *client)
{
    client->options->events->drain(client->options->context, "drain");
    answer_good(client);
}

static void line_stop(struct admin_client *client)
{
    client->options->events->stop(client->options->context, "stop");
    answer_good(client);
}

static void line_reload(struct admin_client *client)
{
    struct writer error = {0};

    if (client->options->events->reload(client->options->context, &error))
        answer_good(client);
    else
        answer_error(client, error.text ? error.text : "out of memory");
    writer_release(&error);
}

static const struct {
    const char *word;
    void (*run)(struct admin_client *client);
} lines[] = {
    {"status", line_status},
    {"drain",  line_drain },
    {"stop",   line_stop  },
    {"reload", line_reload},
};

void admin_take_line(struct admin_client *client, const char *line, size_t length)
{
    if (length && line[length - 1] == '\r')
        length--;
    counter_add(client->options->counters, COUNTER_ADMIN_REQUESTS, 1);
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        if (strlen(lines[i].word) == length && memcmp(line, lines[i].word, length) == 0) {
            lines[i].run(client);
            return;
        }
    counter_add(client->options->counters, COUNTER_ADMIN_INVALID, 1);
    client->last = true;
    answer_error(client, "unknown request: status, drain, stop and reload are known");
}

/* ---- HTTP ---- */

static void http_health(struct admin_client *client)
{
    answer_text(client, 200, "alive");
}

static void http_ready(struct admin_client *client)
{
    wait_for(client, TOPIC_READY);
}

static void http_metrics(struct admin_client *client)
{
    wait_for(client, TOPIC_METRICS);
}

static const struct {
    const char *path;
    void (*run)(struct admin_client *client);
} pages[] = {
    {"/healthz",       http_health },
    {"/readyz",        http_ready  },
    {"/metrics",       http_metrics},
    {"/api/v1/status", line_status },
};

void admin_take_http(struct admin_client *client, const struct http_request *request)
{
    counter_add(client->options->counters, COUNTER_ADMIN_REQUESTS, 1);
    client->last = request->close;
    client->head = request->head;
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++)
        if (strcmp(request->path, pages[i].path) == 0) {
            pages[i].run(client);
            return;
        }
    answer_text(client, 404, "not found: /metrics /healthz /readyz /api/v1/status are here");
}

void admin_refuse_http(struct admin_client *client, int status)
{
    counter_add(client->options->counters,
                status == 431 ? COUNTER_LIMIT_ADMIN_SIZE : COUNTER_ADMIN_INVALID, 1);
    client->last = true;
    client->head = false;
    answer_text(client, status, http_status_text(status));
}

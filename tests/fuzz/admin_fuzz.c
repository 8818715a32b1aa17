/* Any bytes as what admin clients send: lines, HTTP requests; and as an answer that a command
 * reads.
 */
#include <stdint.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/json.h"
#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fuzz_picture(void *context)
{
    return false;
}
static void fuzz_order(void *context, const char *asked_by)
{
}
static bool fuzz_reload(void *context, struct writer *error)
{
    writer_add(error, "no");
    return false;
}
static const struct admin_events fuzz_events = {
    .picture = fuzz_picture, .drain = fuzz_order, .stop = fuzz_order, .reload = fuzz_reload};

static struct counters counters;
static const struct admin_options fuzz_options = {.counters = &counters, .events = &fuzz_events};

/* Every request ends with an answer, and a line's is one line of JSON. */
static void fuzz_answered(struct admin_client *client)
{
    struct json_document document;

    must(client->state == ADMIN_WRITING && client->answer.length);
    if (!client->http) {
        must(client->answer.text[client->answer.length - 1] == '\n');
        must(json_read(&document, client->answer.text) == 0);
        json_free(&document);
    }
    writer_release(&client->answer);
    writer_release(&client->body);
}

static void fuzz_lines(const char *data, size_t size)
{
    while (size) {
        struct admin_client client = {.options = &fuzz_options};
        const char *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;

        admin_take_line(&client, data, length);
        fuzz_answered(&client);
        data += length + !!end;
        size -= length + !!end;
    }
}

static void fuzz_http(const char *data, size_t size)
{
    struct http_request request;
    int taken;

    while ((taken = http_request_read(data, size, &request)) != 0) {
        struct admin_client client = {.options = &fuzz_options, .http = true};

        must(taken <= (int)size);
        if (taken > 0)
            admin_take_http(&client, &request);
        else
            admin_refuse_http(&client, -taken);
        fuzz_answered(&client);
        if (taken < 0)
            return;
        must(*request.path == '/');
        data += taken;
        size -= (size_t)taken;
    }
}

static void fuzz_json(const char *data, size_t size)
{
    char *text = mem_raw(size + 1);
    struct json_document document;

    must(text);
    memcpy(text, data, size);
    text[size] = 0;
    if (json_read(&document, text) == 0)
        json_free(&document);
    mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_lines((const char *)data, size);
    fuzz_http((const char *)data, size);
    fuzz_json((const char *)data, size);
    return 0;
}

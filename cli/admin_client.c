#include "cli/admin_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"

struct admin_client *admin_client_new(const struct admin_options *options, int fd, bool http,
                                      uint64_t now_ms)
{
    struct admin_client *client = mem_new(sizeof(*client));

    if (!client) {
        close(fd);
        return NULL;
    }
    list_init(&client->link);
    client->options = options;
    client->fd = fd;
    client->http = http;
    client->deadline_ms = now_ms + (http ? ADMIN_READ_MS : ADMIN_IDLE_MS);
    return client;
}

void admin_client_free(struct admin_client *client)
{
    list_remove(&client->link);
    writer_release(&client->answer);
    writer_release(&client->body);
    close(client->fd);
    mem_free(client);
}

short admin_client_wants(const struct admin_client *client)
{
    static const short wants[] = {[ADMIN_READING] = POLLIN,
                                  [ADMIN_WRITING] = POLLOUT,
                                  [ADMIN_LEAVING] = POLLIN,
                                  [ADMIN_DONE] = 0};

    return wants[client->state];
}

/* ---- requests ---- */

/* How many bytes of the input were taken; 0: more are to come. */
static size_t take_line(struct admin_client *client)
{
    const char *end = memchr(client->input, '\n', client->length);
    size_t length = end ? (size_t)(end - client->input) : client->length;

    if (length > ADMIN_LINE_MAX) {
        counter_add(client->options->counters, COUNTER_LIMIT_ADMIN_SIZE, 1);
        client->state = ADMIN_DONE;
        return 0;
    }
    if (!end)
        return 0;
    admin_take_line(client, client->input, length);
    return length + 1;
}

static size_t take_http(struct admin_client *client)
{
    struct http_request request;
    int taken = http_request_read(client->input, client->length, &request);

    if (taken > 0)
        admin_take_http(client, &request);
    else if (taken < 0)
        admin_refuse_http(client, -taken);
    return taken > 0 ? (size_t)taken : 0;
}

/* Begins with what is in the input, if that is a whole request. */
static void client_take(struct admin_client *client, uint64_t now_ms)
{
    size_t taken = client->http ? take_http(client) : take_line(client);

    client->length -= taken;
    memmove(client->input, client->input + taken, client->length);
    if (client->state == ADMIN_WAITING || client->state == ADMIN_WRITING)
        client->deadline_ms = now_ms + ADMIN_WRITE_MS;
}

static void client_read(struct admin_client *client, uint64_t now_ms)
{
    bool begun = client->length;
    ssize_t got = recv(client->fd, client->input + client->length,
                       sizeof(client->input) - client->length, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client->state = ADMIN_DONE;
        return;
    }
    client->length += (size_t)got;
    if (!begun)
        client->deadline_ms = now_ms + ADMIN_READ_MS;
    client_take(client, now_ms);
}

/* ---- answers ---- */

static void client_answered(struct admin_client *client, uint64_t now_ms)
{
    if (client->last) {
        shutdown(client->fd, SHUT_WR);
        client->state = ADMIN_LEAVING;
        client->deadline_ms = now_ms + ADMIN_LEAVE_MS;
        return;
    }
    client->state = ADMIN_READING;
    client->sent = 0;
    writer_release(&client->answer);
    writer_release(&client->body);
    client->deadline_ms = now_ms + (client->http ? ADMIN_READ_MS : ADMIN_IDLE_MS);
}

static void client_write(struct admin_client *client, uint64_t now_ms)
{
    const struct writer *answer = &client->answer;
    ssize_t sent;

    if (answer->failed || client->body.failed) {
        client->state = ADMIN_DONE; /* no memory for it */
        return;
    }
    sent = send(client->fd, answer->text + client->sent, answer->length - client->sent,
                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        client->state = ADMIN_DONE;
    else if (sent > 0)
        client->sent += (size_t)sent;
    if (client->state == ADMIN_WRITING && client->sent == answer->length)
        client_answered(client, now_ms);
}

static void client_leave(struct admin_client *client)
{
    if (recv(client->fd, client->input, sizeof(client->input), MSG_DONTWAIT) == 0)
        client->state = ADMIN_DONE;
}

/* As far as it goes at once: answers, and requests that came behind one another. */
static void client_go_on(struct admin_client *client, uint64_t now_ms)
{
    while (client->state == ADMIN_WRITING) {
        client_write(client, now_ms);
        if (client->state != ADMIN_READING || !client->length)
            return;
        client_take(client, now_ms);
    }
}

void admin_client_ready(struct admin_client *client, short revents, uint64_t now_ms)
{
    if (revents & (POLLERR | POLLNVAL) || (revents & POLLHUP && client->state != ADMIN_READING)) {
        client->state = ADMIN_DONE;
        return;
    }
    if (client->state == ADMIN_READING && revents & (POLLIN | POLLHUP))
        client_read(client, now_ms);
    else if (client->state == ADMIN_LEAVING && revents & POLLIN)
        client_leave(client);
    client_go_on(client, now_ms);
}

bool admin_client_expire(struct admin_client *client, uint64_t now_ms)
{
    bool quiet =
        (client->state == ADMIN_READING && !client->length) || client->state == ADMIN_LEAVING;

    if (client->state == ADMIN_DONE || now_ms < client->deadline_ms)
        return false;
    if (!quiet)
        counter_add(client->options->counters, COUNTER_LIMIT_ADMIN_TIME, 1);
    client->state = ADMIN_DONE;
    return true;
}

void admin_client_pictured(struct admin_client *client, const struct report *report,
                           uint64_t now_ms)
{
    if (client->state != ADMIN_WAITING)
        return;
    admin_answer(client, report);
    client_go_on(client, now_ms);
}

#include "cli/admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "core/mem.h"
#include "core/sock.h"

enum { ACCEPTS_AT_ONCE = 16, BACKLOG = 64, PAUSE_MS = 100 };

/* One listening socket. */
struct admin_door {
    int fd; /* -1: not open */
    bool http;
    uint32_t count, max; /* clients */
};

struct admin {
    struct admin_options options;
    struct admin_door doors[2];
    struct list clients;
    struct stat socket_file; /* ours, as it was made */
    uint64_t pause_until_ms; /* out of descriptors: nothing is accepted until then */
};

static uint64_t admin_now_ms(void)
{
    return os_linux.clock_ns(&os_linux) / 1000000;
}

/* ---- the unix socket ---- */

/* Somebody answers there; a socket that nobody listens on is removed. */
static int admin_clear_path(const char *path, const struct addr *addr)
{
    struct stat file;
    int fd, rc;

    if (lstat(path, &file))
        return 0; /* bind says what is wrong, if anything is */
    if (!S_ISSOCK(file.st_mode))
        return -EEXIST;
    fd = os_linux.socket(&os_linux, AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return fd;
    rc = connect(fd, &addr->sa, addr->length) ? -errno : -EADDRINUSE;
    close(fd);
    if (rc == -EADDRINUSE || rc == -EAGAIN)
        return -EADDRINUSE;
    return rc == -ECONNREFUSED && unlink(path) ? -errno : 0;
}

/* The mode of the socket before bind is the file's: there is no moment when others may connect. */
static int admin_bind(struct admin *admin, const char *path)
{
    const struct account *owner = &admin->options.owner;
    struct addr addr;
    int rc = addr_from_path(&addr, path), fd;

    if (!rc)
        rc = admin_clear_path(path, &addr);
    fd = rc ? rc : os_linux.socket(&os_linux, AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return fd;
    if (fchmod(fd, 0600) || bind(fd, &addr.sa, addr.length) || listen(fd, BACKLOG) ||
        stat(path, &admin->socket_file) || (owner->given && chown(path, owner->id, (gid_t)-1))) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int admin_open_socket(struct admin *admin, char *error, size_t error_size)
{
    const char *path = admin->options.settings->socket;
    int fd = admin_bind(admin, path);

    if (fd == -EADDRINUSE)
        snprintf(error, error_size,
                 "the admin socket %s is taken: another qmux-uring answers there", path);
    else if (fd < 0)
        snprintf(error, error_size, "cannot open the admin socket %s: %s", path, strerror(-fd));
    admin->doors[0] = (struct admin_door){.fd = fd, .max = ADMIN_LINE_CLIENTS};
    return fd < 0 ? fd : 0;
}

static int admin_open_http(struct admin *admin, char *error, size_t error_size)
{
    const struct addr *addr = &admin->options.settings->http;
    char text[ADDR_TEXT_SIZE];
    struct addr bound;
    int fd;

    if (!addr->length)
        return 0;
    fd = sock_tcp_listen(&os_linux, addr, BACKLOG);
    if (fd < 0) {
        snprintf(error, error_size, "admin http: cannot listen on %s: %s", addr_format(addr, text),
                 strerror(-fd));
        return fd;
    }
    admin->doors[1] = (struct admin_door){.fd = fd, .http = true, .max = ADMIN_HTTP_CLIENTS};
    if (os_linux.local_addr(&os_linux, fd, &bound) == 0)
        LOG(admin->options.log, LOG_INFO, "listening for scrapers", LOG_ADDR("address", &bound));
    return 0;
}

/* ---- clients ---- */

static void admin_take(struct admin *admin, struct admin_door *door, int fd, uint64_t now_ms)
{
    struct admin_client *client;

    if (door->count >= door->max) {
        counter_add(admin->options.counters, COUNTER_LIMIT_ADMIN_CLIENTS, 1);
        close(fd);
        return;
    }
    client = admin_client_new(&admin->options, fd, door->http, now_ms);
    if (!client)
        return;
    list_append(&admin->clients, &client->link);
    door->count++;
}

static void admin_accept(struct admin *admin, struct admin_door *door, uint64_t now_ms)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            admin_take(admin, door, fd, now_ms);
        } else {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                admin->pause_until_ms = now_ms + PAUSE_MS;
            return;
        }
    }
}

static void admin_forget(struct admin *admin, struct admin_client *client)
{
    admin->doors[client->http].count--;
    admin_client_free(client);
}

/* ---- turns of the control thread ---- */

static void admin_wait_until(uint64_t at_ms, uint64_t now_ms, int *timeout_ms)
{
    uint64_t left_ms = at_ms > now_ms ? at_ms - now_ms : 0;

    if (*timeout_ms < 0 || left_ms < (uint64_t)*timeout_ms)
        *timeout_ms = (int)left_ms;
}

uint32_t admin_poll(struct admin *admin, struct pollfd *fds, uint32_t max, int *timeout_ms)
{
    uint64_t now_ms = admin_now_ms();
    bool paused = now_ms < admin->pause_until_ms;
    uint32_t count = ARRAY_COUNT(admin->doors);

    must(max >= ADMIN_FDS);
    for (uint32_t i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = paused ? -1 : admin->doors[i].fd, .events = POLLIN};
    if (paused)
        admin_wait_until(admin->pause_until_ms, now_ms, timeout_ms);
    for (struct list *at = admin->clients.next; at != &admin->clients; at = at->next) {
        const struct admin_client *client = container_of(at, struct admin_client, link);

        fds[count++] = (struct pollfd){.fd = client->fd, .events = admin_client_wants(client)};
        admin_wait_until(client->deadline_ms, now_ms, timeout_ms);
    }
    return count;
}

/* Clients that came since the poll stand behind those that were polled. */
void admin_ready(struct admin *admin, const struct pollfd *fds, uint32_t count)
{
    uint64_t now_ms = admin_now_ms();
    uint32_t polled = ARRAY_COUNT(admin->doors);
    struct list *next;

    for (struct list *at = admin->clients.next; at != &admin->clients; at = next) {
        struct admin_client *client = container_of(at, struct admin_client, link);

        next = at->next;
        if (polled < count && fds[polled].revents)
            admin_client_ready(client, fds[polled].revents, now_ms);
        polled++;
        admin_client_expire(client, now_ms);
        if (client->state == ADMIN_DONE)
            admin_forget(admin, client);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(admin->doors); i++)
        if (fds[i].revents)
            admin_accept(admin, &admin->doors[i], now_ms);
}

void admin_pictured(struct admin *admin, const struct report *report)
{
    uint64_t now_ms = admin_now_ms();

    for (struct list *at = admin->clients.next; at != &admin->clients; at = at->next)
        admin_client_pictured(container_of(at, struct admin_client, link), report, now_ms);
}

/* ---- life ---- */

struct admin *admin_open(const struct admin_options *options, char *error, size_t error_size)
{
    struct admin *admin = mem_new(sizeof(*admin));

    if (!admin) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }
    admin->options = *options;
    admin->doors[0].fd = admin->doors[1].fd = -1;
    list_init(&admin->clients);
    if (admin_open_socket(admin, error, error_size) || admin_open_http(admin, error, error_size))
        admin_close(&admin);
    return admin;
}

/* The file goes if it is still the one that was made here. */
static void admin_remove_socket(const struct admin *admin)
{
    const char *path = admin->options.settings->socket;
    struct stat file;

    if (lstat(path, &file) == 0 && file.st_dev == admin->socket_file.st_dev &&
        file.st_ino == admin->socket_file.st_ino && unlink(path))
        LOG(admin->options.log, LOG_DEBUG, "the admin socket stays", LOG_TEXT("path", path),
            LOG_TEXT("error", strerror(errno)));
}

void admin_close(struct admin **admin)
{
    struct admin *a = *admin;

    if (!a)
        return;
    admin_pictured(a, NULL);
    while (!list_empty(&a->clients))
        admin_forget(a, container_of(a->clients.next, struct admin_client, link));
    if (a->doors[0].fd >= 0) {
        admin_remove_socket(a);
        close(a->doors[0].fd);
    }
    if (a->doors[1].fd >= 0)
        close(a->doors[1].fd);
    mem_free(a);
    *admin = NULL;
}

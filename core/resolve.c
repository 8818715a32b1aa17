#include "core/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/text.h"

enum { TRY_MS = 2000, TRIES = 2, LIMIT_MS = 10000, KEEP_S = 1 };
struct resolver_socket {
    int fd;
    short events; /* for poll */
};

struct ares_resolver {
    struct resolver resolver; /* the face */
    ares_channel_t *channel;
    uint32_t limit_ms;
    const char *resolv_conf;
    struct timespec resolv_conf_time; /* of what was read last, */
    ino_t resolv_conf_inode;          /* and which file it was */
    int wake_fd;
    _Atomic(struct resolve_request *) asked; /* newest first, from any thread */
    struct list lookups;                     /* unanswered, oldest first: that is by deadline too */
    struct resolver_socket sockets[RESOLVER_FDS - 1];
    uint32_t socket_count;
};

/* c-ares calls back once for each query, however late: so that a request can be answered at its
 * limit, c-ares only ever holds this. */
struct lookup {
    struct resolve_request *request; /* NULL once answered */
    struct list link;
    uint64_t deadline_ms;
};

/* c-ares asks for services that have a name; ours have numbers.  glibc's answers would bring the
 * name service switch into a static program, which loads the machine's libraries for it. */
int getservbyname_r(const char *name, const char *protocol, struct servent *entry, char *buf,
                    size_t size, struct servent **found)
{
    *found = NULL;
    return ENOENT;
}

int getservbyport_r(int port, const char *protocol, struct servent *entry, char *buf, size_t size,
                    struct servent **found)
{
    *found = NULL;
    return ENOENT;
}

static struct ares_resolver *ares_of(struct resolver *resolver)
{
    return container_of(resolver, struct ares_resolver, resolver);
}

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- answers ---- */

static void request_mailed(struct mail *mail)
{
    struct resolve_request *request = container_of(mail, struct resolve_request, mail);

    request->done(request);
}

static void request_answer(struct resolve_request *request, int error)
{
    request->error = error;
    request->mail.run = request_mailed;
    worker_post(request->worker, &request->mail);
}

static int errno_of_ares(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
    case ARES_ENONAME:
        return -ENOENT;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ENOMEM:
        return -ENOMEM;
    default: /* servers that fail, refuse or talk nonsense; or we are closing */
        return -EAGAIN;
    }
}

static void request_take_addresses(struct resolve_request *request,
                                   const struct ares_addrinfo *info)
{
    const struct ares_addrinfo_node *node = info->nodes;

    request->ttl_s = UINT32_MAX;
    for (; node && request->count < RESOLVE_MAX; node = node->ai_next) {
        struct addr *addr = &request->addrs[request->count++];
        uint32_t ttl_s = node->ai_ttl > 0 ? (uint32_t)node->ai_ttl : 0;

        addr_from_sockaddr(addr, node->ai_addr, node->ai_addrlen);
        addr_set_port(addr, request->port);
        if (ttl_s < request->ttl_s)
            request->ttl_s = ttl_s;
    }
}

static void lookup_answer(struct lookup *lookup, int error)
{
    struct resolve_request *request = lookup->request;

    must(request);
    lookup->request = NULL;
    list_remove(&lookup->link);
    request_answer(request, error);
}

static void lookup_done(void *argument, int status, int timeouts, struct ares_addrinfo *info)
{
    struct lookup *lookup = argument;
    int error = errno_of_ares(status);

    if (lookup->request) {
        if (!error)
            request_take_addresses(lookup->request, info);
        if (!error && !lookup->request->count)
            error = -ENOENT;
        lookup_answer(lookup, error);
    }
    if (info)
        ares_freeaddrinfo(info);
    mem_free(lookup);
}

/* False: it is no SRV record, or says that the service is not to be had there. */
static bool srv_record_read(struct srv_record *record, const ares_dns_rr_t *row)
{
    const char *host;
    size_t length;

    if (ares_dns_rr_get_type(row) != ARES_REC_TYPE_SRV)
        return false;
    host = ares_dns_rr_get_str(row, ARES_RR_SRV_TARGET);
    length = host ? strlen(host) : 0;
    if (length && host[length - 1] == '.')
        length--;
    if (!length || length >= sizeof(record->host))
        return false;
    text_lower(record->host, length + 1, host);
    record->port = ares_dns_rr_get_u16(row, ARES_RR_SRV_PORT);
    record->priority = ares_dns_rr_get_u16(row, ARES_RR_SRV_PRIORITY);
    record->weight = ares_dns_rr_get_u16(row, ARES_RR_SRV_WEIGHT);
    return record->port;
}

static int request_take_records(struct resolve_request *request, const ares_dns_record_t *answer)
{
    size_t rows = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);

    request->ttl_s = UINT32_MAX;
    request->records = rows ? mem_new(rows * sizeof(struct srv_record)) : NULL;
    if (rows && !request->records)
        return -ENOMEM;
    for (size_t i = 0; i < rows; i++) {
        const ares_dns_rr_t *row = ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i);
        uint32_t ttl_s = ares_dns_rr_get_ttl(row);

        if (!srv_record_read(&request->records[request->count], row))
            continue;
        request->count++;
        if (ttl_s < request->ttl_s)
            request->ttl_s = ttl_s;
    }
    if (request->count)
        return 0;
    mem_free(request->records);
    request->records = NULL;
    return -ENOENT;
}

static void lookup_records_done(void *argument, ares_status_t status, size_t timeouts,
                                const ares_dns_record_t *answer)
{
    struct lookup *lookup = argument;
    int error = errno_of_ares((int)status);

    if (lookup->request) {
        if (!error)
            error = request_take_records(lookup->request, answer);
        lookup_answer(lookup, error);
    }
    mem_free(lookup);
}

static void resolver_expire(struct ares_resolver *ares)
{
    uint64_t now = list_empty(&ares->lookups) ? 0 : clock_ms();
    struct list *next;

    for (struct list *link = ares->lookups.next; link != &ares->lookups; link = next) {
        struct lookup *lookup = container_of(link, struct lookup, link);

        next = link->next;
        if (lookup->deadline_ms <= now)
            lookup_answer(lookup, -ETIMEDOUT);
        else if (atomic_load(&lookup->request->given_up))
            lookup_answer(lookup, -EAGAIN);
    }
}

/* ---- asking ---- */

static bool request_answer_numeric(struct resolve_request *request)
{
    if (request->srv || addr_from_host(&request->addrs[0], request->host, request->port))
        return false;
    request->count = 1;
    request->ttl_s = UINT32_MAX;
    request_answer(request, 0);
    return true;
}

/* Any thread. */
static void resolver_ask(struct resolver *resolver, struct resolve_request *request)
{
    struct ares_resolver *ares = ares_of(resolver);
    struct resolve_request *before = atomic_load_explicit(&ares->asked, memory_order_relaxed);

    if (request_answer_numeric(request))
        return;
    do {
        request->next = before;
    } while (!atomic_compare_exchange_weak(&ares->asked, &before, request));
    if (!before) /* the request may be answered and gone by now */
        eventfd_write(ares->wake_fd, 1);
}

static void resolver_hurry(struct resolver *resolver)
{
    eventfd_write(ares_of(resolver)->wake_fd, 1);
}

/* Takes all that were asked, oldest first. */
static struct resolve_request *resolver_take_asked(struct ares_resolver *ares)
{
    struct resolve_request *newest = atomic_exchange(&ares->asked, NULL), *oldest = NULL;

    while (newest) {
        struct resolve_request *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* May call lookup_done at once. */
static void resolver_start(struct ares_resolver *ares, struct resolve_request *request)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = mem_new(sizeof(*lookup));

    if (!lookup) {
        request_answer(request, -ENOMEM);
        return;
    }
    lookup->request = request;
    lookup->deadline_ms = clock_ms() + ares->limit_ms;
    list_append(&ares->lookups, &lookup->link);
    if (request->srv)
        ares_query_dnsrec(ares->channel, request->host, ARES_CLASS_IN, ARES_REC_TYPE_SRV,
                          lookup_records_done, lookup, NULL);
    else
        ares_getaddrinfo(ares->channel, request->host, NULL, &hints, lookup_done, lookup);
}

static bool resolver_file_changed(struct ares_resolver *ares)
{
    struct timespec time = ares->resolv_conf_time;
    ino_t inode = ares->resolv_conf_inode;
    struct stat status;

    if (stat(ares->resolv_conf, &status))
        return false;
    ares->resolv_conf_time = status.st_mtim;
    ares->resolv_conf_inode = status.st_ino;
    return inode != status.st_ino || time.tv_sec != status.st_mtim.tv_sec ||
           time.tv_nsec != status.st_mtim.tv_nsec;
}

/* A machine that moved to another network has other name servers. */
static void resolver_follow_file(struct ares_resolver *ares)
{
    if (resolver_file_changed(ares) && ares_reinit(ares->channel) != ARES_SUCCESS)
        ares->resolv_conf_time = (struct timespec){0}; /* again with the next request */
}

static void resolver_start_asked(struct ares_resolver *ares)
{
    struct resolve_request *request = resolver_take_asked(ares), *next;

    if (request)
        resolver_follow_file(ares);
    for (; request; request = next) {
        next = request->next; /* once answered it is its owner's again */
        resolver_start(ares, request);
    }
}

/* ---- polling ---- */

static void resolver_socket_changed(void *argument, ares_socket_t fd, int readable, int writable)
{
    struct ares_resolver *ares = argument;
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    uint32_t i = 0;

    while (i < ares->socket_count && ares->sockets[i].fd != fd)
        i++;
    if (!events) {
        if (i < ares->socket_count)
            ares->sockets[i] = ares->sockets[--ares->socket_count];
        return;
    }
    if (i == ARRAY_COUNT(ares->sockets))
        return; /* more servers than anyone has: what is asked there times out */
    if (i == ares->socket_count)
        ares->socket_count++;
    ares->sockets[i] = (struct resolver_socket){.fd = fd, .events = events};
}

static void timeout_lower(int *timeout_ms, uint64_t other_ms)
{
    if (*timeout_ms < 0 || other_ms < (uint64_t)*timeout_ms)
        *timeout_ms = (int)other_ms;
}

static void resolver_lower_timeout(struct ares_resolver *ares, int *timeout_ms)
{
    struct timeval wait;
    struct lookup *first;
    uint64_t now;

    if (ares_timeout(ares->channel, NULL, &wait)) /* rounded up, or we would spin */
        timeout_lower(timeout_ms, (uint64_t)wait.tv_sec * 1000 + (uint64_t)wait.tv_usec / 1000 + 1);
    if (list_empty(&ares->lookups))
        return;
    now = clock_ms();
    first = container_of(ares->lookups.next, struct lookup, link);
    timeout_lower(timeout_ms, first->deadline_ms > now ? first->deadline_ms - now : 0);
}

uint32_t resolver_poll(struct resolver *resolver, struct pollfd *fds, uint32_t room,
                       int *timeout_ms)
{
    struct ares_resolver *ares = ares_of(resolver);
    uint32_t count = 0;

    must(room > 0);
    fds[count++] = (struct pollfd){.fd = ares->wake_fd, .events = POLLIN};
    for (uint32_t i = 0; i < ares->socket_count && count < room; i++) {
        fds[count++] =
            (struct pollfd){.fd = ares->sockets[i].fd, .events = ares->sockets[i].events};
    }
    resolver_lower_timeout(ares, timeout_ms);
    return count;
}

void resolver_ready(struct resolver *resolver, const struct pollfd *fds, uint32_t count)
{
    struct ares_resolver *ares = ares_of(resolver);
    ares_fd_events_t events[RESOLVER_FDS];
    eventfd_t value;
    size_t ready = 0;

    must(count >= 1 && count <= RESOLVER_FDS);
    if (fds[0].revents)
        eventfd_read(ares->wake_fd, &value);
    for (uint32_t i = 1; i < count; i++) {
        unsigned read = fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? ARES_FD_EVENT_READ : 0u;
        unsigned write = fds[i].revents & POLLOUT ? ARES_FD_EVENT_WRITE : 0u;

        if (read | write)
            events[ready++] = (ares_fd_events_t){.fd = fds[i].fd, .events = read | write};
    }
    ares_process_fds(ares->channel, events, ready, ARES_PROCESS_FLAG_NONE);
    resolver_start_asked(ares);
    resolver_expire(ares);
}

/* ---- life ---- */

/* c-ares keeps the system's allocator, not core/mem: 1.34.9 crashes on some failed allocations.  It
 * keeps answers for a moment, in which all workers ask for the same, and not for their whole TTL:
 * who asks again, wants to know. */
static int resolver_open_channel(struct ares_resolver *ares, const struct resolver_options *options)
{
    const char *hosts_file = options->hosts_file ? options->hosts_file : "/etc/hosts";
    struct ares_options settings = {
        .timeout = (int)(options->try_ms ? options->try_ms : TRY_MS),
        .tries = TRIES,
        .sock_state_cb = resolver_socket_changed,
        .sock_state_cb_data = ares,
        .resolvconf_path = (char *)(uintptr_t)ares->resolv_conf, /* c-ares only reads them */
        .hosts_path = (char *)(uintptr_t)hosts_file,
        .qcache_max_ttl = KEEP_S,
    };
    int status =
        ares_init_options(&ares->channel, &settings,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                              ARES_OPT_RESOLVCONF | ARES_OPT_HOSTS_FILE | ARES_OPT_QUERY_CACHE);

    if (status == ARES_SUCCESS)
        return 0;
    return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

static void resolver_release(struct ares_resolver *ares)
{
    if (ares->channel)
        ares_destroy(ares->channel);
    if (ares->wake_fd >= 0)
        close(ares->wake_fd);
    mem_free(ares);
}

struct resolver *resolver_open_with(const struct resolver_options *options, int *error)
{
    struct ares_resolver *ares;

    *error = -ENOMEM;
    ares = mem_new(sizeof(*ares));
    if (!ares)
        return NULL;
    ares->resolver.ask = resolver_ask;
    ares->resolver.hurry = resolver_hurry;
    ares->limit_ms = options->limit_ms ? options->limit_ms : LIMIT_MS;
    list_init(&ares->lookups);
    ares->resolv_conf = options->resolv_conf ? options->resolv_conf : "/etc/resolv.conf";
    resolver_file_changed(ares);
    ares->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *error = ares->wake_fd < 0 ? -errno : resolver_open_channel(ares, options);
    if (*error) {
        resolver_release(ares);
        return NULL;
    }
    return &ares->resolver;
}

struct resolver *resolver_open(int *error)
{
    return resolver_open_with(&(struct resolver_options){0}, error);
}

void resolver_close(struct resolver **resolver)
{
    struct resolve_request *request, *next;
    struct ares_resolver *ares;

    if (!*resolver)
        return;
    ares = ares_of(*resolver);
    for (request = resolver_take_asked(ares); request; request = next) {
        next = request->next;
        request_answer(request, -EAGAIN);
    }
    resolver_release(ares); /* ares_destroy answers the others */
    *resolver = NULL;
}

#include "core/udp_end.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>

#include "core/mem.h"
#include "tests/unit/real_worker.h"

/* A datagram end whose events are recorded. */
struct listener {
    struct datagram_end *end;
    int count, closed;
    uint64_t bytes;
    uint32_t last_length, stop_at;
    enum reason reason;
    uint8_t last[64];
};

static void listener_received(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct listener *listener = end->owner;

    listener->count++;
    listener->bytes += length;
    listener->last_length = length;
    memcpy(listener->last, data, length < sizeof(listener->last) ? length : 64);
    if (listener->stop_at && listener->count == (int)listener->stop_at)
        datagram_stop(end, REASON_IDLE_TIMEOUT);
}

static void listener_closed(struct datagram_end *end, enum reason reason)
{
    struct listener *listener = end->owner;

    listener->closed++;
    listener->reason = reason;
    datagram_free(end);
}

static const struct datagram_events listener_events = {
    .received = listener_received,
    .closed = listener_closed,
};

/* A blocking peer socket with a port of its own. */
static int peer_open(struct addr *addr, const char *host)
{
    int fd;

    must(addr_from_host(addr, host, 0) == 0);
    fd = socket(addr_family(addr), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, &addr->sa, addr->length) == 0);
    must(os_linux.local_addr(&os_linux, fd, addr) == 0);
    return fd;
}

/* Room for what a turn sends, also where only root may have more than the system's limit. */
static void peer_widen(int fd)
{
    int size = 4 << 20;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static bool open_end(struct real_worker *real, struct listener *listener, const char *host,
                     int *peer)
{
    struct addr addr;
    int error;

    *peer = peer_open(&addr, host);
    *listener = (struct listener){.end = udp_end_new(&real->worker, &addr, &error)};
    if (!listener->end)
        return false;
    listener->end->events = &listener_events;
    listener->end->owner = listener;
    return true;
}

static ssize_t peer_receive(struct real_worker *real, int fd, struct sockaddr_storage *from,
                            char *bytes, size_t size)
{
    socklen_t length = sizeof(*from);
    ssize_t got = -1;

    for (int turn = 0; got < 0 && turn < 500; turn++) {
        must(worker_turn(&real->worker, real->worker.now_ns + 10000000) == 0);
        got = recvfrom(fd, bytes, size, MSG_DONTWAIT, (struct sockaddr *)from, &length);
    }
    return got;
}

static bool close_end(struct real_worker *real, struct listener *listener)
{
    datagram_stop(listener->end, REASON_SHUTDOWN);
    datagram_stop(listener->end, REASON_DONE);
    if (listener->closed || !turn_until(real, listener->closed))
        return false;
    return listener->reason == REASON_SHUTDOWN &&
           pools_busy(real->worker.pools, POOL_LARGE) == real->worker.udp_group.published &&
           pools_busy(real->worker.pools, POOL_MEDIUM) == real->worker.tcp_group.published;
}

static bool datagrams_cross(struct real_worker *real, const char *host)
{
    struct sockaddr_storage from;
    struct listener listener;
    char bytes[2000];
    int peer;

    if (!open_end(real, &listener, host, &peer))
        return false;
    datagram_send(listener.end, (const uint8_t *)"ping", 4);
    datagram_send(listener.end, NULL, 0);
    if (peer_receive(real, peer, &from, bytes, sizeof(bytes)) != 4 || memcmp(bytes, "ping", 4) != 0)
        return false;
    if (peer_receive(real, peer, &from, bytes, sizeof(bytes)) != 0)
        return false;
    must(sendto(peer, "pong", 4, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in6)) == 4);
    if (!turn_until(real, listener.count == 1) || memcmp(listener.last, "pong", 4) != 0)
        return false;
    must(sendto(peer, "", 0, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in6)) == 0);
    if (!turn_until(real, listener.count == 2) || listener.last_length != 0)
        return false;
    close(peer);
    return close_end(real, &listener);
}

BOTH(datagrams_cross_whole_even_empty_ones_over_both_families)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(datagrams_cross(&real, "127.0.0.1"));
    check(datagrams_cross(&real, "::1"));
    worker_release(&real.worker);
}

BOTH(a_turn_of_datagrams_of_many_sizes_arrives_in_order_and_unmixed)
{
    enum { COUNT = 90 };
    static const uint32_t sizes[] = {1200, 1200, 700, 1200, 1, 1400, 1400, 1400, 9000};
    struct sockaddr_storage from;
    struct real_worker real;
    struct listener listener;
    static uint8_t out[9000];
    static char in[65536];
    int peer;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, "127.0.0.1", &peer));
    peer_widen(peer);
    for (int i = 0; i < COUNT; i++) {
        memset(out, i, sizeof(out));
        datagram_send(listener.end, out, sizes[i % ARRAY_COUNT(sizes)]);
    }
    for (int i = 0; i < COUNT; i++) {
        uint32_t wanted = sizes[i % ARRAY_COUNT(sizes)];

        check(peer_receive(&real, peer, &from, in, sizeof(in)) == (ssize_t)wanted);
        check((uint8_t)in[0] == (uint8_t)i && (uint8_t)in[wanted - 1] == (uint8_t)i);
    }
    close(peer);
    check(close_end(&real, &listener));
    worker_release(&real.worker);
}

BOTH(equal_datagrams_of_a_turn_leave_in_few_sends)
{
    struct sockaddr_storage from;
    struct real_worker real;
    struct listener listener;
    static uint8_t out[1200];
    char in[2000];
    uint64_t before;
    int peer;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, "127.0.0.1", &peer));
    peer_widen(peer);
    check(worker_turn(&real.worker, real.worker.now_ns + 1) == 0);
    before = ring_stats(real.worker.ring)->submissions;
    for (int i = 0; i < 159; i++)
        datagram_send(listener.end, out, sizeof(out));
    for (int i = 0; i < 159; i++)
        check(peer_receive(&real, peer, &from, in, sizeof(in)) == 1200);
    /* 13 into the first medium chunk, then 53 into each large one */
    check(ring_stats(real.worker.ring)->submissions - before == 4);
    close(peer);
    check(close_end(&real, &listener));
    worker_release(&real.worker);
}

static void send_batch(int peer, const struct sockaddr_storage *to, size_t length, uint16_t segment)
{
    static uint8_t bytes[65000];
    uint8_t control[CMSG_SPACE(sizeof(segment))] = {0};
    struct iovec iov = {bytes, length};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
                             .msg_namelen = sizeof(struct sockaddr_in),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(header), &segment, sizeof(segment));
    must(sendmsg(peer, &message, 0) == (ssize_t)length);
}

BOTH(a_batch_is_delivered_as_the_datagrams_it_was_made_of)
{
    struct sockaddr_storage from;
    struct real_worker real;
    struct listener listener;
    char bytes[16];
    int peer;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, "127.0.0.1", &peer));
    datagram_send(listener.end, (const uint8_t *)"hi", 2);
    check(peer_receive(&real, peer, &from, bytes, sizeof(bytes)) == 2);
    send_batch(peer, &from, 48007, 1200);
    check(turn_until(&real, listener.count == 41));
    check(listener.bytes == 48007 && listener.last_length == 7);
    close(peer);
    check(close_end(&real, &listener));
    worker_release(&real.worker);
}

BOTH(stopping_inside_a_batch_drops_the_rest)
{
    struct sockaddr_storage from;
    struct real_worker real;
    struct listener listener;
    char bytes[16];
    int peer;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, "127.0.0.1", &peer));
    datagram_send(listener.end, (const uint8_t *)"hi", 2);
    check(peer_receive(&real, peer, &from, bytes, sizeof(bytes)) == 2);
    listener.stop_at = 3;
    send_batch(peer, &from, 10000, 1000);
    check(turn_until(&real, listener.closed));
    check(listener.count == 3 && listener.reason == REASON_IDLE_TIMEOUT);
    close(peer);
    worker_release(&real.worker);
}

BOTH(a_refusal_by_icmp_is_counted_and_does_not_end_it)
{
    struct real_worker real;
    struct listener listener;
    int peer;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, "127.0.0.1", &peer));
    close(peer);
    datagram_send(listener.end, (const uint8_t *)"hi", 2);
    check(turn_until(&real, counter_read(&real.counters, COUNTER_UDP_SEND_FAILED) > 0));
    check(!listener.closed);
    check(close_end(&real, &listener));
    worker_release(&real.worker);
}

BOTH(what_exceeds_the_queue_or_a_datagram_is_dropped_and_counted)
{
    static uint8_t out[70000];
    struct real_worker real;
    struct listener listener;
    int peer;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, "127.0.0.1", &peer));
    datagram_send(listener.end, out, 65508);
    check(counter_read(&real.counters, COUNTER_DATAGRAM_TOO_LARGE) == 1);
    for (int i = 0; i < 40; i++)
        datagram_send(listener.end, out, 60000);
    check(counter_read(&real.counters, COUNTER_LIMIT_DATAGRAM_QUEUE) > 20);
    check(pools_busy(real.worker.pools, POOL_LARGE) < 64);
    close(peer);
    check(close_end(&real, &listener));
    worker_release(&real.worker);
}

/* ---- the sender alone, on a socket for many peers ---- */

static void note_idle(void *owner)
{
    *(bool *)owner = true;
}

static bool answers_from_the_address_asked(struct real_worker *real)
{
    struct addr bound, peer_addr, local, seen;
    struct sockaddr_storage from;
    struct udp_sender *sender;
    bool idle = false;
    char bytes[16];
    int peer = peer_open(&peer_addr, "127.0.0.1"), fd;

    must(addr_from_host(&bound, "0.0.0.0", 0) == 0 && addr_from_host(&local, "127.0.0.7", 0) == 0);
    fd = sock_udp_bind(&os_linux, &bound, true, false);
    sender = udp_sender_new(&real->worker, fd);
    must(fd >= 0 && sender);
    udp_sender_send(sender, &peer_addr, &local, (const uint8_t *)"hi", 2);
    if (peer_receive(real, peer, &from, bytes, sizeof(bytes)) != 2)
        return false;
    addr_from_sockaddr(&seen, (struct sockaddr *)&from, sizeof(struct sockaddr_in));
    addr_set_port(&seen, 0);
    udp_sender_stop(sender, note_idle, &idle);
    if (idle || !turn_until(real, idle))
        return false;
    udp_sender_free(&sender);
    close(fd);
    close(peer);
    return addr_equal(&seen, &local);
}

BOTH(an_answer_leaves_from_the_address_that_was_asked)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(answers_from_the_address_asked(&real));
    worker_release(&real.worker);
}

/* A socket that must not checksum refuses segments as a device without checksum offload does. */
static bool refused_segments_go_singly(struct real_worker *real)
{
    struct addr bound = loopback_addr(), peer_addr;
    struct sockaddr_storage from;
    int peer = peer_open(&peer_addr, "127.0.0.1"), on = 1;
    int fd = sock_udp_bind(&os_linux, &bound, false, false);
    struct udp_sender *sender = udp_sender_new(&real->worker, fd);
    uint8_t out[1000];
    char in[2000];
    bool idle = false;

    must(fd >= 0 && sender && setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)) == 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++) {
            memset(out, i, sizeof(out));
            udp_sender_send(sender, &peer_addr, NULL, out, i < 9 ? 1000 : 10);
        }
        for (int i = 0; i < 10; i++)
            if (peer_receive(real, peer, &from, in, sizeof(in)) != (i < 9 ? 1000 : 10) ||
                in[0] != i)
                return false;
    }
    udp_sender_stop(sender, note_idle, &idle);
    must(turn_until(real, idle));
    udp_sender_free(&sender);
    close(fd);
    close(peer);
    return counter_read(&real->counters, COUNTER_UDP_SEND_FAILED) == 0;
}

BOTH(refused_segments_are_sent_again_singly_and_remembered)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(refused_segments_go_singly(&real));
    worker_release(&real.worker);
}

struct seen {
    struct op op;
    struct msghdr message;
    struct datagram_in in;
    int count;
    bool parsed;
};

static void seen_done(struct op *op, struct op_result result)
{
    struct seen *seen = container_of(op, struct seen, op);

    if (!result.chunk)
        return;
    seen->count++;
    seen->parsed = ring_datagram(op, result, &seen->in);
    chunk_drop(result.chunk);
}

static bool learns_peer_local_and_ecn(struct real_worker *real, const char *any, const char *host)
{
    struct addr bound, to, peer_addr;
    struct seen seen = {
        .message = {.msg_namelen = sizeof(struct sockaddr_in6), .msg_controllen = 128}
    };
    int peer = peer_open(&peer_addr, host), fd, ecn = 2;
    bool v6;

    must(addr_from_host(&bound, any, 0) == 0 && addr_from_host(&to, host, 0) == 0);
    v6 = addr_family(&to) == AF_INET6;
    fd = sock_udp_bind(&os_linux, &bound, true, false);
    must(fd >= 0 && os_linux.local_addr(&os_linux, fd, &bound) == 0);
    addr_set_port(&to, addr_port(&bound));
    must(setsockopt(peer, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &ecn,
                    sizeof(ecn)) == 0);
    op_init(&seen.op, seen_done);
    ring_recvmsg_multi(real->worker.ring, &seen.op, fd, &real->worker.udp_group, &seen.message);
    must(sendto(peer, "hello", 5, 0, &to.sa, to.length) == 5);
    if (!turn_until(real, seen.count == 1))
        return false;
    ring_cancel(real->worker.ring, &seen.op);
    if (!turn_until(real, !seen.op.busy))
        return false;
    close(fd);
    close(peer);
    addr_set_port(&to, 0);
    return seen.parsed && addr_equal(&seen.in.peer, &peer_addr) &&
           addr_equal(&seen.in.local, &to) && seen.in.length == 5 && seen.in.ecn == 2 &&
           seen.in.segment == 0;
}

BOTH(a_receive_tells_peer_local_address_and_ecn)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(learns_peer_local_and_ecn(&real, "0.0.0.0", "127.0.0.5"));
    check(learns_peer_local_and_ecn(&real, "::", "::1"));
    worker_release(&real.worker);
}

TEST(a_malformed_receive_is_refused)
{
    struct chunk chunk = {0};
    uint8_t bytes[256] = {0};
    struct real_worker real;
    struct seen seen = {
        .message = {.msg_namelen = 28, .msg_controllen = 64}
    };
    struct datagram_in in;

    check(real_worker_open(&real, NULL));
    chunk.data = bytes;
    seen.op.group = &real.worker.udp_group;
    seen.op.message = &seen.message;
    check(!ring_datagram(&seen.op, (struct op_result){.res = -EINVAL}, &in));
    check(!ring_datagram(&seen.op, (struct op_result){.res = 8, .chunk = &chunk}, &in));
    check(!ring_datagram(&seen.op, (struct op_result){.res = 107, .chunk = &chunk}, &in));
    check(ring_datagram(&seen.op, (struct op_result){.res = 108, .chunk = &chunk}, &in));
    bytes[0] = 200; /* a name longer than there is room for */
    check(!ring_datagram(&seen.op, (struct op_result){.res = 108, .chunk = &chunk}, &in));
    worker_release(&real.worker);
}

TEST(a_udp_end_survives_any_failed_allocation)
{
    for (unsigned n = 1;; n++) {
        struct real_worker real;
        struct listener listener = {0};
        int peer;

        check(real_worker_open(&real, NULL));
        mem_fail_at(n);
        if (open_end(&real, &listener, "127.0.0.1", &peer)) {
            datagram_send(listener.end, (const uint8_t *)"hi", 2);
            turn_some(&real);
            check(close_end(&real, &listener));
        }
        close(peer);
        worker_release(&real.worker);
        if (!mem_failed())
            break;
    }
    mem_fail_at(0);
}

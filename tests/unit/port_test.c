#include "quic/port.h"

#include <errno.h>
#include <poll.h>

#include "quic/conn.h"
#include "tests/unit/real_worker.h"

enum { SOCKETS = 4, SHORT_LENGTH = 60 };

static int probe_socket(const struct addr *to)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    must(fd >= 0 && connect(fd, &to->sa, to->length) == 0);
    return fd;
}

/* A packet's first bytes, as far as the filter reads them. */
static void probe(uint8_t packet[SHORT_LENGTH], bool long_header, uint8_t first)
{
    memset(packet, 0, SHORT_LENGTH);
    packet[0] = long_header ? 0xc0 : 0x40;
    packet[long_header ? 6 : 1] = first;
}

static bool lands_on(const struct quic_port *port, uint32_t seat)
{
    struct pollfd wait = {.fd = port->seats[seat].fd, .events = POLLIN};
    uint8_t data[SHORT_LENGTH];

    return poll(&wait, 1, 1000) == 1 && recv(wait.fd, data, sizeof(data), 0) == SHORT_LENGTH;
}

TEST(every_first_byte_of_an_id_leads_to_its_socket)
{
    struct addr any = loopback_addr();
    int error;
    struct quic_port *port = quic_port_bind(&os_linux, &any, SOCKETS, &error);
    uint8_t packet[SHORT_LENGTH];
    struct addr addr;
    int fd;

    must(port);
    quic_port_addr(port, &addr);
    fd = probe_socket(&addr);
    for (int first = 0; first < 256; first++)
        for (int form = 0; form < 2; form++) {
            probe(packet, form, (uint8_t)first);
            must(send(fd, packet, sizeof(packet), 0) == (ssize_t)sizeof(packet));
            check(lands_on(port, (uint32_t)first % SOCKETS));
        }
    close(fd);
    quic_port_free(&port);
}

TEST(a_port_that_another_group_shares_is_refused)
{
    struct addr any = loopback_addr(), addr;
    int error;
    struct quic_port *port = quic_port_bind(&os_linux, &any, 2, &error);

    must(port);
    quic_port_addr(port, &addr);
    check(!quic_port_bind(&os_linux, &addr, 2, &error) && error == -EADDRINUSE);
    quic_port_free(&port);
}

/* ---- two workers on one port ---- */

struct pair {
    struct real_worker real[2];
    struct quic_port *port;
    struct quic_endpoint *endpoints[2];
    struct tls_context *tls;
    bool idle[2];
};

static bool accept_nobody(void *context, struct quic_connection *connection)
{
    return false;
}

static void told_idle(void *context)
{
    *(bool *)context = true;
}

static void pair_open(struct pair *pair)
{
    struct quic_acceptor acceptor = {.config = {.alpn = "qmux/2"}, .accept = accept_nobody};
    struct addr any = loopback_addr();
    int error;

    memset(pair, 0, sizeof(*pair));
    pair->port = quic_port_bind(&os_linux, &any, 2, &error);
    must(pair->port);
    acceptor.port = pair->port;
    for (uint32_t i = 0; i < 2; i++) {
        must(real_worker_open(&pair->real[i], NULL));
        pair->real[i].worker.index = i;
        pair->endpoints[i] = quic_listen(&pair->real[i].worker, &any, &acceptor, &error);
        must(pair->endpoints[i]);
    }
}

static void pair_close(struct pair *pair)
{
    for (uint32_t i = 0; i < 2; i++) {
        quic_endpoint_stop(pair->endpoints[i], told_idle, &pair->idle[i]);
        check(turn_until(&pair->real[i], pair->idle[i] == true));
        worker_release(&pair->real[i].worker);
    }
    quic_port_free(&pair->port);
}

static uint64_t counted(const struct pair *pair, uint32_t worker, enum counter counter)
{
    return counter_read(&pair->real[worker].counters, counter);
}

/* An id of worker 1 whose byte 0 leads to socket 0, as when a filter is missing. */
static void stray_packet(const struct pair *pair, uint8_t packet[SHORT_LENGTH])
{
    static const uint8_t random[CID_RANDOM] = {7, 7, 7};

    memset(packet, 0x55, SHORT_LENGTH);
    cid_make(&pair->endpoints[1]->codec, random, packet + 1);
    packet[1] &= 0xfe;
}

TEST(a_datagram_on_the_wrong_ring_is_handed_over_once)
{
    struct pair pair;
    uint8_t packet[SHORT_LENGTH], answer[100];
    struct addr addr;
    int fd;

    pair_open(&pair);
    quic_port_addr(pair.port, &addr);
    fd = probe_socket(&addr);
    stray_packet(&pair, packet);
    must(send(fd, packet, sizeof(packet), 0) == (ssize_t)sizeof(packet));
    check(turn_until(&pair.real[0], counted(&pair, 0, COUNTER_HANDED_DATAGRAMS) == 1));
    check(turn_until(&pair.real[1], counted(&pair, 1, COUNTER_STATELESS_RESETS) == 1));
    turn_some(&pair.real[1]);
    check(recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0);
    check(counted(&pair, 0, COUNTER_STATELESS_RESETS) == 0);
    check(counted(&pair, 1, COUNTER_HANDED_DATAGRAMS) == 0);
    close(fd);
    pair_close(&pair);
}

TEST(a_worker_that_sleeps_too_long_loses_what_is_handed_to_it)
{
    struct pair pair;
    uint8_t packet[SHORT_LENGTH];
    struct addr addr;
    int fd;

    pair_open(&pair);
    quic_port_addr(pair.port, &addr);
    fd = probe_socket(&addr);
    stray_packet(&pair, packet);
    for (uint32_t i = 1; i <= PARCELS_MAX + 2; i++) {
        must(send(fd, packet, sizeof(packet), 0) == (ssize_t)sizeof(packet));
        check(turn_until(&pair.real[0], counted(&pair, 0, COUNTER_HANDED_DATAGRAMS) +
                                                counted(&pair, 0, COUNTER_LIMIT_HANDED) ==
                                            i));
    }
    check(counted(&pair, 0, COUNTER_HANDED_DATAGRAMS) == PARCELS_MAX);
    turn_some(&pair.real[1]);
    check(pair.port->seats[1].parcels == 0);
    close(fd);
    pair_close(&pair);
}

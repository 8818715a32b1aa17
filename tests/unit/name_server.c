#include "tests/unit/name_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/addr.h"

enum { TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

static const struct zone_row {
    const char *name;
    int code;       /* -1: says nothing, -2: says nonsense */
    int fours;      /* A records: 192.0.2.1 … */
    int sixes;      /* AAAA records: 2001:db8::1 … */
    uint32_t ttl_s; /* of the first; each further one lives a second less */
    int hosts;      /* SRV records: 1 10 8001 H1.test …; the host of a negative one is the root */
} zone[] = {
    {"_web._tcp.test", 0,        0,  0, 50,  3 },
    {"_no._tcp.test",  0,        0,  0, 50,  -1},
    {"_all._tcp.test", 0,        0,  0, 50,  40},
    {"one.test",       0,        1,  0, 30,  0 },
    {"six.test",       0,        0,  1, 40,  0 },
    {"many.test",      0,        3,  2, 100, 0 },
    {"lots.test",      0,        12, 0, 60,  0 },
    {"empty.test",     0,        0,  0, 0,   0 },
    {"silent.test",    -1,       0,  0, 0,   0 },
    {"nonsense.test",  -2,       0,  0, 0,   0 },
    {"fail.test",      SERVFAIL, 0,  0, 0,   0 },
    {"refused.test",   REFUSED,  0,  0, 0,   0 },
};

struct name_server name_server;
char resolv_conf[] = "/tmp/resolv_conf.XXXXXX";

__attribute__((constructor)) static void resolv_conf_make(void)
{
    int fd = mkstemp(resolv_conf);

    if (fd < 0)
        abort();
    close(fd);
}

__attribute__((destructor)) static void resolv_conf_remove(void)
{
    unlink(resolv_conf);
}

/* A new file each time, as the tools do that keep resolv.conf. */
static bool resolv_conf_write(uint16_t port)
{
    char path[sizeof(resolv_conf) + 4];
    FILE *file;
    bool written;

    snprintf(path, sizeof(path), "%s.new", resolv_conf);
    file = fopen(path, "w");
    written = file && fprintf(file, "nameserver 127.0.0.1:%u\n", port) > 0;
    return file && fclose(file) == 0 && written && rename(path, resolv_conf) == 0;
}

bool name_server_open(void)
{
    struct addr addr;
    socklen_t length = sizeof(addr.in4);

    if (addr_parse(&addr, "127.0.0.1:0"))
        return false;
    name_server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (name_server.fd < 0 || bind(name_server.fd, &addr.sa, addr.length) ||
        getsockname(name_server.fd, &addr.sa, &length))
        return false;
    name_server.port = addr_port(&addr);
    name_server.queries = 0;
    return resolv_conf_write(name_server.port);
}

void name_server_close(void)
{
    close(name_server.fd);
}

/* Returns the bytes of the question section, 0 when malformed; the name goes to `name`. */
static size_t question_read(const uint8_t *packet, size_t length, char name[256], int *type)
{
    size_t at = 12, out = 0;

    while (at < length && packet[at]) {
        size_t label = packet[at++];

        if (at + label > length || out + label + 2 > 256)
            return 0;
        memcpy(name + out, packet + at, label);
        out += label;
        name[out++] = '.';
        at += label;
    }
    name[out ? out - 1 : 0] = '\0';
    if (at + 5 > length)
        return 0;
    *type = packet[at + 1] << 8 | packet[at + 2];
    return at + 5 - 12;
}

static size_t answer_add(uint8_t *to, int type, uint32_t ttl_s, int number)
{
    static const uint8_t four[4] = {192, 0, 2, 0}, six[16] = {0x20, 0x01, 0x0d, 0xb8};
    size_t size = type == TYPE_A ? 4 : 16;
    const uint8_t head[12] = {0xc0, 12, 0, (uint8_t)type,  0, 1,
                              0,    0,  0, (uint8_t)ttl_s, 0, (uint8_t)size};

    memcpy(to, head, sizeof(head));
    memcpy(to + 12, type == TYPE_A ? four : six, size);
    to[12 + size - 1] = (uint8_t)number;
    return 12 + size;
}

static size_t srv_add(uint8_t *to, uint32_t ttl_s, int number)
{
    uint8_t record[64] = {0xc0, 12,
                          0,    TYPE_SRV,
                          0,    1,
                          0,    0,
                          0,    (uint8_t)ttl_s,
                          0,    0,
                          0,    (uint8_t)number,
                          0,    (uint8_t)(10 * number),
                          0x1f, (uint8_t)(0x40 + number)};
    size_t length = 18;

    if (number > 0)
        length += (size_t)snprintf((char *)record + length, 20, "%cH%02d%ctest", 3, number, 4) + 1;
    else
        length++;
    record[11] = (uint8_t)(length - 12);
    memcpy(to, record, length);
    return length;
}

static size_t answer_write(uint8_t packet[4096], size_t question, int type,
                           const struct zone_row *row)
{
    int count = !row ? 0 : type == TYPE_A ? row->fours : type == TYPE_AAAA ? row->sixes : 0;
    int hosts = row && type == TYPE_SRV ? row->hosts : 0;
    uint32_t ttl_s = row ? row->ttl_s : 0;
    size_t length = 12 + question;

    packet[2] = 0x81;
    packet[3] = (uint8_t)(0x80 | (row ? row->code : NXDOMAIN));
    memset(packet + 6, 0, 6); /* no additional section, so no EDNS */
    packet[7] = (uint8_t)count;
    for (int i = 0; i < count; i++)
        length += answer_add(packet + length, type, ttl_s - (uint32_t)i, i + 1);
    packet[7] = (uint8_t)(packet[7] + abs(hosts));
    for (int i = 0; i < abs(hosts); i++)
        length += srv_add(packet + length, ttl_s - (uint32_t)i, hosts < 0 ? -1 : i + 1);
    return length;
}

void name_server_serve(void)
{
    struct sockaddr_in peer;
    socklen_t peer_length = sizeof(peer);
    uint8_t packet[4096];
    char name[256];
    int type = 0;
    ssize_t length =
        recvfrom(name_server.fd, packet, 512, 0, (struct sockaddr *)&peer, &peer_length);
    size_t question = length > 12 ? question_read(packet, (size_t)length, name, &type) : 0;
    const struct zone_row *row = NULL;
    size_t answer;

    if (!question)
        return;
    name_server.queries++;
    for (size_t i = 0; i < ARRAY_COUNT(zone); i++) {
        if (strcasecmp(zone[i].name, name) == 0)
            row = &zone[i];
    }
    if (row && row->code == -1)
        return;
    answer = row && row->code == -2 ? 5 : answer_write(packet, question, type, row);
    sendto(name_server.fd, packet, answer, 0, (struct sockaddr *)&peer, peer_length);
}

/* bench-wire FAR_NAMESPACE [--loss PERCENT] [--delay MS] [--queue PACKETS]
 *
 * A wire between two network namespaces made of two TUN devices, wire0 here and wire1 there: every
 * IP packet crosses it, whatever it carries, so that QUIC and plain TCP meet the same loss (each
 * direction, a fixed sequence) and the same delay (half of MS each way).  What exceeds the queue is
 * dropped, as a router does.  Prints "ready" once both devices are there, and counts when it ends.
 * Thread: one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/os.h"

enum { PACKET_MAX = 2048, BURST = 64, QUEUE_DEFAULT = 4096, NEVER_NS = 1000000000 };

struct packet {
    uint64_t due_ns;
    uint32_t length;
    uint8_t data[PACKET_MAX];
};

struct direction {
    int from, to;
    struct packet *queue; /* a circle; the delay is the same for all, so it stays in order */
    uint32_t head, count;
    uint64_t passed, lost, overflowed;
};

struct wire {
    double loss; /* share */
    uint64_t delay_ns;
    uint32_t room;
    uint64_t random;
    struct direction ways[2];
};

static volatile sig_atomic_t ended;

static void signal_caught(int number)
{
    ended = 1;
}

static uint64_t now_ns(void)
{
    return os_linux.clock_ns(&os_linux);
}

static int tun_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -1;
    memcpy(request.ifr_name, name, strlen(name) + 1);
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A device stays where it was made, so this process may look into both. */
static int tun_open_far(const char *space)
{
    char path[256];
    int target, fd = -1;

    snprintf(path, sizeof(path), "/run/netns/%s", space);
    target = open(path, O_RDONLY | O_CLOEXEC);
    if (target < 0)
        return -1;
    if (setns(target, CLONE_NEWNET) == 0)
        fd = tun_open("wire1");
    close(target);
    return fd;
}

static bool is_lost(struct wire *wire)
{
    wire->random = wire->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (double)(wire->random >> 33) < wire->loss * (double)(UINT64_C(1) << 31);
}

/* False when the device has no more. */
static bool way_take(struct wire *wire, struct direction *way, uint64_t now)
{
    static uint8_t spare[PACKET_MAX];
    bool room = way->count < wire->room;
    struct packet *packet = &way->queue[(way->head + way->count) % wire->room];
    ssize_t length = read(way->from, room ? packet->data : spare, PACKET_MAX);

    if (length <= 0)
        return false;
    if (!room) {
        way->overflowed++;
    } else if (is_lost(wire)) {
        way->lost++;
    } else {
        packet->length = (uint32_t)length;
        packet->due_ns = now + wire->delay_ns;
        way->count++;
    }
    return true;
}

static void way_give(const struct wire *wire, struct direction *way, uint64_t now)
{
    while (way->count && way->queue[way->head].due_ns <= now) {
        const struct packet *packet = &way->queue[way->head];

        if (write(way->to, packet->data, packet->length) > 0)
            way->passed++;
        else
            way->overflowed++;
        way->head = (way->head + 1) % wire->room;
        way->count--;
    }
}

static uint64_t wire_next(const struct wire *wire, uint64_t now)
{
    uint64_t next = now + NEVER_NS;

    for (int i = 0; i < 2; i++) {
        const struct direction *way = &wire->ways[i];

        if (way->count && way->queue[way->head].due_ns < next)
            next = way->queue[way->head].due_ns;
    }
    return next > now ? next - now : 0;
}

static void wire_run(struct wire *wire)
{
    struct pollfd fds[] = {
        {.fd = wire->ways[0].from, .events = POLLIN},
        {.fd = wire->ways[1].from, .events = POLLIN}
    };

    while (!ended) {
        uint64_t now = now_ns(), wait = wire_next(wire, now);
        struct timespec limit = {(time_t)(wait / 1000000000), (long)(wait % 1000000000)};

        if (ppoll(fds, 2, &limit, NULL) < 0 && errno != EINTR)
            return;
        now = now_ns();
        for (int i = 0; i < 2; i++) {
            for (int n = 0; n < BURST && way_take(wire, &wire->ways[i], now); n++)
                ;
            way_give(wire, &wire->ways[i], now);
        }
    }
}

static void wire_print(const struct wire *wire)
{
    const struct direction *up = &wire->ways[0], *down = &wire->ways[1];

    printf("{\"passed\": [%llu, %llu], \"lost\": [%llu, %llu], \"overflowed\": [%llu, %llu]}\n",
           (unsigned long long)up->passed, (unsigned long long)down->passed,
           (unsigned long long)up->lost, (unsigned long long)down->lost,
           (unsigned long long)up->overflowed, (unsigned long long)down->overflowed);
}

static bool wire_options(struct wire *wire, char **words)
{
    for (; words[0] && words[1]; words += 2) {
        if (!strcmp(words[0], "--loss"))
            wire->loss = strtod(words[1], NULL) / 100;
        else if (!strcmp(words[0], "--delay"))
            wire->delay_ns = (uint64_t)(strtod(words[1], NULL) * 1e6 / 2);
        else if (!strcmp(words[0], "--queue"))
            wire->room = (uint32_t)strtoul(words[1], NULL, 10);
        else
            return false;
    }
    return !words[0] && wire->room;
}

static bool wire_open(struct wire *wire, const char *far)
{
    int near_fd = tun_open("wire0"), far_fd = near_fd < 0 ? -1 : tun_open_far(far);

    if (far_fd < 0) {
        perror("bench-wire");
        return false;
    }
    wire->ways[0] = (struct direction){.from = near_fd, .to = far_fd};
    wire->ways[1] = (struct direction){.from = far_fd, .to = near_fd};
    for (int i = 0; i < 2; i++) {
        wire->ways[i].queue = mem_new(wire->room * sizeof(struct packet));
        if (!wire->ways[i].queue)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct wire wire = {.room = QUEUE_DEFAULT, .random = 11};
    const struct sigaction action = {.sa_handler = signal_caught};

    if (argc < 2 || !wire_options(&wire, argv + 2)) {
        fputs("bench-wire FAR_NAMESPACE [--loss PERCENT] [--delay MS] [--queue PACKETS]\n", stderr);
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (!wire_open(&wire, argv[1]))
        return 1;
    puts("ready");
    fflush(stdout);
    wire_run(&wire);
    wire_print(&wire);
    for (int i = 0; i < 2; i++)
        mem_free(wire.ways[i].queue);
    return 0;
}

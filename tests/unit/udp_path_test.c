/* Datagrams on a path that takes less than some of them have. */
#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "core/udp_end.h"
#include "tests/unit/real_worker.h"

enum { PATH_MAX_BYTES = 1000, NO_NETWORK = 77 };

/* ---- a ring whose path is narrow ---- */

static struct narrow {
    struct ring_driver driver;
    const struct ring_driver *kernel;
    struct list refused;
    int sends;
} narrow;

/* Of each of its datagrams but the last. */
static uint32_t message_segment(const struct msghdr *message)
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    uint16_t segment = 0;

    if (!control || control->cmsg_type != UDP_SEGMENT)
        return (uint32_t)message->msg_iov->iov_len;
    memcpy(&segment, CMSG_DATA(control), sizeof(segment));
    return segment;
}

static void narrow_submit(struct ring *ring, struct op *op)
{
    narrow.sends += op->kind == OP_SENDMSG;
    if (op->kind == OP_SENDMSG && message_segment(op->message) > PATH_MAX_BYTES)
        list_append(&narrow.refused, &op->link);
    else
        narrow.kernel->submit(ring, op);
}

static int narrow_turn(struct ring *ring, uint64_t deadline_ns)
{
    struct list refused, *link;

    list_init(&refused);
    list_take_all(&refused, &narrow.refused);
    if (!list_empty(&refused))
        deadline_ns = 0;
    while ((link = list_pop(&refused)))
        ring_complete(ring, container_of(link, struct op, link),
                      (struct op_result){.res = -EMSGSIZE, .final = true}, -1);
    return narrow.kernel->turn(ring, deadline_ns);
}

static void narrow_begin(struct ring *ring)
{
    narrow = (struct narrow){.driver = *ring->driver, .kernel = ring->driver};
    narrow.driver.submit = narrow_submit;
    narrow.driver.turn = narrow_turn;
    list_init(&narrow.refused);
    ring->driver = &narrow.driver;
}

/* ---- an end and its peer ---- */

struct scene {
    struct real_worker real;
    struct datagram_end *end;
    int peer;
    bool closed;
};

static void scene_received(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
}
static void scene_closed(struct datagram_end *end, enum reason reason)
{
    struct scene *scene = end->owner;

    scene->closed = true;
    datagram_free(end);
}
static const struct datagram_events scene_events = {.received = scene_received,
                                                    .closed = scene_closed};

static bool scene_open(struct scene *scene, const char *host)
{
    struct addr addr;
    int error;

    *scene = (struct scene){0};
    must(addr_from_host(&addr, host, 0) == 0);
    scene->peer = socket(addr_family(&addr), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(scene->peer >= 0 && bind(scene->peer, &addr.sa, addr.length) == 0);
    must(os_linux.local_addr(&os_linux, scene->peer, &addr) == 0);
    if (!real_worker_open(&scene->real, NULL))
        return false;
    scene->end = udp_end_new(&scene->real.worker, &addr, &error);
    if (!scene->end)
        return false;
    scene->end->events = &scene_events;
    scene->end->owner = scene;
    return true;
}

static void scene_close(struct scene *scene)
{
    datagram_stop(scene->end, REASON_SHUTDOWN);
    must(turn_until(&scene->real, scene->closed));
    close(scene->peer);
    worker_release(&scene->real.worker);
}

static void scene_send(struct scene *scene, uint32_t length)
{
    static const uint8_t bytes[8000];

    datagram_send(scene->end, bytes, length);
}

/* What the peer sees next; -1: nothing. */
static ssize_t scene_sees(struct scene *scene)
{
    static char bytes[8000];
    ssize_t length = -1;

    for (int turn = 0; length < 0 && turn < 50; turn++) {
        must(worker_turn(&scene->real.worker, scene->real.worker.now_ns + 2000000) == 0);
        length = recv(scene->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
    }
    return length;
}

static uint64_t scene_count(const struct scene *scene, enum counter counter)
{
    return counter_read(&scene->real.counters, counter);
}

TEST(a_datagram_behind_those_that_are_too_large_leaves_and_others_still_leave_together)
{
    struct scene scene;

    check(scene_open(&scene, "127.0.0.1"));
    narrow_begin(scene.real.worker.ring);
    for (int round = 0; round < 2; round++) {
        scene_send(&scene, PATH_MAX_BYTES + 200);
        scene_send(&scene, PATH_MAX_BYTES + 200);
        scene_send(&scene, 100);
        check(scene_sees(&scene) == 100);
        turn_some(&scene.real);
    }
    check(scene_count(&scene, COUNTER_DATAGRAM_TOO_LARGE) == 4);
    narrow.sends = 0;
    for (int i = 0; i < 10; i++)
        scene_send(&scene, PATH_MAX_BYTES);
    for (int i = 0; i < 10; i++)
        check(scene_sees(&scene) == PATH_MAX_BYTES);
    check(narrow.sends == 1);
    scene_close(&scene);
}

/* ---- a network whose path is narrow ---- */

static bool network_narrow(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_mtu = 1400};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && ioctl(fd, SIOCSIFMTU, &request) == 0;

    request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    good = good && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return good;
}

/* In any order: what a first run is refused for comes a moment later. */
static bool large_ones_arrive(const char *host)
{
    static const uint32_t sizes[] = {1500, 1500, 7000, 1500, 10};
    struct scene scene;
    bool good = scene_open(&scene, host);
    ssize_t length, sum = 0;

    for (size_t i = 0; good && i < ARRAY_COUNT(sizes); i++) {
        scene_send(&scene, sizes[i]);
        sum += sizes[i];
    }
    for (size_t i = 0; good && i < ARRAY_COUNT(sizes); i++) {
        length = scene_sees(&scene);
        good = length >= 10;
        sum -= length;
    }
    scene_close(&scene);
    return good && !sum;
}

static int narrow_main(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) || !network_narrow())
        return NO_NETWORK;
    return large_ones_arrive("127.0.0.1") && large_ones_arrive("::1") ? 0 : 1;
}

TEST(a_users_datagram_that_is_larger_than_the_path_arrives_in_fragments)
{
    pid_t child = fork();
    int status = 1;

    must(child >= 0);
    if (!child)
        _exit(narrow_main());
    check(waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_NETWORK)
        printf("# no network of its own here: not tried\n");
    else
        check(WEXITSTATUS(status) == 0);
}

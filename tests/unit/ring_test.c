#include "core/ring.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "core/ring_probe.h"
#include "tests/unit/real_worker.h"

/* An op that remembers how it ended. */
struct probe {
    struct op op;
    struct op_result result;
    int count, finals;
};

static void probe_done(struct op *op, struct op_result result)
{
    struct probe *probe = container_of(op, struct probe, op);

    probe->result = result;
    probe->count++;
    probe->finals += result.final;
}

static void probe_init(struct probe *probe)
{
    *probe = (struct probe){0};
    op_init(&probe->op, probe_done);
}

/* One op, at one end of a connection. */
struct line {
    struct real_worker real;
    struct probe probe;
    int ours, theirs; /* -1 once closed */
};

static const struct pool_limits roomy = {
    {1024, 1024, 64}
};

static bool line_open(struct line *line, const char *without, struct pool_limits limits)
{
    if (!real_worker_open_with(&line->real, without, limits))
        return false;
    loopback_pair(&line->ours, &line->theirs);
    probe_init(&line->probe);
    return true;
}

static void line_receive(struct line *line)
{
    ring_recv(line->real.worker.ring, &line->probe.op, line->ours, &line->real.worker.tcp_group);
}

static void line_hang_up(struct line *line)
{
    close(line->theirs);
    line->theirs = -1;
}

static void line_close(struct line *line)
{
    if (line->theirs >= 0)
        close(line->theirs);
    close(line->ours);
    worker_release(&line->real.worker);
}

BOTH(a_receive_hands_over_the_chunk_that_was_filled)
{
    struct line line;

    check(line_open(&line, without, roomy));
    line_receive(&line);
    turn_some(&line.real);
    check(line.probe.count == 0 && line.probe.op.busy);
    check(write(line.theirs, "hello", 5) == 5);
    check(turn_until(&line.real, line.probe.finals == 1));
    check(line.probe.result.res == 5 && memcmp(line.probe.result.chunk->data, "hello", 5) == 0);
    check(line.real.worker.tcp_group.published == line.real.worker.tcp_group.count);
    check(!line.probe.op.busy);
    chunk_drop(line.probe.result.chunk);
    line_hang_up(&line);
    line_receive(&line);
    check(turn_until(&line.real, line.probe.finals == 2));
    check(line.probe.result.res == 0 && !line.probe.result.chunk);
    line_close(&line);
}

BOTH(a_receive_says_when_more_waits)
{
    static char bytes[20000];
    struct line line;

    check(line_open(&line, without, roomy));
    check(write(line.theirs, bytes, sizeof(bytes)) == sizeof(bytes));
    line_receive(&line);
    check(turn_until(&line.real, line.probe.finals == 1));
    check(line.probe.result.more_waits && !line.probe.op.drained);
    chunk_drop(line.probe.result.chunk);
    line_receive(&line);
    check(turn_until(&line.real, line.probe.finals == 2));
    check(!line.probe.result.more_waits && line.probe.op.drained);
    chunk_drop(line.probe.result.chunk);
    line_close(&line);
}

BOTH(a_receive_now_from_a_dry_socket_ends_at_once)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct line line;

    check(line_open(&line, without, roomy));
    ring_recv_now(line.real.worker.ring, &line.probe.op, line.ours, &message);
    check(turn_until(&line.real, line.probe.finals == 1));
    check(line.probe.result.res == -EAGAIN);
    line_close(&line);
}

static void poll_all(struct real_worker *real, struct probe *probes, int count, int event)
{
    for (int i = 0; i < count; i++) {
        probe_init(&probes[i]);
        ring_poll(real->worker.ring, &probes[i].op, event, POLLIN);
    }
}

static int all_finals(const struct probe *probes, int count)
{
    int finals = 0;

    for (int i = 0; i < count; i++)
        finals += probes[i].finals;
    return finals;
}

BOTH(more_requests_than_the_queue_holds_all_complete_and_at_most_256_a_turn)
{
    enum { COUNT = 3000 };
    struct probe *probes = mem_new(COUNT * sizeof(*probes));
    int event = eventfd(1, EFD_CLOEXEC), done = 0;
    struct real_worker real;

    check(probes && real_worker_open(&real, without));
    poll_all(&real, probes, COUNT, event);
    for (int turn = 0; done < COUNT && turn < 100; turn++) {
        int before = done;

        check(ring_turn(real.worker.ring, 0) == 0);
        done = all_finals(probes, COUNT);
        check(done - before <= 256);
    }
    check(done == COUNT);
    close(event);
    worker_release(&real.worker);
    mem_free(probes);
}

BOTH(completions_that_overflow_the_queue_are_counted_and_none_is_lost)
{
    enum { COUNT = 20000 };
    struct probe *probes = mem_new(COUNT * sizeof(*probes));
    int event = eventfd(1, EFD_CLOEXEC);
    struct real_worker real;

    check(probes && real_worker_open(&real, without));
    poll_all(&real, probes, COUNT, event);
    check(turn_until(&real, ring_busy(real.worker.ring) == 1));
    check(all_finals(probes, COUNT) == COUNT && ring_stats(real.worker.ring)->overflows > 0);
    close(event);
    worker_release(&real.worker);
    mem_free(probes);
}

BOTH(a_cancelled_op_stays_busy_until_its_one_final_completion)
{
    enum { COUNT = 2500 };
    struct probe *probes = mem_new(COUNT * sizeof(*probes));
    int event = eventfd(0, EFD_CLOEXEC);
    struct real_worker real;

    check(probes && real_worker_open(&real, without));
    poll_all(&real, probes, COUNT, event);
    turn_some(&real);
    for (int i = 0; i < COUNT; i++) {
        ring_cancel(real.worker.ring, &probes[i].op);
        ring_cancel(real.worker.ring, &probes[i].op);
        check(probes[i].op.busy && probes[i].count == 0);
    }
    check(turn_until(&real, ring_busy(real.worker.ring) == 1));
    for (int i = 0; i < COUNT; i++)
        check(probes[i].finals == 1 && probes[i].count == 1 && probes[i].result.res == -ECANCELED);
    close(event);
    worker_release(&real.worker);
    mem_free(probes);
}

BOTH(an_op_cancelled_in_the_turn_that_started_it_ends)
{
    struct line line;

    check(line_open(&line, without, roomy));
    line_receive(&line);
    ring_cancel(line.real.worker.ring, &line.probe.op);
    check(turn_until(&line.real, line.probe.finals == 1));
    check(line.probe.result.res == -ECANCELED);
    line_close(&line);
}

BOTH(a_dry_group_resumes_its_receivers_when_chunks_come_back)
{
    struct pool_limits limits = {
        {4, 70, 16}
    };
    struct chunk *held[70];
    struct line line;
    int count = 0;

    check(line_open(&line, without, limits));
    while (count < 70 && line.real.worker.tcp_group.published) {
        check(write(line.theirs, "x", 1) == 1);
        line_receive(&line);
        check(turn_until(&line.real, !line.probe.op.busy));
        held[count++] = line.probe.result.chunk;
    }
    check(count == 70);
    check(write(line.theirs, "y", 1) == 1);
    line_receive(&line);
    check(turn_until(&line.real, !line.probe.op.busy));
    check(line.probe.result.res == -ENOBUFS && ring_stats(line.real.worker.ring)->dry == 1);
    ring_wait_for_chunks(line.real.worker.ring, &line.probe.op);
    turn_some(&line.real);
    check(line.probe.op.busy);
    chunk_drop(held[--count]);
    check(turn_until(&line.real, !line.probe.op.busy));
    check(line.probe.result.res == -EAGAIN && line.probe.result.final);
    line_receive(&line);
    check(turn_until(&line.real, !line.probe.op.busy));
    check(line.probe.result.res == 1 && line.probe.result.chunk->data[0] == 'y');
    held[count++] = line.probe.result.chunk;
    while (count)
        chunk_drop(held[--count]);
    line_close(&line);
}

BOTH(an_op_that_waits_for_chunks_can_be_cancelled)
{
    struct pool_limits limits = {
        {4, 0, 16}
    };
    struct line line;

    check(line_open(&line, without, limits));
    check(write(line.theirs, "x", 1) == 1);
    line_receive(&line);
    check(turn_until(&line.real, !line.probe.op.busy));
    check(line.probe.result.res == -ENOBUFS);
    ring_wait_for_chunks(line.real.worker.ring, &line.probe.op);
    ring_cancel(line.real.worker.ring, &line.probe.op);
    check(line.probe.op.busy && line.probe.finals == 1);
    check(turn_until(&line.real, !line.probe.op.busy));
    check(line.probe.result.res == -ECANCELED && line.probe.finals == 2);
    line_close(&line);
}

BOTH(a_poll_for_errors_sleeps_through_a_half_close_and_wakes_for_a_reset)
{
    struct line line;

    check(line_open(&line, without, roomy));
    check(shutdown(line.theirs, SHUT_WR) == 0);
    ring_poll(line.real.worker.ring, &line.probe.op, line.ours, 0);
    turn_some(&line.real);
    check(line.probe.count == 0 && line.probe.op.busy);
    sock_reset_on_close(&os_linux, line.theirs);
    line_hang_up(&line);
    check(turn_until(&line.real, line.probe.count > 0));
    check(line.probe.result.res & (POLLERR | POLLHUP));
    ring_cancel(line.real.worker.ring, &line.probe.op);
    check(turn_until(&line.real, !line.probe.op.busy));
    line_close(&line);
}

BOTH(an_accept_without_descriptors_surfaces_as_an_error)
{
    struct rlimit old, tight;
    struct real_worker real;
    struct probe probe;
    struct addr addr;
    int listener, user, last;

    check(real_worker_open(&real, without));
    listener = loopback_listen(&addr);
    user = socket(AF_INET, SOCK_STREAM, 0);
    check(getrlimit(RLIMIT_NOFILE, &old) == 0);
    last = dup(user);
    close(last);
    tight = (struct rlimit){(rlim_t)last, old.rlim_max};
    check(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    probe_init(&probe);
    ring_accept_multi(real.worker.ring, &probe.op, listener);
    check(connect(user, &addr.sa, addr.length) == 0);
    check(turn_until(&real, probe.finals == 1));
    check(setrlimit(RLIMIT_NOFILE, &old) == 0);
    check(probe.result.res == -EMFILE);
    ring_accept_multi(real.worker.ring, &probe.op, listener);
    check(turn_until(&real, probe.result.res > 0));
    check(!probe.result.final);
    close(probe.result.res);
    ring_cancel(real.worker.ring, &probe.op);
    check(turn_until(&real, !probe.op.busy));
    close(user);
    close(listener);
    worker_release(&real.worker);
}

/* Runs in a child: refuses io_uring_setup as container runtimes do. */
static int open_behind_filter(void)
{
    struct sock_filter refuse[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_COUNT(refuse), refuse};
    char error[256] = "";

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
        return 2;
    if (ring_uring_open(NULL, error, sizeof(error)))
        return 3;
    return strstr(error, "seccomp") || strstr(error, "io_uring_disabled") ? 0 : 4;
}

TEST(behind_a_seccomp_filter_opening_fails_with_a_sentence)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(open_behind_filter());
    check(child > 0 && waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool explains(int error, const char *release, int disabled, const char *word)
{
    char text[256];

    ring_explain(error, release, disabled, text, sizeof(text));
    return strstr(text, word) && strlen(text) < sizeof(text) - 1;
}

TEST(a_refusal_names_what_forbids_the_ring_and_what_to_do)
{
    check(explains(-ENOSYS, "4.19.0-27-amd64", -1, "6.1 or newer"));
    check(explains(-EINVAL, "6.0.12", -1, "too old: Linux 6.0.12"));
    check(explains(-EPERM, "6.12.0", 2, "io_uring_disabled=0"));
    check(explains(-EPERM, "6.12.0", 1, "io_uring_group"));
    check(explains(-EPERM, "6.12.0", 0, "seccomp"));
    check(explains(-ENOSYS, "6.12.0", 0, "seccomp"));
    check(explains(-ENOSYS, "6.12.0", -1, "CONFIG_IO_URING"));
    check(explains(-ENOMEM, "6.1.0", -1, "LimitMEMLOCK"));
    check(explains(-EMFILE, "6.1.0", -1, "LimitNOFILE"));
    check(explains(-EINVAL, "6.12.0", 0, "Invalid argument"));
}

TEST(accelerators_are_switched_off_by_name)
{
    check(accelerators_wanted(NULL) == (1u << ACCELERATOR_COUNT) - 1);
    check(accelerators_wanted("all") == 0);
    check(accelerators_wanted("ring_fd,unknown,") ==
          (((1u << ACCELERATOR_COUNT) - 1) & ~(1u << ACCELERATOR_RING_FD)));
}

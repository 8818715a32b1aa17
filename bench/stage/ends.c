#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#include "bench/stage/stage.h"

enum { WARM_UP_NS = 500000000 };

struct ends {
    struct end *first, *second;
    sem_t first_is_there;
    uint64_t from_ns, until_ns;
};

struct mark {
    uint64_t cpu_ns, bytes, packets, batches;
};

/* CPU time of this thread. */
static uint64_t cpu_now_ns(void)
{
    struct timespec cpu;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    return (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
}

static uint64_t now_ns(void)
{
    return os_linux.clock_ns(&os_linux);
}

static struct mark mark_now(const struct end *end)
{
    return (struct mark){end->busy_ns, end->bytes, end->packets, end->batches};
}

static uint64_t end_steps(const struct end *end)
{
    const struct ring_stats *stats = ring_stats(end->real.worker.ring);

    return stats->submissions + stats->completions;
}

/* An end never sleeps, because waking it would be the other's cost; turns that found nothing to do
 * are not its own. */
static void turn_till(struct end *end, uint64_t until_ns)
{
    uint64_t cpu_ns = cpu_now_ns();

    while (now_ns() < until_ns) {
        uint64_t steps = end_steps(end), before_ns = cpu_ns;

        must(worker_turn(&end->real.worker, 0) == 0);
        cpu_ns = cpu_now_ns();
        if (end_steps(end) != steps)
            end->busy_ns += cpu_ns - before_ns;
    }
}

static void end_measure(struct end *end, const struct ends *ends)
{
    struct mark from, to;

    turn_till(end, ends->from_ns);
    from = mark_now(end);
    turn_till(end, ends->until_ns);
    to = mark_now(end);
    end->cpu_s = (double)(to.cpu_ns - from.cpu_ns) / 1e9;
    end->moved = to.bytes - from.bytes;
    end->moved_packets = to.packets - from.packets;
    end->moved_batches = to.batches - from.batches;
}

static void end_open(struct end *end)
{
    struct pool_limits limits = {
        {4096, 4096, 256}
    };
    cpu_set_t cores;

    CPU_ZERO(&cores);
    CPU_SET(end->core, &cores);
    must(sched_setaffinity(0, sizeof(cores), &cores) == 0);
    must(real_worker_open_with(&end->real, NULL, limits));
}

static void *run_first(void *context)
{
    struct ends *ends = context;
    struct end *end = ends->first;

    end_open(end);
    end->start(end);
    sem_post(&ends->first_is_there);
    end_measure(end, ends);
    end->finish(end);
    worker_release(&end->real.worker);
    return NULL;
}

static void *run_second(void *context)
{
    struct ends *ends = context;
    struct end *end = ends->second;

    end_open(end);
    while (sem_wait(&ends->first_is_there))
        ;
    end->start(end);
    end_measure(end, ends);
    end->finish(end);
    worker_release(&end->real.worker);
    return NULL;
}

void ends_run(struct end *first, struct end *second, double seconds)
{
    struct ends ends = {.first = first, .second = second, .from_ns = now_ns() + WARM_UP_NS};
    pthread_t threads[2];

    ends.until_ns = ends.from_ns + (uint64_t)(seconds * 1e9);
    must(sem_init(&ends.first_is_there, 0, 0) == 0);
    must(pthread_create(&threads[0], NULL, run_first, &ends) == 0);
    must(pthread_create(&threads[1], NULL, run_second, &ends) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    sem_destroy(&ends.first_is_there);
}

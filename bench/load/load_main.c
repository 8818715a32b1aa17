/* bench-load echo|discard PORT, bench-load requests|flood HOST:PORT [options] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/load.h"

enum { SPIN_NS = 50000 };

static volatile sig_atomic_t signalled;

static const struct {
    const char *name;
    int (*run)(const struct load_options *options);
} modes[] = {
    {"echo",     load_echo    },
    {"discard",  load_discard },
    {"requests", load_requests},
    {"flood",    load_flood   },
};

static void signal_caught(int number)
{
    signalled = 1;
}

bool load_signalled(void)
{
    return signalled;
}

bool load_open(struct load_worker *load)
{
    char error[256];
    struct worker_options options = {
        .os = &os_linux,
        .ring = ring_uring_open(NULL, error, sizeof(error)),
        .limits = {{65536, 65536, 256}},
        .counters = &load->counters,
        .spin_ns = SPIN_NS,
    };

    if (options.ring)
        return worker_init(&load->worker, &options) == 0;
    fprintf(stderr, "bench-load: %s\n", error);
    return false;
}

void load_turn(struct load_worker *load, uint64_t deadline_ns)
{
    must(worker_turn(&load->worker, deadline_ns) == 0);
}

static bool value_take(struct load_options *options, const char *name, const char *value)
{
    if (!strcmp(name, "--connections"))
        options->connections = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(name, "--rate"))
        options->rate = strtod(value, NULL);
    else if (!strcmp(name, "--seconds"))
        options->seconds = strtod(value, NULL);
    else if (!strcmp(name, "--bytes"))
        options->bytes = (uint32_t)strtoul(value, NULL, 10);
    else
        return false;
    return options->connections && options->seconds > 0 && options->bytes &&
           options->bytes <= POOL_MEDIUM_SIZE;
}

static bool options_take(struct load_options *options, char **words)
{
    for (; *words; words++) {
        if (!strcmp(*words, "--http"))
            options->http = true;
        else if (!strcmp(*words, "--udp"))
            options->udp = true;
        else if (!strcmp(*words, "--anew"))
            options->anew = true;
        else if (!words[1] || !value_take(options, words[0], words[1]))
            return false;
        else
            words++;
    }
    return true;
}

static bool addr_take(struct load_options *options, const char *word)
{
    char text[ADDR_TEXT_SIZE];

    if (!strchr(word, ':')) {
        snprintf(text, sizeof(text), "0.0.0.0:%s", word);
        word = text;
    }
    return addr_parse(&options->addr, word) == 0;
}

static int usage(void)
{
    fputs("bench-load echo|discard PORT\n"
          "bench-load requests HOST:PORT [--connections N] [--rate PER_S] [--seconds S]"
          " [--bytes N | --http [--anew]]\n"
          "bench-load flood HOST:PORT [--udp] [--seconds S] [--bytes N]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct load_options options = {.connections = 1, .seconds = 2, .bytes = 64};
    const struct sigaction action = {.sa_handler = signal_caught};

    if (argc < 3 || !addr_take(&options, argv[2]) || !options_take(&options, argv + 3))
        return usage();
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++)
        if (!strcmp(modes[i].name, argv[1]))
            return modes[i].run(&options);
    return usage();
}

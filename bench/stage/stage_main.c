/* bench-stage STAGE [--seconds S] [--cores A,B] [--packet BYTES] [--transfer BYTES] */
#include <stdlib.h>
#include <string.h>

#include "bench/stage/stage.h"

static const struct {
    const char *name;
    int (*run)(const struct stage_options *options);
} stages[] = {
    {"aead",   stage_aead  },
    {"udp",    stage_udp   },
    {"tcp",    stage_tcp   },
    {"quic",   stage_quic  },
    {"memory", stage_memory},
};

static bool option_take(struct stage_options *options, const char *name, const char *value)
{
    if (!strcmp(name, "--seconds"))
        options->seconds = strtod(value, NULL);
    else if (!strcmp(name, "--cores"))
        return sscanf(value, "%d,%d", &options->cores[0], &options->cores[1]) == 2;
    else if (!strcmp(name, "--packet"))
        options->packet = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(name, "--transfer"))
        options->transfer = strtoull(value, NULL, 10);
    else
        return false;
    return options->seconds > 0 && options->packet >= 1200 && options->packet <= 65000;
}

static int usage(void)
{
    fputs("bench-stage aead|udp|tcp|quic|memory [--seconds S] [--cores A,B] [--packet BYTES]"
          " [--transfer BYTES]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct stage_options options = {
        .seconds = 2, .cores = {0, 1},
             .packet = 1350, .transfer = 32 << 20
    };

    if (argc < 2 || argc % 2)
        return usage();
    for (int i = 2; i < argc; i += 2)
        if (!option_take(&options, argv[i], argv[i + 1]))
            return usage();
    for (size_t i = 0; i < ARRAY_COUNT(stages); i++)
        if (!strcmp(stages[i].name, argv[1]))
            return stages[i].run(&options);
    return usage();
}

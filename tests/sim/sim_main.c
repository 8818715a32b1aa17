/* qmux-sim SCENARIO [--seeds A-B] [--trace] [--fail-op N [--fail-error E]] [--fail-alloc N]
 * qmux-sim SCENARIO --sweep [--seeds A-B] [--stride K]
 *
 * Runs a scenario once a seed, every hundredth seed twice to compare the traces; or, with --sweep,
 * once for each error of the n-th operation and once for the n-th allocation that fails, for every
 * n (or every K-th).  Exits 1 when something was violated; each violation says how to run it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/must.h"
#include "tests/sim/scenario.h"

const struct scenario scenarios[] = {
    {"direct",         "users, a relay and services of all kinds",      scenario_direct        },
    {"session",        "one session of each protocol through a relay",  scenario_session       },
    {"tunnel",         "users, a server, clients behind NAT, services", scenario_tunnel        },
    {"tunnel_session", "the same through a tunnel",                     scenario_tunnel_session},
    {"server_lost",    "a tunnel's server vanishes and comes back",     scenario_server_lost   },
    {"client_lost",    "one of two tunnel clients vanishes",            scenario_client_lost   },
    {"flapping",       "a backend's servers fall away and come back",   scenario_flapping      },
    {"reload",         "ports and servers come, move and go",           scenario_reload        },
};
const uint32_t scenario_count = ARRAY_COUNT(scenarios);

enum { ERRORS = 6 }; /* at most, that one kind of operation may end with */

struct command {
    const struct scenario *scenario;
    struct sim_options options;
    uint64_t first, last, stride;
    bool sweep;
};

static void say_again(const struct command *command, const struct sim_options *options)
{
    printf("again: qmux-sim %s --seeds %llu-%llu --fail-op %llu --fail-error %llu "
           "--fail-alloc %llu --trace\n",
           command->scenario->name, (unsigned long long)options->seed,
           (unsigned long long)options->seed, (unsigned long long)options->fail_op,
           (unsigned long long)options->fail_error, (unsigned long long)options->fail_alloc);
}

static bool runs(const struct command *command, const struct sim_options *options,
                 struct sim_verdict *verdict)
{
    *verdict = command->scenario->run(options);
    if (verdict->faults)
        say_again(command, options);
    return !verdict->faults;
}

static uint32_t run_seeds(const struct command *command)
{
    struct sim_options options = command->options;
    struct sim_verdict verdict, second;
    uint64_t simulated = 0;
    uint32_t bad = 0;

    for (options.seed = command->first; options.seed <= command->last; options.seed++) {
        bad += !runs(command, &options, &verdict);
        simulated += verdict.end_ns;
        if (options.seed % 100 || options.trace)
            continue;
        bad += !runs(command, &options, &second);
        if (second.hash != verdict.hash) {
            printf("seed %llu: two runs differ\n", (unsigned long long)options.seed);
            bad++;
        }
    }
    printf("%s: seeds %llu-%llu, %llu simulated seconds, %u bad, last hash %016llx\n",
           command->scenario->name, (unsigned long long)command->first,
           (unsigned long long)command->last, (unsigned long long)(simulated / SIM_SECOND), bad,
           (unsigned long long)verdict.hash);
    return bad;
}

enum outcome { OUTCOME_PASS, OUTCOME_BAD, OUTCOME_NOT_MET, OUTCOME_CRASH };

/* In a process of its own, so that a crash is one finding and not the end of the sweep. */
static enum outcome run_apart(const struct command *command, const struct sim_options *options)
{
    struct sim_verdict verdict;
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        bool good = runs(command, options, &verdict);

        fflush(NULL);
        _exit(!good ? OUTCOME_BAD : verdict.fault_met ? OUTCOME_PASS : OUTCOME_NOT_MET);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return OUTCOME_CRASH;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= OUTCOME_NOT_MET)
        return (enum outcome)WEXITSTATUS(status);
    return OUTCOME_CRASH;
}

/* `what` points at the counter to raise in `options`. */
static uint32_t sweep(const struct command *command, struct sim_options *options, uint64_t *what,
                      const char *name)
{
    enum outcome outcome = OUTCOME_PASS;
    uint32_t bad = 0, crashed = 0;
    uint64_t n;

    for (n = 1; outcome != OUTCOME_NOT_MET; n += command->stride) {
        *what = n;
        outcome = run_apart(command, options);
        bad += outcome == OUTCOME_BAD;
        crashed += outcome == OUTCOME_CRASH;
        if (outcome == OUTCOME_CRASH)
            say_again(command, options);
    }
    *what = 0;
    printf("%s: seed %llu, %s 1-%llu fail, %u bad, %u crashed\n", command->scenario->name,
           (unsigned long long)options->seed, name, (unsigned long long)(n - 1), bad, crashed);
    return bad + crashed;
}

static uint32_t run_sweep(const struct command *command)
{
    struct sim_options options = command->options;
    struct sim_verdict verdict;
    uint32_t bad = 0;

    for (options.seed = command->first; options.seed <= command->last; options.seed++) {
        bad += !runs(command, &options, &verdict); /* makes what later runs share, too */
        for (options.fail_error = 0; options.fail_error < ERRORS; options.fail_error++)
            bad += sweep(command, &options, &options.fail_op, "operations");
        options.fail_error = 0;
        bad += sweep(command, &options, &options.fail_alloc, "allocations");
    }
    return bad;
}

/* ---- the command line ---- */
static int usage(void)
{
    fprintf(stderr, "usage: qmux-sim SCENARIO [--seeds A-B] [--trace] [--calm] "
                    "[--fail-op N [--fail-error E]] [--fail-alloc N] [--sweep [--stride K]]\n");
    for (uint32_t i = 0; i < scenario_count; i++)
        fprintf(stderr, "  %-16s %s\n", scenarios[i].name, scenarios[i].about);
    return 2;
}

static bool take_flag(struct command *command, const char *name)
{
    struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"--trace", &command->options.trace},
        {"--calm",  &command->options.calm },
        {"--sweep", &command->sweep        },
    };

    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        if (strcmp(name, flags[i].name) == 0)
            return *flags[i].flag = true;
    }
    return false;
}

static bool take_number(struct command *command, const char *name, const char *value)
{
    struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"--fail-op",    &command->options.fail_op   },
        {"--fail-error", &command->options.fail_error},
        {"--fail-alloc", &command->options.fail_alloc},
        {"--stride",     &command->stride            },
    };
    char *end;

    if (strcmp(name, "--seeds") == 0) {
        command->first = command->last = strtoull(value, &end, 10);
        if (*end == '-')
            command->last = strtoull(end + 1, &end, 10);
        return *value && !*end;
    }
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        *numbers[i].number = strtoull(value, &end, 10);
        return *value && !*end;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct command command = {.first = 1, .last = 1, .stride = 1};

    for (uint32_t i = 0; argc > 1 && i < scenario_count; i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0)
            command.scenario = &scenarios[i];
    }
    for (int i = 2; i < argc; i++) {
        if (take_flag(&command, argv[i]))
            continue;
        if (i + 1 == argc || !take_number(&command, argv[i], argv[i + 1]))
            return usage();
        i++;
    }
    if (!command.scenario || !command.stride)
        return usage();
    return (command.sweep ? run_sweep(&command) : run_seeds(&command)) ? 1 : 0;
}

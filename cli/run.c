#include "cli/check.h"
#include "cli/cli.h"
#include "cli/process.h"
#include "core/tls.h"

static int run_file(const struct invocation *invocation)
{
    struct settings *settings = load_checked(invocation->words[0], stderr);
    struct process_options options = {
        .settings = settings,
        .file = invocation->words[0],
        .quiet = invocation->quiet,
        .verbose = invocation->verbose,
    };
    int code;

    if (!settings)
        return CLI_WRONG;
    code = process_run(&options);
    settings_free(&settings);
    return code;
}

static int run_run(struct invocation *invocation)
{
    int code;

    if (!flags_take(invocation, NULL, 0) || !words_are(invocation, 1))
        return CLI_WRONG;
    if (cli_open_tls())
        return CLI_FAILED;
    code = run_file(invocation);
    tls_global_release();
    return code;
}

const struct command command_run = {
    .name = "",
    .arguments = "FILE.ini",
    .summary = "run with this configuration until told to stop",
    .help =
        "SIGTERM and SIGINT take no new users, wait for the open ones (drain_timeout) and end;\n"
        "a second one ends at once.  SIGHUP reads the file again: all of it counts, or none.\n"
        "SIGUSR1 opens the log file anew.\n\n"
        "For testing: QMUX_RING_WITHOUT in the environment names features of io_uring that\n"
        "are not to be used, with commas between them, or \"all\".\n",
    .run = run_run,
};

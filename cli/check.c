#include "cli/check.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/limits.h"
#include "core/tls.h"

struct settings *load_checked(const char *file, FILE *errors)
{
    struct settings *settings = settings_load(file, errors);
    bool good;

    if (!settings)
        return NULL;
    if (!settings->process.workers)
        settings->process.workers = limits_workers();
    good = settings_check_files(settings, errors) == 0;
    good &= limits_check(settings, file, errors);
    if (!good)
        settings_free(&settings);
    return settings;
}

static int check_run(struct invocation *invocation)
{
    struct settings *settings;

    if (!flags_take(invocation, NULL, 0) || !words_are(invocation, 1))
        return CLI_WRONG;
    if (cli_open_tls())
        return CLI_FAILED;
    settings = load_checked(invocation->words[0], stderr);
    if (settings && !invocation->quiet)
        printf("%s: good\n", invocation->words[0]);
    tls_global_release();
    if (!settings)
        return CLI_WRONG;
    settings_free(&settings);
    return CLI_GOOD;
}

const struct command command_check = {
    .name = "check",
    .arguments = "FILE.ini",
    .summary = "say what is wrong with a file, without opening a port",
    .help =
        "Reads the file and what it includes and, when all that is right, its certificates and\n"
        "keys.  Every error is one line, FILE:LINE: message.  Exit 0: the file is good; 2: it\n"
        "is not.\n",
    .run = check_run,
};

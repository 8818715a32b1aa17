/* cli/cli.h - the command line: what a command is, and how it reads its words.
 * Thread: the main one. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/must.h"

enum { CLI_GOOD = 0, CLI_FAILED = 1, CLI_WRONG = 2 }; /* exit codes */

/* The words behind the command; -q and -v are taken out of them. */
struct invocation {
    char **words;
    int count;
    bool quiet, verbose;
};

typedef int command_fn(struct invocation *invocation); /* returns the exit code */
struct command {
    const char *name;
    const char *arguments; /* "FILE.ini" */
    const char *summary;   /* one line of the list of commands */
    const char *help;      /* what else there is to know, or "" */
    command_fn *run;
};
extern const struct command command_run, command_check, command_config, command_certs, command_demo,
    command_status, command_top, command_reload, command_drain, command_stop;

/* wolfSSL, once; tls_global_release ends it.  0, or -errno after it was printed. */
int cli_open_tls(void) MUST_CHECK;
int print_version(void); /* ours, and every library's; returns the exit code */

/* ---- flags of a command ---- */

enum { FLAG_VALUES_MAX = 64 };
struct flag {
    const char *name; /* "--days" */
    bool takes_value; /* also as --days=N */
    bool repeatable;
    const char *values[FLAG_VALUES_MAX]; /* borrowed from the words */
    int count;                           /* how often it was given */
};
/* Takes flags out of the words, so that only others remain.  False: a word that says so was
 * printed, and the exit code is CLI_WRONG. */
bool flags_take(struct invocation *invocation, struct flag *flags, size_t flag_count) MUST_CHECK;
/* Whether exactly `count` words remain; prints what is wrong when not. */
bool words_are(const struct invocation *invocation, int count) MUST_CHECK;
/* A whole number within bounds; prints what is wrong when it is none. */
bool number_read(const char *name, const char *text, uint32_t min, uint32_t max,
                 uint32_t *number) MUST_CHECK;

#endif

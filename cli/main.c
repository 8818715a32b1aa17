#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/cli.h"

static const struct command *const commands[] = {
    &command_check, &command_config, &command_certs, &command_demo, &command_status,
    &command_top,   &command_reload, &command_drain, &command_stop,
};

static const char *const later_commands[] = {"doctor"};

static void print_command(FILE *out, const struct command *command)
{
    char words[64];

    snprintf(words, sizeof words, "%s%s%s", command->name, *command->name ? " " : "",
             command->arguments);
    if (strlen(words) > 26)
        fprintf(out, "  qmux-uring %s\n  %-37s  %s\n", words, "", command->summary);
    else
        fprintf(out, "  qmux-uring %-26s  %s\n", words, command->summary);
}

static void print_help(FILE *out)
{
    fprintf(out, "qmux-uring %s - a QUIC tunnel and a TCP and UDP relay\n\n", QMUX_VERSION);
    print_command(out, &command_run);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        print_command(out, commands[i]);
    fprintf(out, "  qmux-uring %-26s  %s\n", "--version", "our version and the libraries'");
    fprintf(out, "  qmux-uring %-26s  %s\n", "COMMAND --help", "more about a command");
    fprintf(out, "\n  -q  say nothing unless something is wrong\n"
                 "  -v  log everything (level debug)\n"
                 "\nExit: 0 ended as asked, 1 failed while running, 2 wrong file or words.\n");
}

static int print_command_help(const struct command *command)
{
    printf("qmux-uring %s%s%s - %s\n", command->name, *command->name ? " " : "", command->arguments,
           command->summary);
    if (*command->help)
        printf("\n%s", command->help);
    return CLI_GOOD;
}

/* ---- words ---- */

static bool is_word(const char *word, const char *brief, const char *full)
{
    return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

/* Takes -q and -v out, wherever they stand. */
static void take_loudness(struct invocation *invocation)
{
    int kept = 0;

    for (int i = 0; i < invocation->count; i++) {
        char *word = invocation->words[i];

        if (is_word(word, "-q", "--quiet"))
            invocation->quiet = true;
        else if (is_word(word, "-v", "--verbose"))
            invocation->verbose = true;
        else
            invocation->words[kept++] = word;
    }
    invocation->count = kept;
}

static bool asks_for_help(const struct invocation *invocation)
{
    for (int i = 0; i < invocation->count; i++)
        if (is_word(invocation->words[i], "-h", "--help"))
            return true;
    return false;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static bool is_later(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(later_commands); i++)
        if (strcmp(later_commands[i], name) == 0)
            return true;
    return false;
}

/* A file is known by its ending, or by a folder in front of it. */
static bool is_file(const char *word)
{
    size_t length = strlen(word);

    return strchr(word, '/') || (length > 4 && strcmp(word + length - 4, ".ini") == 0);
}

static int run_command(const struct command *command, struct invocation *invocation)
{
    return asks_for_help(invocation) ? print_command_help(command) : command->run(invocation);
}

static int dispatch(struct invocation *invocation)
{
    const char *word = invocation->words[0];
    const struct command *command = command_find(word);

    if (is_word(word, "-h", "--help")) {
        print_help(stdout);
        return CLI_GOOD;
    }
    if (is_word(word, "-V", "--version"))
        return print_version();
    if (command) {
        invocation->words++;
        invocation->count--;
        return run_command(command, invocation);
    }
    if (is_file(word))
        return run_command(&command_run, invocation);
    if (is_later(word))
        fprintf(stderr, "qmux-uring: not in this version: %s\n", word);
    else
        fprintf(stderr, "qmux-uring: unknown %s: %s; see --help\n",
                *word == '-' ? "option" : "command", word);
    return CLI_WRONG;
}

int main(int argc, char **argv)
{
    struct invocation invocation = {.words = argv + 1, .count = argc > 0 ? argc - 1 : 0};
    int code;

    signal(SIGPIPE, SIG_IGN);
    take_loudness(&invocation);
    if (!invocation.count) {
        print_help(stderr);
        return CLI_WRONG;
    }
    code = dispatch(&invocation);
    if ((fflush(stdout) || ferror(stdout)) && code == CLI_GOOD) {
        fprintf(stderr, "qmux-uring: cannot write the answer: %s\n", strerror(errno));
        code = CLI_FAILED;
    }
    return code;
}

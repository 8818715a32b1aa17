/* Commands for a process that runs: status, reload, drain, stop. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/admin_call.h"
#include "cli/cli.h"
#include "cli/screen.h"

static const char *socket_of(const struct flag *flag)
{
    return flag->count ? flag->values[0] : ADMIN_SOCKET_STANDARD;
}

/* ---- status ---- */

static int status_print(struct admin_call *call, bool json)
{
    struct screen_options options = {0};
    struct writer out = {0};
    struct winsize size;
    int code = CLI_FAILED;

    if (json) {
        printf("%s\n", call->line.text);
        return admin_call_read(call) ? CLI_FAILED : CLI_GOOD;
    }
    if (admin_call_read(call))
        return CLI_FAILED;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        options.width = size.ws_col;
    screen_write(&out, call->answer.nodes, NULL, &options);
    if (!out.failed && fputs(out.text, stdout) >= 0)
        code = CLI_GOOD;
    writer_release(&out);
    return code;
}

static int status_run(struct invocation *invocation)
{
    enum { JSON, SOCKET };
    struct flag flags[] = {
        [JSON] = {.name = "--json"    },
          [SOCKET] = { .name = "--socket", .takes_value = true}
    };
    struct admin_call call;
    int code = CLI_FAILED;

    if (!flags_take(invocation, flags, ARRAY_COUNT(flags)) || !words_are(invocation, 0))
        return CLI_WRONG;
    if (admin_call_open(&call, socket_of(&flags[SOCKET])))
        return CLI_FAILED;
    if (admin_call_ask(&call, "status") == 0)
        code = status_print(&call, flags[JSON].count);
    admin_call_close(&call);
    return code;
}

/* ---- orders ---- */

static int order_run(struct invocation *invocation, const char *word)
{
    struct flag flags[] = {
        {.name = "--socket", .takes_value = true}
    };
    struct admin_call call;
    int code = CLI_FAILED;

    if (!flags_take(invocation, flags, ARRAY_COUNT(flags)) || !words_are(invocation, 0))
        return CLI_WRONG;
    if (admin_call_open(&call, socket_of(&flags[0])))
        return CLI_FAILED;
    if (admin_call_ask(&call, word) == 0 && admin_call_read(&call) == 0)
        code = CLI_GOOD;
    admin_call_close(&call);
    return code;
}

static int reload_run(struct invocation *invocation)
{
    return order_run(invocation, "reload");
}

static int drain_run(struct invocation *invocation)
{
    return order_run(invocation, "drain");
}

static int stop_run(struct invocation *invocation)
{
    return order_run(invocation, "stop");
}

#define SOCKET_HELP                                                                                \
    "  --socket PATH   where it listens ([admin] socket; " ADMIN_SOCKET_STANDARD ")\n"

const struct command command_status = {
    .name = "status",
    .arguments = "[--json] [--socket PATH]",
    .summary = "what a running one is doing",
    .help = "  --json          all of it, in one line of JSON\n" SOCKET_HELP,
    .run = status_run,
};
const struct command command_reload = {
    .name = "reload",
    .arguments = "[--socket PATH]",
    .summary = "have a running one read its file again",
    .help = SOCKET_HELP,
    .run = reload_run,
};
const struct command command_drain = {
    .name = "drain",
    .arguments = "[--socket PATH]",
    .summary = "have it take no more users and end when all have gone",
    .help = SOCKET_HELP,
    .run = drain_run,
};
const struct command command_stop = {
    .name = "stop",
    .arguments = "[--socket PATH]",
    .summary = "have it end at once",
    .help = SOCKET_HELP,
    .run = stop_run,
};

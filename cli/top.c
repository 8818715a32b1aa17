/* The status of a running process, live: asked for once a second and drawn over itself. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/admin_call.h"
#include "cli/cli.h"
#include "cli/screen.h"

enum { PERIOD_MS = 1000 };

static volatile sig_atomic_t top_ended;

static void top_signalled(int number)
{
    if (number != SIGWINCH) /* that one only wakes the loop, which looks at the size each time */
        top_ended = 1;
}

static void top_take_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = top_signalled};

    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        sigaction(numbers[i], &action, NULL);
}

/* ---- the terminal ---- */

struct terminal {
    struct termios before;
    struct winsize size;
};

static int terminal_enter(struct terminal *terminal)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &terminal->before))
        return -errno;
    raw = terminal->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
        return -errno;
    fputs("\033[?1049h\033[?25l", stdout); /* a page of its own, without a cursor */
    return 0;
}

static void terminal_leave(const struct terminal *terminal)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal->before);
}

static void terminal_measure(struct terminal *terminal)
{
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal->size) || !terminal->size.ws_col)
        terminal->size = (struct winsize){.ws_col = 80, .ws_row = 24};
}

/* Cut to the terminal; what a longer line left behind is wiped. */
static void terminal_draw(const struct terminal *terminal, const char *text)
{
    size_t columns = terminal->size.ws_col, rows = terminal->size.ws_row;

    fputs("\033[H", stdout);
    for (size_t row = 1; row < rows; row++) {
        size_t length = strcspn(text, "\n");

        printf("%.*s\033[K\n", (int)(length < columns ? length : columns), text);
        text += length + (text[length] == '\n');
    }
    fputs("\033[Jq quits", stdout);
    fflush(stdout);
}

/* ---- turns ---- */

/* Until the period is over, a key asks for the end, or the window changes. */
static bool top_wait(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;

    if (poll(&input, 1, PERIOD_MS) <= 0)
        return !top_ended;
    if (read(STDIN_FILENO, &key, 1) != 1)
        return false; /* the terminal has gone */
    return key != 'q' && key != 'Q' && !top_ended;
}

static int top_loop(struct admin_call calls[2], struct terminal *terminal)
{
    struct screen_options options = {.live = true};
    struct writer screen = {0};
    int code = CLI_GOOD;

    for (unsigned turn = 0; code == CLI_GOOD; turn++) {
        struct admin_call *now = &calls[turn % 2], *before = &calls[(turn + 1) % 2];

        if (admin_call_ask(now, "status") || admin_call_read(now)) {
            code = CLI_FAILED;
            break;
        }
        terminal_measure(terminal);
        options.width = terminal->size.ws_col;
        writer_clear(&screen);
        screen_write(&screen, now->answer.nodes, before->answer.nodes, &options);
        terminal_draw(terminal, screen.failed ? "out of memory\n" : screen.text);
        if (!top_wait())
            break;
    }
    writer_release(&screen);
    return code;
}

/* Two calls in turn, since the picture before must outlive the next one. */
static int top_show(const char *path)
{
    struct terminal terminal;
    struct admin_call calls[2];
    int code = CLI_FAILED;

    if (admin_call_open(&calls[0], path))
        return CLI_FAILED;
    if (admin_call_open(&calls[1], path) == 0) {
        top_take_signals();
        if (terminal_enter(&terminal) == 0) {
            code = top_loop(calls, &terminal);
            terminal_leave(&terminal);
        }
        admin_call_close(&calls[1]);
    }
    admin_call_close(&calls[0]);
    return code;
}

static int top_run(struct invocation *invocation)
{
    struct flag flags[] = {
        {.name = "--socket", .takes_value = true}
    };

    if (!flags_take(invocation, flags, ARRAY_COUNT(flags)) || !words_are(invocation, 0))
        return CLI_WRONG;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        fprintf(stderr, "qmux-uring: top needs a terminal; see `qmux-uring status`\n");
        return CLI_FAILED;
    }
    return top_show(flags[0].count ? flags[0].values[0] : ADMIN_SOCKET_STANDARD);
}

const struct command command_top = {
    .name = "top",
    .arguments = "[--socket PATH]",
    .summary = "the same, live in a terminal; q ends it",
    .help = "  --socket PATH   where it listens ([admin] socket; " ADMIN_SOCKET_STANDARD ")\n",
    .run = top_run,
};

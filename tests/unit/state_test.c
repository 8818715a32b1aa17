#include "core/state.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/must.h"
#include "tests/unit/test.h"

enum { NEW, OPEN, CLOSED, STATE_COUNT };

static const char *const names[] = {[NEW] = "new", [OPEN] = "open", [CLOSED] = "closed"};
static const uint32_t next[STATE_COUNT] = {
    [NEW] = STATE_BIT(OPEN) | STATE_BIT(CLOSED), [OPEN] = STATE_BIT(OPEN) | STATE_BIT(CLOSED)};
static const struct state_table states = {"door", names, next, STATE_COUNT};

/* Whether the move ends the process, as must() does. */
static bool move_aborts(uint8_t state, unsigned to)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        close(STDERR_FILENO);
        state_move(&states, &state, to);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST(a_listed_move_changes_the_state)
{
    uint8_t state = NEW;

    state_move(&states, &state, OPEN);
    check(state == OPEN);
    state_move(&states, &state, OPEN);
    state_move(&states, &state, CLOSED);
    check(state == CLOSED);
}

TEST(exactly_the_moves_that_are_not_listed_abort)
{
    for (unsigned state = 0; state < STATE_COUNT; state++) {
        for (unsigned to = 0; to < STATE_COUNT; to++)
            check(move_aborts((uint8_t)state, to) == !(next[state] & STATE_BIT(to)));
    }
    check(move_aborts(NEW, STATE_COUNT) && move_aborts(STATE_COUNT, NEW));
}

TEST(a_move_that_is_not_listed_is_named)
{
    char said[200] = "";
    uint8_t state = CLOSED;
    int ends[2], status;
    pid_t child;

    must(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        state_move(&states, &state, NEW);
        _exit(0);
    }
    close(ends[1]);
    check(read(ends[0], said, sizeof(said) - 1) > 0 && strstr(said, "door: closed -> new"));
    close(ends[0]);
    waitpid(child, &status, 0);
}

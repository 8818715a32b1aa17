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

TEST(a_state_has_the_name_that_its_table_gives)
{
    check(strcmp(state_name(&states, NEW), "new") == 0);
    check(strcmp(state_name(&states, CLOSED), "closed") == 0);
}

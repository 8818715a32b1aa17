/* core/state.h - states that change only by one checked move.
 *
 *     static const struct state_table session_states = {"session", session_state_names,
 *                                                       session_state_next, SESSION_STATE_COUNT};
 *     state_move(&session_states, &session->state, SESSION_OPENING);
 *
 * A move that the table does not list is our bug: it ends the process as must() does, naming both
 * states.  Thread: the state's. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <stdint.h>

struct state_table {
    const char *noun;
    const char *const *names;
    const uint32_t *next; /* for each state, a bit per legal successor */
    uint32_t count;       /* at most 32 */
};
#define STATE_BIT(state) (1u << (state))

void state_move(const struct state_table *table, uint8_t *state, unsigned to);

#endif

#include "core/state.h"

#include <stdbool.h>
#include <stdio.h>

#include "core/must.h"

static const char *name_of(const struct state_table *table, unsigned state)
{
    return state < table->count ? table->names[state] : "none";
}

/* Ends as must() does, with more to go by: "session: closed -> opening". */
_Noreturn static void move_failed(const struct state_table *table, unsigned from, unsigned to)
{
    char words[128];

    snprintf(words, sizeof(words), "%s: %s -> %s", table->noun, name_of(table, from),
             name_of(table, to));
    must_failed(words, __FILE__, __LINE__, "state_move");
}

static bool is_listed(const struct state_table *table, unsigned from, unsigned to)
{
    return from < table->count && to < table->count && table->next[from] & STATE_BIT(to);
}

void state_move(const struct state_table *table, uint8_t *state, unsigned to)
{
    if (!is_listed(table, *state, to))
        move_failed(table, *state, to);
    *state = (uint8_t)to;
}

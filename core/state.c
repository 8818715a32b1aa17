#include "core/state.h"

#include "core/must.h"

void state_move(const struct state_table *table, uint8_t *state, unsigned to)
{
    must(*state < table->count && to < table->count);
    must(table->next[*state] & STATE_BIT(to));
    *state = (uint8_t)to;
}

const char *state_name(const struct state_table *table, uint8_t state)
{
    must(state < table->count);
    return table->names[state];
}

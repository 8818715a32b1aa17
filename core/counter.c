#include "core/counter.h"

#include "core/must.h"
#include "core/text.h"

enum { COUNTER_NAME_SIZE = 32 };

static const struct {
    const char *name, *text;
} counter_rows[COUNTER_COUNT] = {
#define COUNTER_ROW(name, text) [COUNTER_##name] = {#name, text},
    COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
};

static char counter_names[COUNTER_COUNT][COUNTER_NAME_SIZE];

/* Before main, so that any thread may read the names. */
__attribute__((constructor)) static void counter_names_fill(void)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        text_lower(counter_names[i], sizeof(counter_names[i]), counter_rows[i].name);
}

const char *counter_name(enum counter counter)
{
    must(counter < COUNTER_COUNT);
    return counter_names[counter];
}

const char *counter_text(enum counter counter)
{
    must(counter < COUNTER_COUNT);
    return counter_rows[counter].text;
}

#include "core/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Single-threaded tests set these before anything allocates; in production both stay off and the
 * cost is one predictable branch. */
static struct {
    bool active; /* fail_at or counting is on */
    bool counting;
    bool met;
    uint64_t fail_at;
    int64_t live;
} switches;

static bool mem_refuses(void)
{
    if (__builtin_expect(!switches.active, 1))
        return false;
    if (switches.fail_at && --switches.fail_at == 0) {
        switches.met = true;
        return true;
    }
    if (switches.counting)
        switches.live++;
    return false;
}

void *mem_new(size_t size)
{
    return mem_refuses() ? NULL : calloc(1, size);
}

void *mem_raw(size_t size)
{
    return mem_refuses() ? NULL : malloc(size);
}

void *mem_aligned(size_t align, size_t size)
{
    return mem_refuses() ? NULL : aligned_alloc(align, size);
}

void *mem_resize(void *old, size_t size)
{
    if (!old)
        return mem_raw(size);
    if (mem_refuses())
        return NULL;
    if (switches.counting)
        switches.live--; /* counted by mem_refuses as one more */
    return realloc(old, size);
}

char *mem_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_raw(size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void mem_free(void *memory)
{
    if (memory && switches.counting)
        switches.live--;
    free(memory);
}

bool mem_tide_turns(struct mem_tide *tide, uint32_t count)
{
    if (count > tide->high)
        tide->high = count;
    if (tide->high < MEM_TIDE_HIGH || count > tide->high / 8)
        return false;
    tide->high = count;
    return true;
}

void mem_trim(void)
{
    malloc_trim(0);
}

void mem_fail_at(uint64_t n)
{
    switches.fail_at = n;
    switches.met = false;
    switches.active = n || switches.counting;
}

bool mem_failed(void)
{
    return switches.met;
}

void mem_count(bool on)
{
    switches.counting = on;
    switches.live = 0;
    switches.active = on || switches.fail_at;
}

int64_t mem_live(void)
{
    return switches.live;
}

/* Lists of cores: 0,2-5. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "relay/settings_rows.h"

enum { CPU_MAX = 1023 };

/* "3" or "2-5"; false: neither. */
static bool cpus_read_run(const char *text, unsigned long *first, unsigned long *last)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *first = *last = strtoul(text, &end, 10);
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        *last = strtoul(end + 1, &end, 10);
    return !*end && *first <= *last && *last <= CPU_MAX;
}

static int cpus_add(const struct option *option, struct option_input *input, struct cpu_list *list,
                    uint32_t cpu)
{
    uint16_t item = (uint16_t)cpu;

    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i] == cpu)
            return option_refuse(input, "%s: given twice: %u", option->name, cpu);
    return option_add(option, input, (void **)&list->items, &list->count, &item, sizeof(item));
}

static int cpus_parse(const struct option *option, struct option_input *input, void *field)
{
    char *copy = mem_text(input->value), *rest = copy, *item;
    unsigned long first = 1, last = 0; /* none */
    int rc = copy ? 0 : -ENOMEM;

    while (!rc && (item = strsep(&rest, ","))) {
        item = text_trim(item);
        if (!cpus_read_run(item, &first, &last))
            rc = option_refuse(input, "%s: %s is not a core or a run of cores (0 to %d)",
                               option->name, item, CPU_MAX);
        for (unsigned long cpu = first; !rc && cpu <= last; cpu++)
            rc = cpus_add(option, input, field, (uint32_t)cpu);
    }
    mem_free(copy);
    return rc;
}

static void cpus_release(void *field)
{
    struct cpu_list *list = field;

    mem_free(list->items);
    *list = (struct cpu_list){0};
}

/* clang-format off */
const struct option_type option_cpus = {
    .name = "cores", .form = "0,2-5", .parse = cpus_parse, .release = cpus_release,
    .size = sizeof(struct cpu_list)};
/* clang-format on */

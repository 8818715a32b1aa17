/* Values about the network: where to listen, networks, rates. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/option.h"
#include "core/text.h"

enum { BURST_MAX = 1000000 };

/* ---- where to listen ---- */

static void binds_release(void *field)
{
    struct bind_list *list = field;

    mem_free(list->items);
    *list = (struct bind_list){0};
}

/* `word` is what stands behind the address: mode=0660, for the file of a socket. */
static int mode_read(const struct option *option, struct option_input *input, const char *word,
                     struct bind *bind)
{
    char *end;
    unsigned long mode;

    if (strncmp(word, "mode=", 5) != 0)
        return option_refuse(input, "%s: unknown parameter: %s", option->name, word);
    if (addr_family(&bind->addr) != AF_UNIX)
        return option_refuse(input, "%s: mode is for unix:PATH only", option->name);
    mode = strtoul(word + 5, &end, 8);
    if (word[5] != '0' || *end || !mode || mode > 0777)
        return option_refuse(input, "%s: %s is not a mode such as 0660", option->name, word + 5);
    bind->mode = (uint16_t)mode;
    return 0;
}

static int bind_read(const struct option *option, struct option_input *input, char *text,
                     struct bind *bind)
{
    char *rest = text, *address = strsep(&rest, " \t");

    if (addr_parse_range(&bind->addr, &bind->last_port, address))
        return option_refuse(input, "%s: %s is not an address (%s)", option->name, address,
                             option->type->form);
    rest = rest ? text_trim(rest) : rest;
    return rest && *rest ? mode_read(option, input, rest, bind) : 0;
}

static int binds_parse(const struct option *option, struct option_input *input, void *field)
{
    struct bind_list *list = field;
    struct bind bind = {0};
    char *copy = mem_text(input->value);
    int rc = copy ? bind_read(option, input, copy, &bind) : -ENOMEM;

    mem_free(copy);
    if (rc)
        return rc;
    return option_add(option, input, (void **)&list->items, &list->count, &bind, sizeof bind);
}

/* ---- networks ---- */

static void cidrs_release(void *field)
{
    struct cidr_list *list = field;

    mem_free(list->items);
    *list = (struct cidr_list){0};
}

static int cidr_add(const struct option *option, struct option_input *input, const char *item,
                    struct cidr_list *list)
{
    struct cidr cidr;
    int rc = cidr_parse(&cidr, item);

    if (rc == -EDOM)
        return option_refuse(input, "%s: %s has bits behind its length", option->name, item);
    if (rc)
        return option_refuse(input, "%s: %s is not a network (%s)", option->name, item,
                             option->type->form);
    return option_add(option, input, (void **)&list->items, &list->count, &cidr, sizeof cidr);
}

static int cidrs_parse(const struct option *option, struct option_input *input, void *field)
{
    char *copy = mem_text(input->value), *rest = copy, *item;
    int rc = copy ? 0 : -ENOMEM;

    while (!rc && (item = strsep(&rest, ",")))
        rc = cidr_add(option, input, text_trim(item), field);
    mem_free(copy);
    return rc;
}

/* ---- rates ---- */

/* Digits from 1 to UINT32_MAX; *end is behind them. */
static bool digits_read(const char *text, const char **end, uint64_t *number)
{
    *number = 0;
    for (*end = text; **end >= '0' && **end <= '9' && *number <= UINT32_MAX; (*end)++)
        *number = *number * 10 + (uint64_t)(**end - '0');
    return *number && *number <= UINT32_MAX;
}

static bool rate_read(const char *text, struct rate *rate)
{
    static const struct {
        char name;
        uint64_t ns;
    } units[] = {
        {'s', OPTION_SECOND},
        {'m', OPTION_MINUTE},
        {'h', OPTION_HOUR  },
    };
    uint64_t count, burst, per = 0;

    if (!digits_read(text, &text, &count) || *text++ != '/')
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(units); i++)
        if (*text == units[i].name)
            per = units[i].ns;
    if (!per || count > BURST_MAX)
        return false;
    rate->interval_ns = per / count;
    burst = rate->interval_ns > OPTION_SECOND ? 1 : OPTION_SECOND / rate->interval_ns;
    text++;
    if (*text && (*text != ' ' || strncmp(text + strspn(text, " "), "burst=", 6) != 0 ||
                  !digits_read(text + strspn(text, " ") + 6, &text, &burst)))
        return false;
    rate->burst = (uint32_t)burst;
    return !*text && burst <= BURST_MAX;
}

static int rate_parse(const struct option *option, struct option_input *input, void *field)
{
    struct rate rate;

    if (!rate_read(input->value, &rate))
        return option_refuse(input, "%s: %s is not a rate (%s)", option->name, input->value,
                             option->type->form);
    *(struct rate *)field = rate;
    return 0;
}

/* clang-format off */
const struct option_type option_binds = {
    .name = "address", .form = "192.0.2.1:80, 0.0.0.0:8000-8100, [2001:db8::1]:80 or unix:PATH",
    .parse = binds_parse, .release = binds_release, .size = sizeof(struct bind_list)};
const struct option_type option_cidrs = {
    .name = "network", .form = "192.0.2.0/24 or 2001:db8::/32", .parse = cidrs_parse,
    .release = cidrs_release, .size = sizeof(struct cidr_list)};
const struct option_type option_rate = {
    .name = "rate", .form = "100/s, 6/m or 100/s burst=200", .parse = rate_parse,
    .size = sizeof(struct rate)};
/* clang-format on */

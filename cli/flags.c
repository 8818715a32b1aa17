#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* The flag that `word` names; *value is what stands behind its `=`, or NULL. */
static struct flag *flag_find(struct flag *flags, size_t flag_count, const char *word,
                              const char **value)
{
    size_t length = strcspn(word, "=");

    *value = word[length] ? word + length + 1 : NULL;
    for (size_t i = 0; i < flag_count; i++)
        if (strlen(flags[i].name) == length && strncmp(flags[i].name, word, length) == 0)
            return &flags[i];
    return NULL;
}

static const char *flag_add(struct flag *flag, const char *value)
{
    if (flag->takes_value && (!value || !*value))
        return "needs a value";
    if (!flag->takes_value && value)
        return "takes no value";
    if (flag->count && !flag->repeatable)
        return "is given twice";
    if (flag->count >= FLAG_VALUES_MAX)
        return "is given too often";
    flag->values[flag->count++] = value;
    return NULL;
}

bool flags_take(struct invocation *invocation, struct flag *flags, size_t flag_count)
{
    int kept = 0;

    for (int i = 0; i < invocation->count; i++) {
        char *word = invocation->words[i];
        const char *value, *wrong;
        struct flag *flag;

        if (*word != '-') {
            invocation->words[kept++] = word;
            continue;
        }
        flag = flag_find(flags, flag_count, word, &value);
        if (flag && flag->takes_value && !value && i + 1 < invocation->count)
            value = invocation->words[++i];
        wrong = flag ? flag_add(flag, value) : "is not an option here; see --help";
        if (wrong) {
            fprintf(stderr, "qmux-uring: %s %s\n", word, wrong);
            return false;
        }
    }
    invocation->count = kept;
    return true;
}

bool words_are(const struct invocation *invocation, int count)
{
    if (invocation->count == count)
        return true;
    if (invocation->count < count)
        fprintf(stderr, "qmux-uring: an argument is missing; see --help\n");
    else
        fprintf(stderr, "qmux-uring: one argument too many: %s\n", invocation->words[count]);
    return false;
}

bool number_read(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *number)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && value >= min && value <= max) {
        *number = (uint32_t)value;
        return true;
    }
    fprintf(stderr, "qmux-uring: %s takes a number from %u to %u, not %s\n", name, min, max, text);
    return false;
}

#include "cli/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check.h"
#include "relay/settings_diff.h"

/* The new settings, or NULL after their errors were added. */
static struct settings *read_again(const char *file, struct writer *error)
{
    struct settings *settings;
    char *text = NULL;
    size_t length = 0;
    FILE *errors = open_memstream(&text, &length);

    if (!errors) {
        writer_add(error, "cannot read %s: %s", file, strerror(errno));
        return NULL;
    }
    settings = load_checked(file, errors);
    if (fclose(errors) == 0 && !settings)
        writer_bytes(error, text, length && text[length - 1] == '\n' ? length - 1 : length);
    free(text);
    return settings;
}

bool reload_judge(const char *file, const struct settings *current, struct writer *error)
{
    const struct settings_section *section;
    const struct option *option;
    struct settings *settings;

    if (!file) {
        writer_add(error, "there is no file to read again");
        return false;
    }
    settings = read_again(file, error);
    if (!settings)
        return false;
    option = settings_diff_restart(current, settings, &section);
    if (option)
        writer_add(error, "%s: a changed %s needs a restart", file, option->name);
    settings_free(&settings);
    return !option;
}

#include "core/account.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNT_FIELDS = 4, ACCOUNT_LINE_SIZE = 4096 };

static bool number_of(const char *text, unsigned long *number)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return !*end && !errno && *number < UINT32_MAX; /* the last one means "no change" */
}

/* name:password:id:group — a group's file has its members in the last place. */
static bool line_split(char *line, char *fields[ACCOUNT_FIELDS])
{
    char *rest = line;

    line[strcspn(line, "\r\n")] = 0;
    for (int i = 0; i < ACCOUNT_FIELDS; i++) {
        fields[i] = strsep(&rest, ":");
        if (!fields[i])
            return false;
    }
    return true;
}

static bool line_matches(enum account_kind kind, char *line, const char *name,
                         const unsigned long *wanted, struct account *account)
{
    char *fields[ACCOUNT_FIELDS];
    unsigned long id, group = 0;

    if (!line_split(line, fields) || !number_of(fields[2], &id))
        return false;
    if (kind == ACCOUNT_USER && !number_of(fields[3], &group))
        return false;
    if (wanted ? id != *wanted : strcmp(fields[0], name) != 0)
        return false;
    *account = (struct account){.given = true, .id = (uid_t)id, .group = (gid_t)group};
    return true;
}

int account_find(enum account_kind kind, const char *file, const char *name,
                 struct account *account)
{
    char line[ACCOUNT_LINE_SIZE];
    unsigned long number = 0;
    bool numeric = number_of(name, &number), found = false;
    FILE *lines = fopen(file, "re");
    int error = lines ? -ENOENT : -errno;

    while (lines && !found && fgets(line, sizeof(line), lines))
        found = line_matches(kind, line, name, numeric ? &number : NULL, account);
    if (lines)
        fclose(lines);
    if (!found && numeric)
        *account = (struct account){.given = true, .id = (uid_t)number, .group = (gid_t)number};
    return found || numeric ? 0 : error;
}

/* relay/settings_diff.h - what differs between two configurations.
 *
 * Pure: reads two checked settings and keeps nothing.  Owner: the caller.  Thread: any. */
#ifndef RELAY_SETTINGS_DIFF_H
#define RELAY_SETTINGS_DIFF_H

#include "relay/settings_rows.h"

struct settings_difference {
    const struct settings_section *section;
    const char *name;   /* of the section; empty where it has none */
    const char *option; /* borrowed from the rows */
};
/* The first thing that only a restart can change: an option of a section that is in both; false:
 * there is none.  Names point into the old settings. */
bool settings_diff_restart(const struct settings *old_settings, const struct settings *new_settings,
                           struct settings_difference *difference) MUST_CHECK;

#endif

/* relay/settings_diff.h - what differs between two configurations.
 *
 * Pure: reads two checked settings and keeps nothing.  Owner: the caller.  Thread: any. */
#ifndef RELAY_SETTINGS_DIFF_H
#define RELAY_SETTINGS_DIFF_H

#include "relay/settings_rows.h"

/* The first option of an unnamed section whose changed value needs a restart; NULL: none.
 * `section` is then where it stands. */
const struct option *settings_diff_restart(const struct settings *old_settings,
                                           const struct settings *new_settings,
                                           const struct settings_section **section) MUST_CHECK;

#endif

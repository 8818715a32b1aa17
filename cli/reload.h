/* cli/reload.h - a configuration file judged again while the process runs.  Nothing that runs is
 * touched.  Thread: the control thread, after tls_global_init. */
#ifndef CLI_RELOAD_H
#define CLI_RELOAD_H

#include "cli/writer.h"
#include "relay/settings.h"

/* Adds to `error` why `file` cannot take the place of `current`: every error as FILE:LINE, or the
 * option that needs a restart.  False: it cannot.  `file` NULL: there is none. */
bool reload_judge(const char *file, const struct settings *current,
                  struct writer *error) MUST_CHECK;

#endif

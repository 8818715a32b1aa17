/* cli/check.h - a configuration with everything looked at that can be wrong before a port is
 * opened. Thread: the main one, after tls_global_init. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "relay/settings.h"

/* The caller's (settings_free), or NULL after every error was written to `errors`. */
struct settings *load_checked(const char *file, FILE *errors) MUST_CHECK;

#endif

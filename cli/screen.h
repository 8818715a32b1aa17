/* cli/screen.h - a status for people: tables of listeners, members, tunnel clients and servers.
 * Thread: the main one. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include "cli/json.h"
#include "cli/writer.h"

/* now: the answer to `status`; before: an earlier one, for rates, or NULL. */
void screen_write(struct writer *out, const struct json *now, const struct json *before);

#endif

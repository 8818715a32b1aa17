/* cli/screen.h - a status for people: tables of listeners, members, tunnel clients and servers.
 * Thread: the main one. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include "cli/json.h"
#include "cli/writer.h"

struct screen_options {
    uint32_t width; /* of the terminal; 0: whatever it takes */
    bool live;      /* with rates, which are a dash at first */
};

/* now: the answer to `status`; before: an earlier one, for rates, or NULL. */
void screen_write(struct writer *out, const struct json *now, const struct json *before,
                  const struct screen_options *options);

#endif

/* relay/proxy_in.h - reads the PROXY protocol's header (versions 1 and 2), with which a proxy in
 * front of us says who the user is.  Thread: any; pure.
 *
 * A header may come in pieces of any size: call again with all bytes so far.  What cannot become a
 * header is refused at its first wrong byte. */
#ifndef RELAY_PROXY_IN_H
#define RELAY_PROXY_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/must.h"
#include "relay/settings.h"

enum { PROXY_IN_V1_MAX = 107, PROXY_IN_MAX = 536 };

/* Length 0: the header names none (UNKNOWN, LOCAL, other families), the real ones hold. */
struct proxy_in {
    struct addr source, destination;
};

/* The header's length, 0 when more bytes are needed, or -EPROTO. */
int proxy_in_parse(const uint8_t *data, size_t length, enum accept_proxy versions,
                   struct proxy_in *in) MUST_CHECK;

enum proxy_begin { PROXY_BEGIN_NO, PROXY_BEGIN_MAYBE, PROXY_BEGIN_YES };
/* Whether bytes begin as a header of either version does. */
enum proxy_begin proxy_in_begins(const uint8_t *data, size_t length);

#endif

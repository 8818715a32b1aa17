/* relay/proxy_header.h - writes the PROXY protocol's header (versions 1 and 2), which tells a
 * service who the user is.  Thread: any; pure. */
#ifndef RELAY_PROXY_HEADER_H
#define RELAY_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/must.h"

enum { PROXY_HEADER_MAX = 107 }; /* of version 1 over IPv6; version 2 is shorter */

/* Addresses that are missing or of different families are sent as UNKNOWN (1) or LOCAL (2). Returns
 * the header's length. */
size_t proxy_header_v1(const struct addr *source, const struct addr *destination,
                       uint8_t to[PROXY_HEADER_MAX]) MUST_CHECK;
size_t proxy_header_v2(const struct addr *source, const struct addr *destination, bool datagrams,
                       uint8_t to[PROXY_HEADER_MAX]) MUST_CHECK;

#endif

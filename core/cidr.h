/* core/cidr.h - networks, as in 10.0.0.0/8 and 2001:db8::/32, and lists of them.
 * Plain values; a list's items are its owner's.  Thread: any. */
#ifndef CORE_CIDR_H
#define CORE_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/must.h"

struct cidr {
    uint8_t family, length; /* AF_INET or AF_INET6; length in bits */
    uint8_t bytes[16];      /* zero behind `length` */
};
struct cidr_list {
    struct cidr *items;
    uint32_t count;
};

enum { CIDR_TEXT_SIZE = 52 };

/* "192.0.2.0/24", "2001:db8::/32", or an address alone.  0, -EINVAL, or -EDOM when bits behind the
 * length are set. */
int cidr_parse(struct cidr *cidr, const char *text) MUST_CHECK;
const char *cidr_format(const struct cidr *cidr, char text[CIDR_TEXT_SIZE]);
/* An IPv4 address mapped into IPv6 counts as what it is.  Unix addresses are in no network. */
bool cidr_holds(const struct cidr *cidr, const struct addr *addr);
bool cidr_list_holds(const struct cidr_list *list, const struct addr *addr);

#endif

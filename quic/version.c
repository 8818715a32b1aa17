#include <errno.h>
#include <ngtcp2/ngtcp2.h>
#include <stdio.h>

#include "quic/protect.h"
#include "quic/quic.h"

enum { NGTCP2_LEAST = 0x011601 };

int quic_global_init(char *error, size_t error_size)
{
    if (!ngtcp2_version(NGTCP2_LEAST)) {
        snprintf(error, error_size, "ngtcp2 %s is too old, 1.22.1 is the least",
                 ngtcp2_version(0)->version_str);
        return -EIO;
    }
    return protect_choose(error, error_size);
}

const char *quic_versions(void)
{
    static char text[128];

    snprintf(text, sizeof(text), "ngtcp2 %s, packets protected by %s",
             ngtcp2_version(0)->version_str, protect_chosen()->name);
    return text;
}

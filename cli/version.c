#include <string.h>

#include "cli/cli.h"
#include "core/tls.h"
#include "quic/quic.h"

void print_version(FILE *out)
{
    fprintf(out, "qmux-uring %s\n", QMUX_VERSION);
    fprintf(out, "%s\n%s\n", quic_versions(), tls_version());
    fprintf(out, "built with%s\n", QMUX_LIBRARIES); /* as the build found them */
}

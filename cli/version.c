#include <string.h>

#include "cli/cli.h"
#include "core/tls.h"
#include "quic/quic.h"

int cli_open_tls(void)
{
    const struct tls_hooks hooks = {.context = NULL}; /* the system's clock and randomness */
    int rc = tls_global_init(&hooks);

    if (rc)
        fprintf(stderr, "qmux-uring: wolfSSL could not be initialised: %s\n", strerror(-rc));
    return rc;
}

int print_version(void)
{
    char error[256];

    printf("qmux-uring %s\nlibraries:%s\n", QMUX_VERSION, QMUX_LIBRARIES);
    if (cli_open_tls())
        return CLI_FAILED;
    if (quic_global_init(error, sizeof error)) {
        fprintf(stderr, "qmux-uring: cannot protect packets: %s\n", error);
        tls_global_release();
        return CLI_FAILED;
    }
    printf("running: %s, %s\n", tls_version(), quic_versions());
    tls_global_release();
    return CLI_GOOD;
}

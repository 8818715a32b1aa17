#include "tests/sim/papers.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cert.h"
#include "core/must.h"
#include "core/tls.h"

#define MADE_S  INT64_C(1780000000) /* before the simulated clocks begin, in 2026 */
#define VALID_S INT64_C(200000000)

static char folder[] = "/tmp/qmux-sim-XXXXXX";
static const char *const files[] = {"ca.crt",    "ca.key",    "server.crt",   "server.key",
                                    "pod-1.crt", "pod-1.key", "pod-2.crt",    "pod-2.key",
                                    "other.crt", "other.key", "stranger.crt", "stranger.key"};

static int64_t made_at(void *context)
{
    return MADE_S;
}

static void counted(void *context, void *to, size_t length)
{
    uint64_t *state = context;

    for (uint8_t *at = to; length--; at++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        *at = (uint8_t)(*state >> 56);
    }
}

static void make(enum cert_use use, const char *file, const char *name, const char *authority)
{
    char paths[4][64], error[256] = "";
    static const char *const endings[] = {"crt", "key"};
    struct cert_request request = {.use = use,
                                   .common_name = name,
                                   .dns = &name,
                                   .dns_count = use != CERT_CA,
                                   .not_before = MADE_S - 1000,
                                   .not_after = MADE_S + VALID_S,
                                   .ca_cert = paths[2],
                                   .ca_key = paths[3],
                                   .cert = paths[0],
                                   .key = paths[1]};

    for (int i = 0; i < 4; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/%s.%s", folder, i < 2 ? file : authority,
                 endings[i % 2]);
    if (cert_make(&request, error, sizeof(error)) < 0) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
}

static void remove_all(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char path[64];

        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

const char *papers(void)
{
    static uint64_t state;
    static bool made;
    const struct tls_hooks hooks = {made_at, counted, &state};

    if (made)
        return folder;
    made = true;
    must(mkdtemp(folder) && tls_global_init(&hooks) == 0);
    atexit(remove_all);
    make(CERT_CA, "ca", "qmux simulated CA", "ca");
    make(CERT_CA, "other", "another CA", "other");
    make(CERT_SERVER, "server", "qmux-server", "ca");
    make(CERT_CLIENT, "pod-1", "pod-1.example", "ca");
    make(CERT_CLIENT, "pod-2", "pod-2.example", "ca");
    make(CERT_CLIENT, "stranger", "pod-3.example", "other");
    return folder;
}

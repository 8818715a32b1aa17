/* tests/unit/certs.h - a throw-away folder of certificates for one test: a CA, others that it or
 * nobody signed.  Owner: the test; certs_close removes the folder. */
#ifndef TESTS_UNIT_CERTS_H
#define TESTS_UNIT_CERTS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/cert.h"

struct certs {
    char folder[64];
    char error[256];
    char paths[16][128]; /* what certs_path hands out, round robin */
    unsigned next;
};

static inline bool certs_open(struct certs *certs)
{
    *certs = (struct certs){.folder = "/tmp/certs.XXXXXX"};
    return mkdtemp(certs->folder) != NULL;
}

static inline void certs_close(struct certs *certs)
{
    DIR *folder = opendir(certs->folder);
    struct dirent *entry;

    while (folder && (entry = readdir(folder)) != NULL)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(certs->folder);
}

/* "FOLDER/NAME.KIND": valid for the next 15 calls. */
static inline const char *certs_path(struct certs *certs, const char *name, const char *kind)
{
    char *path = certs->paths[certs->next++ % 16];
    char folder[sizeof(certs->folder)];

    memcpy(folder, certs->folder, sizeof(folder)); /* gcc takes the two fields for overlapping */
    snprintf(path, sizeof(certs->paths[0]), "%s/%s.%s", folder, name, kind);
    return path;
}

/* A request that is valid for an hour around now; the caller changes what it likes. */
static inline struct cert_request certs_request(struct certs *certs, enum cert_use use,
                                                const char *name, const char *ca)
{
    return (struct cert_request){
        .use = use,
        .common_name = name,
        .not_before = time(NULL) - 3600,
        .not_after = time(NULL) + 3600,
        .ca_cert = certs_path(certs, ca, "crt"),
        .ca_key = certs_path(certs, ca, "key"),
        .cert = certs_path(certs, name, "crt"),
        .key = certs_path(certs, name, "key"),
    };
}

static inline int certs_make(struct certs *certs, const struct cert_request *request)
{
    int rc = cert_make(request, certs->error, sizeof(certs->error));

    if (rc != 0)
        fprintf(stderr, "%s\n", certs->error);
    return rc;
}

static inline bool certs_ca(struct certs *certs, const char *name)
{
    struct cert_request request = certs_request(certs, CERT_CA, name, name);

    return certs_make(certs, &request) == 0;
}

/* One DNS name (servers) or one DNS name and, where given, a URI (clients). */
static inline bool certs_leaf(struct certs *certs, enum cert_use use, const char *name,
                              const char *ca, const char *dns, const char *uri)
{
    struct cert_request request = certs_request(certs, use, name, ca);

    request.dns = &dns;
    request.dns_count = dns ? 1 : 0;
    request.uri = uri;
    return certs_make(certs, &request) == 0;
}

#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/certs.h"
#include "cli/cli.h"
#include "core/cert.h"
#include "core/option.h"
#include "core/tls.h"

enum {
    DAYS_STANDARD = 825,
    DAYS_CA = 3650,
    DAYS_MAX = 36500,
    DAY_SECONDS = 86400,
    SKEW_SECONDS = 3600, /* clocks that are behind ours */
    PATH_SIZE = 4096,
    SERVER_NAMES_MAX = FLAG_VALUES_MAX + 3
};

/* ---- one certificate ---- */

struct files {
    char cert[PATH_SIZE], key[PATH_SIZE];
};

static bool files_name(struct files *files, const char *folder, const char *name)
{
    int cert = snprintf(files->cert, sizeof files->cert, "%s/%s.crt", folder, name);
    int key = snprintf(files->key, sizeof files->key, "%s/%s.key", folder, name);

    return cert > 0 && key > 0 && (size_t)cert < sizeof files->cert &&
           (size_t)key < sizeof files->key;
}

static bool files_exist(const struct files *files)
{
    return access(files->cert, F_OK) == 0 || access(files->key, F_OK) == 0;
}

/* What all certificates of a run have in common. */
struct making {
    const struct certs_request *request;
    struct files ca;
    int64_t now;
};

static int make_one(const struct making *making, struct cert_request cert, const char *name,
                    uint32_t days)
{
    struct files files = {{0}, {0}};
    char error[512];
    int rc;

    if (!files_name(&files, making->request->folder, name)) {
        fprintf(stderr, "qmux-uring: the folder's path is too long\n");
        return -ENAMETOOLONG;
    }
    cert.not_before = making->now - SKEW_SECONDS;
    cert.not_after = making->now + (int64_t)days * DAY_SECONDS;
    cert.ca_cert = making->ca.cert;
    cert.ca_key = making->ca.key;
    cert.cert = files.cert;
    cert.key = files.key;
    rc = cert_make(&cert, error, sizeof error);
    if (rc)
        fprintf(stderr, "qmux-uring: %s\n", error);
    else if (!making->request->quiet)
        printf("%s %s\n", files.cert, files.key);
    return rc;
}

static int make_ca(const struct making *making)
{
    const struct certs_request *request = making->request;
    struct cert_request cert = {.use = CERT_CA, .common_name = "qmux-uring CA"};

    if (access(making->ca.cert, F_OK) == 0 && access(making->ca.key, F_OK) == 0)
        return 0; /* the same CA goes on */
    return make_one(making, cert, "ca", request->days > DAYS_CA ? request->days : DAYS_CA);
}

static int make_server(const struct making *making)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    const struct certs_request *request = making->request;
    const char *names[SERVER_NAMES_MAX];
    struct cert_request cert = {.use = CERT_SERVER, .dns = names, .force = request->force};

    for (uint32_t i = 0; i < request->server_name_count; i++)
        names[cert.dns_count++] = request->server_names[i];
    for (size_t i = 0; i < ARRAY_COUNT(always); i++)
        names[cert.dns_count++] = always[i];
    cert.common_name = names[0];
    return make_one(making, cert, "server", request->days);
}

static int make_client(const struct making *making, const char *name)
{
    const char *const names[] = {name};
    struct cert_request cert = {.use = CERT_CLIENT,
                                .common_name = name,
                                .dns = names,
                                .dns_count = 1,
                                .force = making->request->force};

    return make_one(making, cert, name, making->request->days);
}

/* ---- a run ---- */

/* The server's is made once, and again only when its names are given or all is made anew. */
static bool wants_server(const struct certs_request *request)
{
    struct files files = {{0}, {0}};

    if (request->server_name_count || !files_name(&files, request->folder, "server"))
        return true;
    return !files_exist(&files) || (!request->client_count && request->force);
}

/* Before anything is written. */
static int refuse_overwriting(const struct certs_request *request, const char *name)
{
    struct files files = {{0}, {0}};

    if (request->force || !files_name(&files, request->folder, name) || !files_exist(&files))
        return 0;
    fprintf(stderr, "qmux-uring: %s exists already; --force overwrites it\n",
            access(files.cert, F_OK) == 0 ? files.cert : files.key);
    return -EEXIST;
}

static int make_folder(const char *folder)
{
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return 0;
    fprintf(stderr, "qmux-uring: cannot make %s: %s\n", folder, strerror(errno));
    return -errno;
}

int certs_make(const struct certs_request *request)
{
    static const char *const standard[] = {"client"};
    const char *const *clients = request->client_count ? request->clients : standard;
    uint32_t count = request->client_count ? request->client_count : 1;
    struct making making = {.request = request, .now = time(NULL)};
    bool server = wants_server(request);
    int rc = make_folder(request->folder);

    if (!rc && !files_name(&making.ca, request->folder, "ca"))
        rc = -ENAMETOOLONG;
    if (!rc && server)
        rc = refuse_overwriting(request, "server");
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = refuse_overwriting(request, clients[i]);
    if (!rc)
        rc = make_ca(&making);
    if (!rc && server)
        rc = make_server(&making);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = make_client(&making, clients[i]);
    return rc;
}

/* ---- the command ---- */

static bool client_name_good(const char *name)
{
    if (option_name_valid(name) && *name != '.' && strcmp(name, "ca") != 0 &&
        strcmp(name, "server") != 0)
        return true;
    fprintf(stderr, "qmux-uring: not a client's name: %s (A-Z a-z 0-9 _ . -, not ca or server)\n",
            name);
    return false;
}

static int certs_run(struct invocation *invocation)
{
    enum { SERVER_NAME, CLIENT, DAYS, FORCE };
    struct flag flags[] = {
        [SERVER_NAME] = {.name = "--server-name", .takes_value = true, .repeatable = true},
        [CLIENT] = {.name = "--client",     .takes_value = true, .repeatable = true},
        [DAYS] = {.name = "--days",      .takes_value = true},
        [FORCE] = {.name = "--force"    },
    };
    struct certs_request request = {.days = DAYS_STANDARD, .quiet = invocation->quiet};
    int rc;

    if (!flags_take(invocation, flags, ARRAY_COUNT(flags)) || !words_are(invocation, 1) ||
        (flags[DAYS].count &&
         !number_read("--days", flags[DAYS].values[0], 1, DAYS_MAX, &request.days)))
        return CLI_WRONG;
    for (int i = 0; i < flags[CLIENT].count; i++)
        if (!client_name_good(flags[CLIENT].values[i]))
            return CLI_WRONG;
    request.folder = invocation->words[0];
    request.server_names = flags[SERVER_NAME].values;
    request.server_name_count = (uint32_t)flags[SERVER_NAME].count;
    request.clients = flags[CLIENT].values;
    request.client_count = (uint32_t)flags[CLIENT].count;
    request.force = flags[FORCE].count;
    if (cli_open_tls())
        return CLI_FAILED;
    rc = certs_make(&request);
    tls_global_release();
    return rc ? CLI_FAILED : CLI_GOOD;
}

const struct command command_certs = {
    .name = "certs",
    .arguments = "DIR",
    .summary = "make a CA and certificates for server and clients",
    .help =
        "  --server-name NAME   a name or address of the server, repeatable; localhost,\n"
        "                       127.0.0.1 and ::1 are always in\n"
        "  --client NAME        a client, repeatable; default: one called client\n"
        "  --days N             how long they are good (825)\n"
        "  --force              overwrite certificates; never the CA\n\n"
        "Makes ca, server and one pair per client, each NAME.crt and NAME.key.  A CA that is\n"
        "there already is used, so that a later run with --client adds clients.  ca.key makes\n"
        "certificates, and nothing that runs needs it: keep it away from servers and clients.\n",
    .run = certs_run,
};

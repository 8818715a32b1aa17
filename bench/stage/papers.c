#include "bench/stage/stage.h"
#include "quic/quic.h"

static struct certs certs;
static struct stage_papers made;

static void papers_remove(void)
{
    tls_context_free(&made.server);
    tls_context_free(&made.client);
    certs_close(&certs);
    tls_global_release();
}

static bool papers_write(void)
{
    return certs_open(&certs) && certs_ca(&certs, "ca") &&
           certs_leaf(&certs, CERT_SERVER, "server", "ca", "stage.example", NULL) &&
           certs_leaf(&certs, CERT_CLIENT, "client", "ca", "client.example", NULL);
}

static bool papers_load(char *error, size_t error_size)
{
    struct tls_files server = {.cert = certs_path(&certs, "server", "crt"),
                               .key = certs_path(&certs, "server", "key"),
                               .ca = certs_path(&certs, "ca", "crt")};
    struct tls_files client = {.cert = certs_path(&certs, "client", "crt"),
                               .key = certs_path(&certs, "client", "key"),
                               .ca = certs_path(&certs, "ca", "crt")};

    made.server = tls_server_new(&server, TLS_CLIENT_REQUIRED, error, error_size);
    made.client = made.server ? tls_client_new(&client, error, error_size) : NULL;
    return made.client;
}

const struct stage_papers *stage_papers(const struct tls_hooks *hooks)
{
    const struct tls_hooks none = {0};
    char error[256] = "cannot make certificates";

    if (made.client)
        return &made;
    if (tls_global_init(hooks ? hooks : &none) == 0 &&
        quic_global_init(error, sizeof(error)) == 0) {
        atexit(papers_remove);
        if (papers_write() && papers_load(error, sizeof(error)))
            return &made;
    }
    fprintf(stderr, "bench-stage: %s\n", error);
    return NULL;
}

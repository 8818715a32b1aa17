/* What the workers of a tunnel's end share is read before they begin: no worker waits for a disk.
 */
#include "core/mem.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_server.h"
#include "tests/unit/certs.h"
#include "tests/unit/real_worker.h"
#include "tests/unit/test.h"

enum { WORKERS = 2 };

static struct scene {
    struct real_worker real[WORKERS];
    struct worker *workers[WORKERS];
    struct certs certs;
    struct tls_settings tls;
    char error[256];
} scene;

static void scene_open(void)
{
    memset(&scene, 0, sizeof(scene));
    must(tls_global_init(&(struct tls_hooks){0}) == 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        must(real_worker_open(&scene.real[i], NULL));
        scene.workers[i] = &scene.real[i].worker;
        scene.workers[i]->index = i;
    }
    must(certs_open(&scene.certs) && certs_ca(&scene.certs, "ca") &&
         certs_leaf(&scene.certs, CERT_SERVER, "server", "ca", "localhost", NULL));
    scene.tls = (struct tls_settings){.cert = (char *)certs_path(&scene.certs, "server", "crt"),
                                      .key = (char *)certs_path(&scene.certs, "server", "key"),
                                      .ca = (char *)certs_path(&scene.certs, "ca", "crt")};
}

static void scene_close(void)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        worker_release(scene.workers[i]);
    tls_global_release();
}

TEST(a_server_worker_reads_no_file)
{
    struct addr listen = loopback_addr();
    struct tunnel_settings settings = {
        .name = "pods", .listen = {&listen, 1},
             .tls = &scene.tls, .max_clients = 1
    };
    struct tunnel_server *servers[WORKERS];
    struct tunnel_share share;

    scene_open();
    check(tunnel_share_open(&share, &os_linux, &settings, scene.workers, WORKERS, scene.error,
                            sizeof(scene.error)) == 0);
    certs_close(&scene.certs);
    for (uint32_t i = 0; i < WORKERS; i++) {
        servers[i] = tunnel_server_new(scene.workers[i], &share, scene.error, sizeof(scene.error));
        check(servers[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        tunnel_server_free(&servers[i]);
    tunnel_share_close(&share);
    scene_close();
}

TEST(a_client_worker_reads_no_file)
{
    struct settings settings = {.client = {.tls = &scene.tls}};
    struct tunnel_client *clients[WORKERS];
    struct client_share share;

    scene_open();
    check(client_share_open(&share, &os_linux, &settings.client, WORKERS, scene.error,
                            sizeof(scene.error)) == 0);
    certs_close(&scene.certs);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct tunnel_client_options options = {
            .worker = scene.workers[i], .settings = &settings, .share = &share};

        clients[i] = tunnel_client_new(&options, scene.error, sizeof(scene.error));
        check(clients[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        tunnel_client_free(&clients[i]);
    client_share_close(&share);
    scene_close();
}

TEST(what_cannot_be_read_is_named_and_leaves_nothing_open)
{
    struct addr listen = loopback_addr();
    struct tunnel_settings tunnel = {
        .name = "pods", .listen = {&listen, 1},
             .tls = &scene.tls
    };
    struct client_settings client = {.tls = &scene.tls};
    struct client_share clients;
    struct tunnel_share share;

    scene_open();
    certs_close(&scene.certs);
    mem_count(true);
    check(tunnel_share_open(&share, &os_linux, &tunnel, scene.workers, WORKERS, scene.error,
                            sizeof(scene.error)) < 0 &&
          strstr(scene.error, "server.crt"));
    check(client_share_open(&clients, &os_linux, &client, WORKERS, scene.error,
                            sizeof(scene.error)) < 0 &&
          strstr(scene.error, "server.crt"));
    check(mem_live() == 0);
    mem_count(false);
    scene_close();
}

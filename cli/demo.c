#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/origin.h"
#include "cli/process.h"
#include "core/tls.h"

enum { SECONDS_MAX = 86400 };

struct demo {
    const struct invocation *invocation;
    uint32_t seconds;
    struct origin origin;
    uint16_t tunnel_port;
    char folder[32];
};

/* A UDP port that nobody has now: the client must know it before the server is bound. */
static int free_udp_port(uint16_t *port)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in4;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&in4, sizeof in4) ||
        getsockname(fd, (struct sockaddr *)&in4, &length))
        rc = -errno;
    *port = ntohs(in4.sin_port);
    close(fd);
    return rc;
}

static struct settings *demo_settings(const struct demo *demo)
{
    char name[64], text[1024];
    int length = snprintf(text, sizeof text,
                          "[server]\nworkers = 1\ndrain_timeout = 1s\n"
                          "[log]\nlevel = %s\n"
                          "[tls server]\ncert = server.crt\nkey = server.key\nca = ca.crt\n"
                          "[tls client]\ncert = client.crt\nkey = client.key\nca = ca.crt\n"
                          "[tunnel demo]\nlisten = 127.0.0.1:%u\ntls = server\nallow = client\n"
                          "[listener web]\nbind = 127.0.0.1:0\nbackend = demo\n"
                          "[client]\nserver = 127.0.0.1:%u name=localhost\ntls = client\n"
                          "local = 127.0.0.1:%u\n",
                          demo->invocation->verbose ? "debug" : "warn", demo->tunnel_port,
                          demo->tunnel_port, demo->origin.port);

    snprintf(name, sizeof name, "%s/demo.ini", demo->folder);
    return settings_parse(name, text, (size_t)length, stderr);
}

static void demo_ready(void *context, const struct addr *listener)
{
    const struct demo *demo = context;
    char text[ADDR_TEXT_SIZE];

    printf("http://%s/\n", addr_format(listener, text));
    if (!demo->invocation->quiet)
        printf("  user -> tunnel server -> QUIC (mutual TLS) -> tunnel client -> web server\n"
               "  Open it, or try: curl http://%s/\n  Ctrl-C ends it.\n",
               addr_format(listener, text));
    fflush(stdout);
}

/* The exit code. */
static int demo_run_settings(struct demo *demo)
{
    struct settings *settings = demo_settings(demo);
    struct process_options options = {
        .settings = settings,
        .quiet = demo->invocation->quiet,
        .verbose = demo->invocation->verbose,
        .seconds = demo->seconds,
        .ready = demo_ready,
        .context = demo,
    };
    int code = CLI_FAILED;

    if (settings && settings_check_files(settings, stderr) == 0)
        code = process_run(&options);
    settings_free(&settings);
    return code;
}

static int demo_run_origin(struct demo *demo)
{
    const struct certs_request certs = {.folder = demo->folder, .days = 1, .quiet = true};
    int code, rc;

    if (certs_make(&certs))
        return CLI_FAILED;
    rc = free_udp_port(&demo->tunnel_port);
    if (!rc)
        rc = origin_start(&demo->origin);
    if (rc) {
        fprintf(stderr, "qmux-uring: cannot open a port on 127.0.0.1: %s\n", strerror(-rc));
        return CLI_FAILED;
    }
    code = demo_run_settings(demo);
    origin_stop(&demo->origin);
    return code;
}

static void folder_remove(const char *folder)
{
    static const char *const names[] = {"ca.crt",     "ca.key",     "server.crt",
                                        "server.key", "client.crt", "client.key"};
    char path[64];

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* Until the process takes signals itself, they wait: none may leave the folder behind. */
static void hold_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int demo_run(struct invocation *invocation)
{
    struct flag flags[] = {
        {.name = "--seconds", .takes_value = true}
    };
    struct demo demo = {.invocation = invocation, .folder = "/tmp/qmux-demo-XXXXXX"};
    int code = CLI_FAILED;

    if (!flags_take(invocation, flags, ARRAY_COUNT(flags)) || !words_are(invocation, 0) ||
        (flags[0].count &&
         !number_read("--seconds", flags[0].values[0], 1, SECONDS_MAX, &demo.seconds)))
        return CLI_WRONG;
    hold_signals();
    if (!mkdtemp(demo.folder)) {
        fprintf(stderr, "qmux-uring: cannot make a folder in /tmp: %s\n", strerror(errno));
        return CLI_FAILED;
    }
    if (cli_open_tls() == 0) {
        code = demo_run_origin(&demo);
        tls_global_release();
    }
    folder_remove(demo.folder);
    return code;
}

const struct command command_demo = {
    .name = "demo",
    .arguments = "[--seconds N]",
    .summary = "show a tunnel at work, all in one process",
    .help = "Runs a tunnel server, a tunnel client and a small web server with throw-away\n"
            "certificates, and prints a URL that leads through all of them.  Ends on Ctrl-C, or\n"
            "after N seconds.\n",
    .run = demo_run,
};

#include <string.h>

#include "cli/cli.h"
#include "relay/settings.h"

static const char server_file[] =
    "; qmux-uring, the server: users connect here, tunnel clients dial in.\n"
    "; Run `qmux-uring certs .` beside this file, then `qmux-uring server.ini`.\n"
    "; All options: `qmux-uring config --reference`.\n"
    "\n"
    "[server]\n"
    "; drain_timeout = 30s          ; how long open connections have when it ends\n"
    "; include = conf.d/*.ini       ; more files\n"
    "\n"
    "[log]\n"
    "level = info                   ; debug info warn error\n"
    "; format = json\n"
    "; file = qmux-uring.log        ; default: stderr\n"
    "\n"
    "; [admin]                      ; for `qmux-uring status`, `top`, `reload`, `stop`\n"
    "; socket = /run/qmux-uring.sock\n"
    "\n"
    "[tls edge]\n"
    "cert = server.crt\n"
    "key = server.key               ; nobody else may read it\n"
    "ca = ca.crt                    ; clients' certificates must be signed by it\n"
    "\n"
    "[tunnel pods]                  ; where tunnel clients dial in: open this UDP port\n"
    "listen = 0.0.0.0:8443\n"
    "tls = edge\n"
    "allow = client                 ; names in certificates that may serve, such as pod-*.example\n"
    "; balance = least_conn         ; with several clients: least_conn round_robin\n"
    "\n"
    "[listener web]                 ; where users arrive\n"
    "bind = 0.0.0.0:8080\n"
    "protocol = tcp                 ; tcp udp both\n"
    "backend = pods                 ; a [tunnel] or a [backend]\n"
    "; service = default            ; which of the client's services\n";

static const char client_file[] =
    "; qmux-uring, the client: stands beside a service and dials out to the server.\n"
    "; It needs ca.crt, client.crt and client.key from where `qmux-uring certs .` was run.\n"
    "; All options: `qmux-uring config --reference`.\n"
    "\n"
    "[client]\n"
    "; HOST:PORT of the server; name= is what its certificate must say (default: HOST).\n"
    "; Repeat the line to keep a tunnel to several servers.\n"
    "server = 127.0.0.1:8443 name=localhost\n"
    "tls = edge\n"
    "; id = pod-7                   ; a label for people\n"
    "\n"
    "[log]\n"
    "level = info                   ; debug info warn error\n"
    "\n"
    "; [admin]                      ; for `qmux-uring status`, `top`, `reload`, `stop`\n"
    "; socket = /run/qmux-uring.sock\n"
    "\n"
    "[tls edge]\n"
    "cert = client.crt\n"
    "key = client.key               ; nobody else may read it\n"
    "ca = ca.crt                    ; the server's certificate must be signed by it\n"
    "\n"
    "[service default]              ; what it offers; servers know it by this name\n"
    "target = 127.0.0.1:3000        ; HOST:PORT or unix:PATH\n"
    "; protocol = both              ; tcp udp both\n"
    "; send_proxy = v2              ; the service learns the user's address: no v1 v2\n";

static const char balancer_file[] =
    "; qmux-uring, the balancer: TCP and UDP ports to pools of servers, without a tunnel.\n"
    "; All options: `qmux-uring config --reference`.\n"
    "\n"
    "[server]\n"
    "; drain_timeout = 30s          ; how long open connections have when it ends\n"
    "\n"
    "[log]\n"
    "level = info                   ; debug info warn error\n"
    "\n"
    "; [admin]                      ; for `qmux-uring status`, `top`, `reload`, `stop`\n"
    "; socket = /run/qmux-uring.sock\n"
    "\n"
    "[listener web]                 ; where users arrive\n"
    "bind = 0.0.0.0:8080\n"
    "; bind = [::]:8080\n"
    "protocol = tcp                 ; tcp udp both\n"
    "backend = web\n"
    "; idle_timeout = 5m\n"
    "; max_connections = 10000      ; more are closed at once\n"
    "\n"
    "[backend web]\n"
    "balance = round_robin          ; round_robin least_conn\n"
    "server = 127.0.0.1:3001 name=a\n"
    "server = 127.0.0.1:3002 name=b\n"
    "; connect_timeout = 5s\n"
    "; retries = 2                  ; further servers tried before the user is told\n";

static const struct {
    const char *name, *text; /* text NULL: not in this version */
} files[] = {
    {"server",   server_file  },
    {"client",   client_file  },
    {"balancer", balancer_file},
    {"http3",    NULL         },
};

static int print_file(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        if (strcmp(files[i].name, name) != 0)
            continue;
        if (files[i].text)
            return fputs(files[i].text, stdout) < 0 ? CLI_FAILED : CLI_GOOD;
        fprintf(stderr, "qmux-uring: not in this version: config %s\n", name);
        return CLI_WRONG;
    }
    fprintf(stderr, "qmux-uring: config knows server, client and balancer, not %s\n", name);
    return CLI_WRONG;
}

static int config_run(struct invocation *invocation)
{
    struct flag flags[] = {{.name = "--reference"}};

    if (!flags_take(invocation, flags, ARRAY_COUNT(flags)) ||
        !words_are(invocation, flags[0].count ? 0 : 1))
        return CLI_WRONG;
    if (!flags[0].count)
        return print_file(invocation->words[0]);
    settings_reference(stdout);
    return CLI_GOOD;
}

const struct command command_config = {
    .name = "config",
    .arguments = "server|client|balancer|--reference",
    .summary = "print a working file to start from, or all options",
    .help = "The files of server and client fit together, with the certificates that\n"
            "`qmux-uring certs .` makes beside them.\n\n"
            "  --reference   every option, with its default and bounds, in Markdown\n",
    .run = config_run,
};

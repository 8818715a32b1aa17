/* As much as goes out, to a sink: a TCP stream, or datagrams. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/load.h"

enum { TCP_WRITE = 128 << 10, CHECK_EVERY = 16 };

static int flood_socket(const struct load_options *options)
{
    int type = options->udp ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(addr_family(&options->addr), type | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, &options->addr.sa, options->addr.length) == 0)
        return fd;
    perror("bench-load");
    if (fd >= 0)
        close(fd);
    return -1;
}

int load_flood(const struct load_options *options)
{
    static uint8_t data[TCP_WRITE];
    size_t size = options->udp ? options->bytes : TCP_WRITE;
    uint64_t until, sent = 0, refused = 0;
    int fd = flood_socket(options);

    if (fd < 0)
        return 1;
    until = os_linux.clock_ns(&os_linux) + (uint64_t)(options->seconds * 1e9);
    while (os_linux.clock_ns(&os_linux) < until) {
        for (int i = 0; i < CHECK_EVERY; i++) {
            ssize_t done = send(fd, data, size, MSG_NOSIGNAL);

            if (done > 0)
                sent += (uint64_t)done;
            else if (options->udp)
                refused++;
            else
                return perror("bench-load"), 1;
        }
    }
    close(fd);
    printf("{\"sent\": %llu, \"refused\": %llu}\n", (unsigned long long)sent,
           (unsigned long long)refused);
    return 0;
}

#include "cli/origin.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char page[] = "<!doctype html><title>qmux-uring</title>\n"
                           "<h1>It works.</h1>\n"
                           "<p>This page came through a QUIC tunnel: from a web server, through a "
                           "tunnel client and a tunnel server, to you.</p>\n";

/* Until the empty line that ends a request; false: it did not come. */
static bool request_read(int fd)
{
    char request[8192];
    size_t length = 0;

    while (length < sizeof request - 1) {
        ssize_t got = recv(fd, request + length, sizeof request - 1 - length, 0);

        if (got <= 0)
            return false;
        length += (size_t)got;
        request[length] = 0;
        if (strstr(request, "\r\n\r\n"))
            return true;
    }
    return false;
}

static void request_answer(int fd)
{
    char answer[1024];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                          sizeof page - 1, page);

    if (send(fd, answer, (size_t)length, MSG_NOSIGNAL) < 0)
        return; /* the visitor has gone */
    shutdown(fd, SHUT_WR);
    while (recv(fd, answer, sizeof answer, 0) > 0)
        ; /* closing over unread bytes would reset the answer away */
}

/* One visitor after the other, each for a second at most. */
static void *origin_main(void *context)
{
    struct origin *origin = context;
    const struct timeval patience = {.tv_sec = 1};
    int fd;

    while ((fd = accept4(origin->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED) {
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (request_read(fd))
            request_answer(fd);
        close(fd);
    }
    return NULL; /* origin_stop shut the socket */
}

int origin_start(struct origin *origin)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in4;
    int rc;

    origin->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (origin->fd < 0)
        return -errno;
    if (bind(origin->fd, (struct sockaddr *)&in4, sizeof in4) || listen(origin->fd, 64) ||
        getsockname(origin->fd, (struct sockaddr *)&in4, &length)) {
        rc = -errno;
        close(origin->fd);
        return rc;
    }
    origin->port = ntohs(in4.sin_port);
    rc = pthread_create(&origin->thread, NULL, origin_main, origin);
    if (rc)
        close(origin->fd);
    return -rc;
}

void origin_stop(struct origin *origin)
{
    shutdown(origin->fd, SHUT_RDWR);
    pthread_join(origin->thread, NULL);
    close(origin->fd);
}

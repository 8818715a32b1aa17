/* cli/http_request.h - reads the head of one HTTP/1.1 request, strictly, and no more of HTTP than
 * scrapers and probes need: GET and HEAD, no body.  Thread: any. */
#ifndef CLI_HTTP_REQUEST_H
#define CLI_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/must.h"

enum { HTTP_REQUEST_MAX = 8192, HTTP_TARGET_SIZE = 256 };

struct http_request {
    char path[HTTP_TARGET_SIZE]; /* without a query */
    bool head;                   /* HEAD */
    bool close;                  /* the connection ends with the answer */
};

/* How many bytes the head takes; 0: more are to come; else the negative of a status: -400, -405 (a
 * method we do not know), -413 (a body), -414, -431 (HTTP_REQUEST_MAX without an end), -505. */
int http_request_read(const char *data, size_t length, struct http_request *request) MUST_CHECK;
const char *http_status_text(int status); /* "Not Found" */

#endif

/* relay/health_words.h - what a health check says to a server, and what it makes of the answer.
 * Thread: any; pure. */
#ifndef RELAY_HEALTH_WORDS_H
#define RELAY_HEALTH_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum { HEALTH_WORDS_MAX = 1024, HEALTH_RANDOM = 32 };

enum health_verdict { HEALTH_UNDECIDED, HEALTH_GOOD, HEALTH_BAD };

/* GET path, of that host.  The length; 0: it does not fit. */
size_t health_get(const char *host, const char *path, char to[HEALTH_WORDS_MAX]) MUST_CHECK;
/* A status of 200 to 399, of HTTP/1. */
enum health_verdict health_judge_http(const uint8_t *answer, size_t length) MUST_CHECK;

/* The first message of TLS 1.2 and 1.3, as much as it takes for a server to answer: no keys are
 * shared, so nothing is ever agreed on.  host: its name, or empty. */
size_t health_hello(const char *host, const uint8_t random[HEALTH_RANDOM],
                    uint8_t to[HEALTH_WORDS_MAX]) MUST_CHECK;
/* A handshake's message, where an alert would be a refusal. */
enum health_verdict health_judge_tls(const uint8_t *answer, size_t length) MUST_CHECK;

#endif

/* cli/json.h - reads one JSON text into a tree, strictly; the answers of a running process.
 * Owner: whoever read it, until json_free.  Thread: one at a time. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_TEXT,
    JSON_ARRAY,
    JSON_OBJECT
};
enum { JSON_DEPTH_MAX = 16 };

struct json {
    enum json_type type;
    const char *name;          /* in an object, else NULL */
    const char *text;          /* texts, and numbers as they were written; else "" */
    struct json *next, *first; /* sibling; first member */
};

struct json_document {
    struct json *nodes; /* the first is the root */
    uint32_t count, max;
};

/* text: changed, and referred to until json_free.  0, -EINVAL or -ENOMEM. */
int json_read(struct json_document *document, char *text) MUST_CHECK;
void json_free(struct json_document *document);

/* All of these take NULL, and what is missing is a JSON_NULL without members. */
const struct json *json_get(const struct json *object, const char *name);
const char *json_text(const struct json *object, const char *name); /* "" when it is none */
uint64_t json_number(const struct json *object, const char *name);

#endif

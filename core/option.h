/* core/option.h - what a configuration may say: one row per option, with its type, target, default,
 * bounds, reload rule and help; and the types of values.
 *
 *     static const struct option backend_options[] = {
 *         OPTION(duration, backend_settings, connect_timeout_ns, "connect_timeout", "5s",
 *                10 * OPTION_MS, 5 * OPTION_MINUTE, RELOAD_NEW, "How long a connect may take."),
 *     };
 *
 * Owner: rows are constant.  What a field holds is the struct's that it stands in, until
 * option_release.  Thread: any. */
#ifndef CORE_OPTION_H
#define CORE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/cidr.h"
#include "core/must.h"

struct text_list {
    char **items;
    uint32_t count;
};
struct addr_list {
    struct addr *items;
    uint32_t count;
};
/* Where to listen: an address, a run of ports, or the path of a socket. */
struct bind {
    struct addr addr;
    uint16_t last_port; /* of a run; else that of addr */
    uint16_t mode;      /* of a socket's file; 0: as the umask has it */
};
struct bind_list {
    struct bind *items;
    uint32_t count;
};
struct rate {
    uint64_t interval_ns; /* between two; 0: no limit */
    uint32_t burst;       /* at once */
};

#define OPTION_US     UINT64_C(1000) /* durations are kept in ns */
#define OPTION_MS     (1000 * OPTION_US)
#define OPTION_SECOND (1000 * OPTION_MS)
#define OPTION_MINUTE (60 * OPTION_SECOND)
#define OPTION_HOUR   (60 * OPTION_MINUTE)
#define OPTION_KIB    UINT64_C(1024) /* sizes in bytes */
#define OPTION_MIB    (1024 * OPTION_KIB)
#define OPTION_GIB    (1024 * OPTION_MIB)

enum { OPTION_ERROR_SIZE = 320, OPTION_NUMBER_SIZE = 32 };

/* When a changed value takes effect: now, for new connections, or only after a restart. */
enum option_reload { RELOAD_LIVE, RELOAD_NEW, RELOAD_RESTART };

/* A word that stands for a number: the values of an enum, or `auto` where a number may stand. */
struct option_choice {
    const char *name; /* NULL ends the table */
    uint64_t value;
    bool later; /* known, but not in this version */
};

struct option_type;
struct option {
    const char *name;
    const struct option_type *type;
    size_t offset, size;  /* of the field */
    const char *standard; /* the default, as it would be written; NULL: none */
    uint64_t min, max;    /* numbers: the value; texts: the length; lists: max is how many */
    enum option_reload reload;
    const char *help;
    const struct option_choice *choices;
    bool repeatable, required;
    bool later_above; /* more than max will be possible one day */
};

/* clang-format off */
#define OPTION(type_name, owner, field, option_name, text, least, most, rule, words, ...)          \
    {.name = (option_name), .type = &option_##type_name, .offset = offsetof(struct owner, field),  \
     .size = sizeof(((struct owner *)0)->field), .standard = (text), .min = (least),               \
     .max = (most), .reload = (rule), .help = (words), ##__VA_ARGS__}
/* clang-format on */

/* One value on its way into a field. */
struct option_input {
    const char *value; /* never empty */
    const char *file;  /* that says it: paths are relative to it */
    char error[OPTION_ERROR_SIZE];
};
/* 0, -EINVAL (input->error says why) or -ENOMEM.  A field that held something releases it; a list
 * takes one more. */
typedef int option_parse_fn(const struct option *option, struct option_input *input, void *field);

struct option_type {
    const char *name; /* "duration" */
    const char *form; /* how its values are written, for the reference */
    option_parse_fn *parse;
    void (*release)(void *field);                                  /* NULL: nothing to release */
    void (*format)(uint64_t value, char text[OPTION_NUMBER_SIZE]); /* NULL: not a number */
    size_t size;                                                   /* of the field, 0: any */
};

/*                                         the field */
extern const struct option_type option_duration; /* uint64_t, ns */
extern const struct option_type option_size;     /* uint64_t, bytes */
extern const struct option_type option_count;    /* uint32_t */
extern const struct option_type option_boolean;  /* bool */
extern const struct option_type option_choice;   /* an enum or bool, by the row's choices */
extern const struct option_type option_text;     /* char * */
extern const struct option_type option_path;     /* char *; relative to the file that names it */
extern const struct option_type option_name;     /* char[N]: [A-Za-z0-9_.-] */
extern const struct option_type option_list;     /* struct text_list; commas or repeated */
extern const struct option_type option_addrs;    /* struct addr_list, repeated */
extern const struct option_type option_binds;    /* struct bind_list, repeated */
extern const struct option_type option_cidrs;    /* struct cidr_list; commas or repeated */
extern const struct option_type option_rate;     /* struct rate */

enum { OPTION_NAME_MAX = 64 };
bool option_name_valid(const char *name); /* [A-Za-z0-9_.-], 1 to 64 bytes */

/* Of `count` rows, the one of that name, or NULL. */
const struct option *option_find(const struct option *options, uint32_t count, const char *name);
/* Into the struct that starts at `base`. */
int option_set(const struct option *option, struct option_input *input, void *base) MUST_CHECK;
/* Every default.  0 or -ENOMEM. */
int option_set_standards(const struct option *options, uint32_t count, void *base) MUST_CHECK;
void option_release(const struct option *options, uint32_t count, void *base);

/* For types made elsewhere: -EINVAL with words in input->error. */
int option_refuse(struct option_input *input, const char *format, ...)
    __attribute__((format(printf, 2, 3))) MUST_CHECK;
/* Appends to an array that is freed with mem_free: room for one more of `size` bytes, zeroed, which
 * *count then counts.  NULL: no memory. */
void *option_grow(void **items, uint32_t *count, size_t size) MUST_CHECK;
/* The same for a type that is a list: `item` is copied in.  -ENOMEM; -EINVAL above the row's max.
 */
int option_add(const struct option *option, struct option_input *input, void **items,
               uint32_t *count, const void *item, size_t size) MUST_CHECK;

#endif

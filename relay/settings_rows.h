/* relay/settings_rows.h - the rows of every section, and how a section stands in struct settings.
 * Private to relay/settings*.c and their tests.  Owner: constant.  Thread: any. */
#ifndef RELAY_SETTINGS_ROWS_H
#define RELAY_SETTINGS_ROWS_H

#include <stddef.h>

#include "core/config.h"
#include "core/option.h"
#include "relay/settings.h"

/* Cross-checks of one kind of section, after all were read: `section->target` is its struct. */
typedef void settings_check_fn(struct config *config, struct settings *settings,
                               const struct config_section *section);

struct settings_section {
    const char *kind;
    const char *help;
    const struct option *options;
    uint32_t option_count;
    const char *const *later; /* options that are known but not in this version; NULL ends them */
    size_t offset;       /* in struct settings: of the struct, or of the pointer to the array */
    size_t count_offset; /* named sections: of the array's count */
    size_t size;         /* of one struct */
    settings_check_fn *check;
    bool named;
};

extern const struct settings_section settings_sections[];
extern const uint32_t settings_section_count;
/* Sections that are known but not in this version; NULL ends them. */
extern const char *const settings_later_sections[];

const struct settings_section *settings_section_find(const char *kind);

/* settings_check.c */
settings_check_fn settings_check_admin, settings_check_tls, settings_check_tunnel,
    settings_check_listener, settings_check_backend, settings_check_client, settings_check_service;
/* What no single section can know: names shared, addresses bound twice, nothing to do. */
void settings_check_all(struct config *config, struct settings *settings);

/* settings_binds.c: the same address bound twice, a listener that leads to itself.  Only for
 * settings without other errors. */
void settings_check_binds(struct config *config, const struct settings *settings);

/* settings_cpus.c */
extern const struct option_type option_cpus; /* struct cpu_list; commas or repeated */

/* settings_types.c: values only a relay has */
enum { SETTINGS_SERVERS_MAX = 64 };
extern const struct option_type option_host;     /* struct host */
extern const struct option_type option_web_path; /* char[N]: /… without blanks */
extern const struct option_type
    option_backend_servers; /* the servers of a backend, at server_count */
extern const struct option_type
    option_client_servers; /* the servers of the client, at server_count */

/* settings_process.c: values of the process alone */
extern const struct option_type option_user, option_group; /* struct account */
extern const struct option_type option_addr;               /* struct addr; not unix */

#endif

/* Values and checks of the process itself: who it runs as, and where it is asked about its state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "relay/settings_rows.h"

static int account_parse(const struct option *option, struct option_input *input, void *field)
{
    bool user = option->type == &option_user;
    const char *file = user ? "/etc/passwd" : "/etc/group";
    int rc = account_find(user ? ACCOUNT_USER : ACCOUNT_GROUP, file, input->value, field);

    if (rc == -ENOENT)
        return option_refuse(input, "%s: %s does not know %s", option->name, file, input->value);
    return rc ? option_refuse(input, "%s: cannot read %s: %s", option->name, file, strerror(-rc))
              : 0;
}

static int addr_parse_one(const struct option *option, struct option_input *input, void *field)
{
    struct addr *addr = field;

    if (addr_parse(addr, input->value) || addr_family(addr) == AF_UNIX) {
        addr->length = 0;
        return option_refuse(input, "%s: %s is not an address (%s)", option->name, input->value,
                             option->type->form);
    }
    return 0;
}

static bool is_loopback(const struct addr *addr)
{
    if (addr_family(addr) == AF_INET)
        return ntohl(addr->in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

void settings_check_admin(struct config *config, struct settings *settings,
                          const struct config_section *section)
{
    struct admin_settings *admin = section->target;
    const struct config_entry *http = config_find(section, "http");
    const struct config_entry *path = config_find(section, "socket");
    struct addr addr;

    admin->present = true;
    if (admin->http.length && !is_loopback(&admin->http) && !admin->http_public)
        config_error(config, http->place,
                     "http: %s can be reached by others: http_public = yes allows it", http->value);
    if (admin->socket && addr_from_path(&addr, admin->socket))
        config_error(config, path ? path->place : section->place,
                     "socket: a socket's path is 1 to 107 bytes");
}

/* clang-format off */
const struct option_type option_user = {
    .name = "user", .form = "a name, or a number", .parse = account_parse,
    .size = sizeof(struct account)};
const struct option_type option_group = {
    .name = "group", .form = "a name, or a number", .parse = account_parse,
    .size = sizeof(struct account)};
const struct option_type option_addr = {
    .name = "address", .form = "192.0.2.1:80 or [2001:db8::1]:80", .parse = addr_parse_one,
    .size = sizeof(struct addr)};
/* clang-format on */

/* Another `mode=` of a path that users come by already: its file is changed before any worker hears
 * of the new settings, and changed back where these are not taken. */
#include <stdio.h>
#include <string.h>

#include "relay/crew.h"

static const struct bind *path_bind(const struct edition *edition, const struct addr *path)
{
    for (uint32_t i = 0; i < edition->settings->listener_count; i++) {
        const struct bind_list *binds = &edition->settings->listeners[i].bind;

        for (uint32_t k = 0; k < binds->count; k++)
            if (addr_equal(&binds->items[k].addr, path))
                return &binds->items[k];
    }
    return NULL;
}

/* What it was before, where that is another; NULL: nothing is to be done. */
static const struct bind *bind_with_other_mode(const struct edition *old, const struct bind *bind)
{
    const struct bind *had =
        addr_family(&bind->addr) == AF_UNIX ? path_bind(old, &bind->addr) : NULL;

    return had && had->mode != bind->mode ? had : NULL;
}

static int mode_set(struct edition *edition, const struct listener_settings *listener,
                    const struct bind *bind, struct os *os, char *error, size_t error_size)
{
    int rc = os->set_mode(os, bind->addr.local.sun_path, bind->mode);

    if (rc)
        snprintf(error, error_size, "listener %s: cannot change the mode of %s: %s", listener->name,
                 bind->addr.local.sun_path, strerror(-rc));
    else
        edition->modes_set++;
    return rc;
}

int edition_set_modes(struct edition *edition, const struct edition *old, struct os *os,
                      char *error, size_t error_size)
{
    int rc = 0;

    for (uint32_t i = 0; i < edition->settings->listener_count; i++) {
        const struct listener_settings *listener = &edition->settings->listeners[i];

        for (uint32_t k = 0; !rc && k < listener->bind.count; k++)
            if (bind_with_other_mode(old, &listener->bind.items[k]))
                rc = mode_set(edition, listener, &listener->bind.items[k], os, error, error_size);
    }
    return rc;
}

void edition_put_modes_back(struct edition *edition, const struct edition *old, struct os *os)
{
    for (uint32_t i = 0; edition->modes_set && i < edition->settings->listener_count; i++) {
        const struct bind_list *binds = &edition->settings->listeners[i].bind;

        for (uint32_t k = 0; edition->modes_set && k < binds->count; k++) {
            const struct bind *had = bind_with_other_mode(old, &binds->items[k]);
            int rc = had ? os->set_mode(os, had->addr.local.sun_path, had->mode) : 0;

            (void)rc; /* it was ours to change a moment ago */
            edition->modes_set -= had != NULL;
        }
    }
}

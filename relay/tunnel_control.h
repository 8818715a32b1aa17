/* relay/tunnel_control.h - the control stream of a tunnel: messages over a struct stream, both
 * ways.
 *
 * Owner: who embeds it.  Thread: the worker's.
 * Life: init -> start (takes the stream) -> failed, perhaps -> closed, once the stream is gone
 * -> release.  The events come from the worker's loop only, never from inside a call of ours. */
#ifndef RELAY_TUNNEL_CONTROL_H
#define RELAY_TUNNEL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/stream.h"
#include "core/worker.h"
#include "relay/tunnel_wire.h"

struct tunnel_control;
struct tunnel_control_events {
    /* Known kinds only; borrowed until return. */
    void (*message)(struct tunnel_control *control, const struct wire_message *message);
    /* The peer broke the protocol or ended the stream: nothing more is read.  Close the tunnel. */
    void (*failed)(struct tunnel_control *control, enum reason reason, const char *words);
};

struct tunnel_control {
    /* Set by start. */
    struct worker *worker;
    struct stream *stream; /* NULL before start and once it is gone */
    const struct tunnel_control_events *events;
    /* Changes while running. */
    uint64_t heard_ns; /* when a message last came */
    uint8_t *partial;  /* the begin of a message whose end is not here yet; else NULL */
    uint32_t partial_length;
    uint32_t unread; /* bytes written that the peer has not acknowledged */
    bool failing;
};

static inline void tunnel_control_init(struct tunnel_control *control)
{
    *control = (struct tunnel_control){0};
}
void tunnel_control_start(struct tunnel_control *control, struct worker *worker,
                          struct stream *stream, const struct tunnel_control_events *events);
static inline bool tunnel_control_open(const struct tunnel_control *control)
{
    return control->stream && !control->failing;
}
/* No-op where the stream is gone.  0, -ENOMEM, or -ENOBUFS where the peer does not read; after an
 * error the tunnel is of no use any more. */
int tunnel_control_send(struct tunnel_control *control,
                        const struct wire_message *message) MUST_CHECK;
void tunnel_control_release(struct tunnel_control *control); /* the stream is gone */

#endif

/* bench/stage/bulk.h - one stream that is written as fast as it drains, one that is read as fast as
 * it fills.  Owner: the end whose `own` it is.  Thread: that end's. */
#ifndef BENCH_STAGE_BULK_H
#define BENCH_STAGE_BULK_H

#include "bench/stage/stage.h"
#include "core/stream.h"

struct bulk {
    struct end *end;
    struct stream *stream;
    struct chunk *chunk; /* what is written, again and again */
    uint64_t written, drained;
    bool closed;
};

/* stream is taken; freed when it closes. */
void bulk_write(struct bulk *bulk, struct end *end, struct stream *stream);
void bulk_read(struct bulk *bulk, struct end *end, struct stream *stream);
/* Aborts and turns until it is closed. */
void bulk_stop(struct bulk *bulk);

#endif

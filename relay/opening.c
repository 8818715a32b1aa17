#include "relay/opening.h"

#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/choice.h"

enum { OPENING_KEEP_MAX = 64 * 1024 };

enum opening_state {
    OPENING_PICKING,   /* no member: the next turn picks one */
    OPENING_ASKED,     /* the member was asked; no stream yet */
    OPENING_TALKING,   /* there is a stream; user bytes go out ahead of the answer */
    OPENING_CANCELLED, /* the member was told to give up; failed() follows */
    OPENING_OVER,
    OPENING_STATE_COUNT
};
static const char *const opening_state_names[] = {"picking", "asked", "talking", "cancelled",
                                                  "over"};
static const uint32_t opening_state_next[] = {
    [OPENING_PICKING] = STATE_BIT(OPENING_ASKED) | STATE_BIT(OPENING_OVER),
    [OPENING_ASKED] = STATE_BIT(OPENING_TALKING) | STATE_BIT(OPENING_CANCELLED) |
                      STATE_BIT(OPENING_PICKING) | STATE_BIT(OPENING_OVER),
    [OPENING_TALKING] =
        STATE_BIT(OPENING_CANCELLED) | STATE_BIT(OPENING_PICKING) | STATE_BIT(OPENING_OVER),
    [OPENING_CANCELLED] = STATE_BIT(OPENING_OVER),
    [OPENING_OVER] = 0,
};
static const struct state_table opening_states = {"opening", opening_state_names,
                                                  opening_state_next, OPENING_STATE_COUNT};

struct opening {
    struct opening_options options;
    struct open_request request;
    struct pick pick;
    struct member *member;
    struct stream *user;    /* NULL once closed */
    struct stream *backend; /* borrowed from the member until confirmed */
    struct queue kept;      /* what the user said so far */
    uint64_t drained;       /* of it, what the present backend has let go of */
    uint64_t user_limit;    /* the user's receive_limit, once the member has answered */
    enum reason reason;     /* why it ended, or the last member's refusal */
    struct task task;
    uint8_t state;
    bool user_ended;
    bool moves; /* to where the member is */
};

static void opening_move(struct opening *opening, enum opening_state state)
{
    state_move(&opening_states, &opening->state, state);
}

/* Every way out: tells the owner and frees. */
static void opening_finish(struct opening *opening)
{
    struct opened opened = {.user = opening->user,
                            .backend = opening->backend,
                            .member = opening->backend ? opening->member : NULL,
                            .user_ended = opening->user_ended,
                            .user_bytes = opening->kept.length,
                            .reason = opening->reason,
                            .elsewhere = opening->moves ? opening->member : NULL,
                            .pick = opening->pick};
    struct opening_options options = opening->options;

    if (opening->moves)
        queue_take_all(options.received, &opening->kept);
    else if (opening->member && !opening->backend)
        member_drop(opening->member, opening->options.worker);
    if (opening->user) {
        opening->user->receive_limit = opening->user_limit;
        if (opening->backend && opening->drained)
            stream_consumed(opening->user, opening->drained);
    }
    task_cancel(&opening->task);
    queue_clear(&opening->kept);
    mem_free(opening);
    options.done(options.context, &opened);
}

static void opening_fail(struct opening *opening, enum reason reason)
{
    opening->reason = reason;
    opening->backend = NULL;
    opening_move(opening, OPENING_OVER);
    counter_add(opening->options.worker->counters, COUNTER_OPENS_FAILED, 1);
    opening_finish(opening);
}

/* Gives the member up; its failed() finishes.  Without a member the next turn does. */
static void opening_give_up(struct opening *opening, enum reason reason)
{
    opening->reason = reason;
    switch (opening->state) {
    case OPENING_PICKING:
        opening_move(opening, OPENING_OVER);
        worker_defer(opening->options.worker, &opening->task);
        break;
    case OPENING_ASKED:
    case OPENING_TALKING:
        opening_move(opening, OPENING_CANCELLED);
        opening->backend = NULL;
        opening->member->ops->cancel(opening->member, &opening->request);
        break;
    default:
        break; /* on its way already */
    }
}

/* ---- what the user does meanwhile ---- */

static void opening_user_received(struct stream *stream, struct piece *piece)
{
    struct opening *opening = stream->owner;

    if (opening->state == OPENING_TALKING) {
        struct piece *copy = piece_share(piece);

        if (copy)
            stream_write(opening->backend, copy);
        else
            opening_give_up(opening, REASON_NO_MEMORY);
    }
    queue_pack(&opening->kept, piece);
}

static void opening_user_ended(struct stream *stream)
{
    struct opening *opening = stream->owner;

    opening->user_ended = true;
    if (opening->state == OPENING_TALKING)
        stream_finish(opening->backend);
}

static void opening_user_drained(struct stream *stream, uint64_t length)
{
}

static void opening_user_closed(struct stream *stream, enum reason reason)
{
    struct opening *opening = stream->owner;

    opening->user = NULL;
    stream_free(stream);
    opening_give_up(opening, reason);
}

static const struct stream_events opening_user_events = {
    .received = opening_user_received,
    .ended = opening_user_ended,
    .drained = opening_user_drained,
    .closed = opening_user_closed,
};

/* ---- what the member answers ---- */

static struct opening *opening_of(struct open_request *request)
{
    return container_of(request, struct opening, request);
}

static void opening_opened(struct open_request *request, struct stream *backend)
{
    struct opening *opening = opening_of(request);

    must(opening->state == OPENING_ASKED);
    opening_move(opening, OPENING_TALKING);
    opening->backend = backend;
    opening->drained = 0;
    for (const struct piece *piece = opening->kept.first; piece; piece = piece->next) {
        struct piece *copy = piece_share(piece);

        if (!copy) {
            opening_give_up(opening, REASON_NO_MEMORY);
            return;
        }
        stream_write(backend, copy);
    }
    if (opening->user_ended)
        stream_finish(backend);
}

static void opening_drained(struct open_request *request, uint64_t length)
{
    opening_of(request)->drained += length;
}

static void opening_confirmed(struct open_request *request)
{
    struct opening *opening = opening_of(request);

    must(opening->state == OPENING_TALKING);
    opening_move(opening, OPENING_OVER);
    choice_succeeded(opening->options.pool, opening->member, opening->options.worker);
    opening->reason = REASON_DONE;
    opening_finish(opening);
}

static void opening_failed(struct open_request *request, enum reason reason, bool may_replay)
{
    struct opening *opening = opening_of(request);

    if (opening->state == OPENING_CANCELLED) {
        opening_fail(opening, opening->reason);
        return;
    }
    opening->reason = reason;
    choice_failed(opening->options.pool, opening->member, opening->options.worker, reason);
    opening->backend = NULL;
    if (!may_replay || opening->pick.tried_count > opening->options.retries) {
        opening_fail(opening, reason);
        return;
    }
    member_drop(opening->member, opening->options.worker);
    opening->member = NULL;
    opening_move(opening, OPENING_PICKING);
    counter_add(opening->options.worker->counters, COUNTER_OPENS_RETRIED, 1);
    worker_defer(opening->options.worker, &opening->task);
}

static const struct open_events opening_events = {
    .opened = opening_opened,
    .drained = opening_drained,
    .confirmed = opening_confirmed,
    .failed = opening_failed,
};

/* ---- picking ---- */

static void opening_run(struct task *task)
{
    struct opening *opening = container_of(task, struct opening, task);

    if (opening->state == OPENING_OVER) {
        opening_finish(opening);
        return;
    }
    if (!opening->member)
        opening->member = choice_pick(opening->options.pool, &opening->pick);
    if (!opening->member) {
        opening_fail(opening, opening->reason);
        return;
    }
    if (opening->options.may_move &&
        !member_is_at(opening->member, opening->options.worker->index)) {
        opening_move(opening, OPENING_OVER);
        opening->moves = true;
        opening_finish(opening);
        return;
    }
    opening_move(opening, OPENING_ASKED);
    if (opening->member->ops->open(opening->member, opening->options.worker, &opening->request))
        opening_fail(opening, REASON_NO_MEMORY);
}

struct opening *opening_start(const struct opening_options *options, struct stream *user)
{
    struct opening *opening = mem_new(sizeof(*opening));

    if (!opening)
        return NULL;
    opening->options = *options;
    if (options->tried)
        opening->pick = *options->tried;
    else if (options->picked)
        opening->pick.tried[opening->pick.tried_count++] = options->picked;
    opening->pick.worker = options->worker;
    opening->pick.source = &opening->options.source;
    opening->pick.here = !options->may_move;
    opening->member = options->picked;
    opening->request = (struct open_request){.events = &opening_events,
                                             .source = options->source,
                                             .destination = options->destination,
                                             .port = options->port,
                                             .service = options->service,
                                             .connect_timeout_ns = options->connect_timeout_ns};
    opening->reason = REASON_NO_MEMBER;
    opening->user_limit = user->receive_limit;
    opening->user = user;
    queue_take_all(&opening->kept, options->received);
    opening->user_ended = options->user_ended;
    task_init(&opening->task, opening_run);
    user->events = &opening_user_events;
    user->owner = opening;
    if (user->receive_limit > OPENING_KEEP_MAX)
        user->receive_limit = OPENING_KEEP_MAX;
    stream_start(user);
    worker_defer(options->worker, &opening->task);
    return opening;
}

void opening_stop(struct opening *opening, enum reason reason)
{
    opening_give_up(opening, reason);
}

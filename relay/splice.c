#include "relay/splice.h"

#include <errno.h>

#include "core/mem.h"
#include "core/tcp_loan.h"

enum {
    TURN_BUDGET = 1 << 20, /* bytes of one direction, then the next one's turn */
    SHORT_FILL = 64 << 10, /* the source gave less and the pipe is empty: there is no more now */
};
#define PERIOD_NS 1000000000ull /* between two looks at whether it still pays */

/* Patience: a quick flow that runs one way only is moved once much has come, or after a moment:
 * each wake costs both us and, by the window it opens, the peer.  Where the other direction moves
 * too, somebody may be waiting for an answer. */
enum {
    PATIENT_BYTES = 1 << 20,    /* worth waking for */
    PATIENT_WINDOW = 4 << 20,   /* moved between two looks at how quick it is */
    IMPATIENT_BYTES = 64 << 10, /* waited for in vain: less came */
};
#define PATIENT_NS        300000ull   /* the longest wait */
#define PATIENT_WINDOW_NS 16000000ull /* a quick flow moves its window in less */

/* Bytes seen in copy mode, and their mean a turn, that make a flow bulky; the mean a turn below
 * which it goes back. */
struct splice_rule {
    uint32_t enter_bytes, enter_mean, leave_mean;
};
static const struct splice_rule splice_rules[] = {
    [ZERO_COPY_AUTO] = {1 << 20, 32 << 10, 16 << 10},
    [ZERO_COPY_YES] = {1,       1,        1       },
};

struct splice_flow {
    struct splice *splice;
    struct stream *from, *to;
    struct tcp_loan input, output; /* the output is lent once it has sent all */
    struct pipe *pipe;
    struct task task; /* moves bytes */
    struct timer timer;
    uint64_t bytes; /* of this period, in so many turns */
    uint32_t turns;
    /* Patience. */
    struct timer patience;
    uint64_t window_ns, window_bytes, window_answer; /* when it began, moved, and the other way */
    bool patient, lapsed;                            /* lapsed: waited as long as it may */
    bool told_of_input;                              /* since the last move */
    bool source_done;
    int source_error, target_error;
};

static struct splice *splice_of(const struct stream *stream)
{
    return container_of(stream->owner, struct splice, pump);
}

static struct splice_side *splice_side(struct splice *splice, const struct stream *stream)
{
    return stream == splice->pump.client ? &splice->client : &splice->backend;
}

static struct worker *flow_worker(const struct splice_flow *flow)
{
    return flow->splice->pump.worker;
}

static void flow_count(const struct splice_flow *flow, enum counter counter, uint64_t amount)
{
    counter_add(flow_worker(flow)->counters, counter, amount);
}

/* ---- ending ---- */

static void flow_free(struct splice_flow *flow)
{
    timer_stop(&flow_worker(flow)->timers, &flow->timer);
    timer_stop(&flow_worker(flow)->timers, &flow->patience);
    task_cancel(&flow->task);
    pipe_give(&flow_worker(flow)->pipes, flow->pipe);
    mem_free(flow);
}

/* The sink first: what its end hears next is behind what went through the pipe. */
static void flow_leave(struct splice_flow *flow)
{
    splice_side(flow->splice, flow->from)->flow = NULL;
    if (flow->output.end) {
        tcp_loan_return(&flow->output, flow->target_error);
        flow_count(flow, COUNTER_SPLICES_LEFT, 1);
    }
    tcp_loan_return(&flow->input, flow->source_error);
    flow_free(flow);
}

static void flow_input_recalled(struct tcp_loan *loan)
{
    flow_leave(container_of(loan, struct splice_flow, input));
}

static void flow_output_recalled(struct tcp_loan *loan)
{
    flow_leave(container_of(loan, struct splice_flow, output));
}

static void flow_period_ended(struct timer *timer)
{
    struct splice_flow *flow = container_of(timer, struct splice_flow, timer);
    uint32_t least = flow->splice->rule->leave_mean;
    bool pays = flow->bytes && flow->bytes / flow->turns >= least;
    int rc;

    if (!flow->output.end || (!pays && !flow->pipe->held)) {
        flow_leave(flow);
        return;
    }
    flow->bytes = flow->turns = 0;
    rc = timer_set(&flow_worker(flow)->timers, timer, flow_worker(flow)->now_ns + PERIOD_NS);
    must(!rc || rc == -ENOMEM); /* it then stays spliced to its end */
}

/* ---- patience ---- */

/* All that the other direction ever moved. */
static uint64_t flow_answer(const struct splice_flow *flow)
{
    const struct pump *pump = &flow->splice->pump;

    return flow->from == pump->client ? pump->backend_bytes : pump->client_bytes;
}

static void flow_open_window(struct splice_flow *flow)
{
    flow->window_ns = flow_worker(flow)->now_ns;
    flow->window_bytes = 0;
    flow->window_answer = flow_answer(flow);
}

/* After a turn that moved so much. */
static void flow_judge(struct splice_flow *flow, uint64_t moved)
{
    bool answered = flow->window_answer != flow_answer(flow);

    flow->window_bytes += moved;
    if (answered || (flow->lapsed && moved < IMPATIENT_BYTES))
        flow->patient = false;
    else if (flow->window_bytes >= PATIENT_WINDOW)
        flow->patient = flow_worker(flow)->now_ns - flow->window_ns <= PATIENT_WINDOW_NS;
    else
        return;
    flow_open_window(flow);
}

static void flow_out_of_patience(struct timer *timer)
{
    struct splice_flow *flow = container_of(timer, struct splice_flow, patience);

    flow->lapsed = true;
    worker_defer(flow_worker(flow), &flow->task);
}

static void flow_await_input(struct splice_flow *flow)
{
    struct worker *worker = flow_worker(flow);

    if (flow->patient && timer_set(&worker->timers, &flow->patience, worker->now_ns + PATIENT_NS))
        flow->patient = false;
    tcp_loan_expect(&flow->input, flow->patient ? PATIENT_BYTES : 1);
    tcp_loan_wait(&flow->input);
}

/* ---- moving ---- */

static bool later(int rc)
{
    return rc == -EAGAIN || rc == -EINTR;
}

/* An error that copying may not meet is not one of the connection. */
static int source_error_of(int rc)
{
    return rc == -EINVAL || rc == -ENOMEM ? 0 : rc;
}

static uint32_t flow_fill(struct splice_flow *flow)
{
    struct os *os = flow_worker(flow)->os;
    struct pipe *pipe = flow->pipe;
    int rc;

    if (flow->source_done || pipe->held >= pipe->size)
        return 0;
    rc = os->splice(os, flow->input.fd, pipe->input, pipe->size - pipe->held);
    if (rc > 0) {
        pipe->held += (uint32_t)rc;
        flow->bytes += (uint32_t)rc;
        pump_moved(&flow->splice->pump, flow->from, (uint32_t)rc);
        flow_count(flow, COUNTER_SPLICE_BYTES, (uint32_t)rc);
        return (uint32_t)rc;
    }
    if (!later(rc)) {
        flow->source_done = true;
        flow->source_error = source_error_of(rc);
    }
    return 0;
}

static uint32_t flow_empty(struct splice_flow *flow)
{
    struct os *os = flow_worker(flow)->os;
    struct pipe *pipe = flow->pipe;
    int rc;

    if (!pipe->held)
        return 0;
    rc = os->splice(os, pipe->output, flow->output.fd, pipe->held);
    if (rc > 0) {
        pipe->held -= (uint32_t)rc;
        flow->splice->pump.active_ns = flow_worker(flow)->now_ns;
        return (uint32_t)rc;
    }
    if (!later(rc))
        flow->target_error = rc ? rc : -EPIPE;
    return 0;
}

/* True: there may be more to move at once.  A dry source and a full pipe look the same, so only an
 * empty pipe says which of them it was. */
static bool flow_move(struct splice_flow *flow)
{
    uint32_t left = TURN_BUDGET, filled, emptied;

    do {
        filled = flow_fill(flow);
        emptied = flow_empty(flow);
        if (flow->target_error || (!filled && !emptied))
            return false;
        if (!flow->pipe->held && filled < SHORT_FILL)
            return false;
        left -= emptied < left ? emptied : left;
    } while (left);
    return true;
}

/* splice(2) stops in front of an urgent byte and says that there is nothing: receiving goes past.
 */
static bool flow_met_nothing(const struct splice_flow *flow, uint64_t bytes_before)
{
    return flow->told_of_input && flow->bytes == bytes_before && !flow->pipe->held;
}

static void flow_run(struct task *task)
{
    struct splice_flow *flow = container_of(task, struct splice_flow, task);
    uint64_t bytes_before = flow->bytes;
    bool more = flow_move(flow), in_vain = flow_met_nothing(flow, bytes_before);

    flow->turns++;
    flow_judge(flow, flow->bytes - bytes_before);
    flow->told_of_input = flow->lapsed = false;
    if (in_vain || flow->target_error || (flow->source_done && !flow->pipe->held))
        flow_leave(flow);
    else if (more)
        worker_defer(flow_worker(flow), task);
    else if (flow->pipe->held)
        tcp_loan_wait(&flow->output);
    else
        flow_await_input(flow);
}

static void flow_awake(struct splice_flow *flow)
{
    worker_note_patient(flow_worker(flow));
    worker_defer(flow_worker(flow), &flow->task);
}

static void flow_input_ready(struct tcp_loan *loan)
{
    struct splice_flow *flow = container_of(loan, struct splice_flow, input);

    timer_stop(&flow_worker(flow)->timers, &flow->patience);
    flow->told_of_input = true;
    flow_awake(flow);
}

static void flow_output_ready(struct tcp_loan *loan)
{
    flow_awake(container_of(loan, struct splice_flow, output));
}

/* ---- beginning ---- */

static struct splice_flow *flow_new(struct splice *splice, struct stream *from, struct stream *to)
{
    struct worker *worker = splice->pump.worker;
    struct pipe *pipe = pipe_take(&worker->pipes);
    struct splice_flow *flow = pipe ? mem_new(sizeof(*flow)) : NULL;

    if (!flow)
        goto give_pipe;
    *flow = (struct splice_flow){.splice = splice, .from = from, .to = to, .pipe = pipe};
    flow->input = (struct tcp_loan){.ready = flow_input_ready, .recalled = flow_input_recalled};
    flow->output = (struct tcp_loan){.ready = flow_output_ready, .recalled = flow_output_recalled};
    task_init(&flow->task, flow_run);
    timer_init(&flow->timer, flow_period_ended);
    timer_init(&flow->patience, flow_out_of_patience);
    flow_open_window(flow);
    if (timer_set(&worker->timers, &flow->timer, worker->now_ns + PERIOD_NS))
        goto free_flow;
    return flow;

free_flow:
    mem_free(flow);
give_pipe:
    if (pipe)
        pipe_give(&worker->pipes, pipe);
    return NULL;
}

static void flow_begin(struct splice_flow *flow)
{
    if (!tcp_end_lend_output(flow->to, &flow->output))
        return;
    flow_count(flow, COUNTER_SPLICES_ENTERED, 1);
    worker_defer(flow_worker(flow), &flow->task);
}

static void flow_enter(struct splice *splice, struct stream *from, struct stream *to)
{
    struct splice_flow *flow;

    if (!tcp_end_takes_output(to))
        return;
    flow = flow_new(splice, from, to);
    if (!flow) {
        counter_add(splice->pump.worker->counters, COUNTER_SPLICE_NO_PIPE, 1);
        return;
    }
    splice_side(splice, from)->flow = flow;
    tcp_end_lend_input(from, &flow->input);
    flow_begin(flow);
}

/* ---- what the pump hears ---- */

static bool side_proves_bulky(struct splice_side *side, const struct splice_rule *rule,
                              uint64_t now_ns, uint32_t length)
{
    bool bulky;

    side->bytes += length;
    if (side->turn_ns != now_ns)
        side->turns++;
    side->turn_ns = now_ns;
    if (side->bytes < rule->enter_bytes)
        return false;
    bulky = side->bytes / side->turns >= rule->enter_mean;
    side->bytes = side->turns = 0;
    side->turn_ns = 0;
    return bulky;
}

static void splice_received(struct stream *stream, struct piece *piece)
{
    struct splice *splice = splice_of(stream);
    struct splice_side *side = splice_side(splice, stream);
    struct pump *pump = &splice->pump;
    struct stream *other = stream == pump->client ? pump->backend : pump->client;
    uint32_t length = piece->length;

    pump_received(stream, piece);
    if (other && !side->flow && side_proves_bulky(side, splice->rule, pump->worker->now_ns, length))
        flow_enter(splice, stream, other);
}

static void splice_drained(struct stream *stream, uint64_t length)
{
    struct splice *splice = splice_of(stream);
    bool is_client = stream == splice->pump.client;
    struct splice_flow *flow = (is_client ? &splice->backend : &splice->client)->flow;

    pump_drained(stream, length);
    if (!flow || flow->output.end)
        return;
    if (tcp_end_takes_output(stream))
        flow_begin(flow);
    else
        flow_leave(flow);
}

static const struct stream_events splice_events = {
    .received = splice_received,
    .ended = pump_ended,
    .drained = splice_drained,
    .closed = pump_closed,
};

void splice_start(struct splice *splice, enum zero_copy zero_copy)
{
    struct pump *pump = &splice->pump;

    if (zero_copy == ZERO_COPY_NO || !is_tcp_end(pump->client) || !is_tcp_end(pump->backend))
        return;
    splice->rule = &splice_rules[zero_copy];
    pump->client->events = pump->backend->events = &splice_events;
}

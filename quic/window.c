#include "quic/window.h"

enum { QUICK_ROUND_TRIPS = 4, FRAMES_A_WINDOW = 4 };

void window_begin(struct window *window, const struct window_growth *growth, uint64_t now_ns)
{
    *window = (struct window){.size = growth->base, .since_ns = now_ns};
}

static bool window_was_quick(struct window *window, const ngtcp2_conn *native, uint64_t now_ns)
{
    uint64_t took_ns = now_ns - window->since_ns;
    ngtcp2_conn_info info;

    window->read = 0;
    window->since_ns = now_ns;
    ngtcp2_conn_get_conn_info2(native, &info);
    return took_ns <= QUICK_ROUND_TRIPS * info.smoothed_rtt;
}

static uint64_t window_grow(struct window *window, struct window_growth *growth)
{
    uint64_t more = window->size;

    if (window->size >= growth->most)
        return 0;
    if (more > growth->most - window->size)
        more = growth->most - window->size;
    if (more > growth->left / 2)
        more = growth->left / 2;
    window->size += more;
    growth->left -= more;
    return more;
}

uint64_t window_read(struct window *window, struct window_growth *growth, uint64_t length,
                     const ngtcp2_conn *native, uint64_t now_ns)
{
    uint64_t credit;

    window->read += length;
    window->owed += length;
    if (window->read >= window->size && window_was_quick(window, native, now_ns))
        window->owed += window_grow(window, growth);
    if (window->owed < window->size / FRAMES_A_WINDOW)
        return 0;
    credit = window->owed;
    window->owed = 0;
    return credit;
}

void window_end(struct window *window, struct window_growth *growth)
{
    if (window->size > growth->base)
        growth->left += window->size - growth->base;
    window->size = growth->base;
}

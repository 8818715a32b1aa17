/* Packet protection by itself: each back end that this CPU can run, on packets that stay in the
 * first-level cache. */
#include "bench/stage/stage.h"
#include "core/mem.h"
#include "quic/protect.h"
#include "quic/quic.h"

enum { HEADER = 20, PACKET_MAX = 65536, ROUNDS = 64 };

struct trial {
    const struct protect *protect;
    struct protect_key *key;
    struct protect_mask_key *mask_key;
    struct protect_packet packet;
    uint8_t *sealed, *opened;
};

typedef void trial_fn(struct trial *trial);

static void seal(struct trial *trial)
{
    trial->packet.in = trial->opened;
    trial->packet.out = trial->sealed;
    trial->protect->seal(trial->key, &trial->packet);
}

static void open_sealed(struct trial *trial)
{
    struct protect_packet packet = trial->packet;

    packet.in = trial->sealed;
    packet.length += PROTECT_TAG_SIZE;
    packet.out = trial->opened;
    must(trial->protect->open(trial->key, &packet));
}

static void mask(struct trial *trial)
{
    trial->protect->mask(trial->mask_key, trial->sealed, trial->opened);
}

static double ns_each(struct trial *trial, trial_fn *run, double seconds)
{
    uint64_t from = os_linux.clock_ns(&os_linux), now = from, count = 0;

    while ((double)(now - from) < seconds * 1e9) {
        for (int i = 0; i < ROUNDS; i++)
            run(trial);
        count += ROUNDS;
        now = os_linux.clock_ns(&os_linux);
    }
    return (double)(now - from) / (double)count;
}

static void trial_run(struct trial *trial, uint32_t size, double seconds)
{
    double seal_ns, open_ns, mask_ns;

    trial->packet.length = size - HEADER - PROTECT_TAG_SIZE;
    seal_ns = ns_each(trial, seal, seconds);
    open_ns = ns_each(trial, open_sealed, seconds);
    mask_ns = ns_each(trial, mask, seconds / 4);
    printf("{\"stage\": \"aead\", \"back_end\": \"%s\", \"packet\": %u, \"seal_ns\": %.1f,"
           " \"open_ns\": %.1f, \"mask_ns\": %.1f}\n",
           trial->protect->name, size, seal_ns, open_ns, mask_ns);
}

static void back_end_run(const struct protect *protect, const struct stage_options *options)
{
    static const uint8_t key[PROTECT_KEY_MAX] = {1}, nonce[PROTECT_NONCE_SIZE] = {2},
                         header[HEADER] = {3};
    struct trial trial = {
        .protect = protect,
        .key = protect->key_new(PROTECT_AES_128_GCM, key),
        .mask_key = protect->mask_key_new(PROTECT_AES_128_GCM, key),
        .packet = {.nonce = nonce, .aad = header, .aad_length = HEADER},
        .sealed = mem_new(PACKET_MAX),
        .opened = mem_new(PACKET_MAX),
    };

    must(trial.key && trial.mask_key && trial.sealed && trial.opened);
    trial_run(&trial, options->packet, options->seconds / 4);
    trial_run(&trial, 8900, options->seconds / 4);
    protect->key_free(trial.key);
    protect->mask_key_free(trial.mask_key);
    mem_free(trial.sealed);
    mem_free(trial.opened);
}

int stage_aead(const struct stage_options *options)
{
    static const struct protect *const back_ends[] = {&protect_ipsec, &protect_wolfcrypt};

    if (!stage_papers(NULL))
        return 1;
    for (size_t i = 0; i < ARRAY_COUNT(back_ends); i++) {
        if (back_ends[i]->available())
            back_end_run(back_ends[i], options);
        else
            printf("{\"stage\": \"aead\", \"back_end\": \"%s\", \"not_measured\":"
                   " \"this CPU lacks what it needs\"}\n",
                   back_ends[i]->name);
    }
    return 0;
}

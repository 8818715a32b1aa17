#include "quic/cid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static const uint8_t secret[32] = {7};
static const struct cid_place place = {
    .server = 513, .generation = 0, .worker = 3, .socket = 2, .sockets = 5};

static bool make_some(struct cid_codec *codec, uint8_t id[CID_LENGTH])
{
    uint8_t random[CID_RANDOM];

    for (unsigned i = 0; i < CID_RANDOM; i++)
        random[i] = (uint8_t)rand();
    if (!codec->key && cid_codec_init(codec, secret, &place) < 0)
        return false;
    cid_make(codec, random, id);
    return true;
}

TEST(an_id_says_where_it_leads)
{
    struct cid_codec codec = {0};
    uint8_t id[CID_LENGTH];
    struct cid_place read;

    for (int i = 0; i < 1000; i++) {
        check(make_some(&codec, id));
        check(cid_socket(id[0], 5) == 2);
        check(cid_read(&codec, id, sizeof(id), &read) == CID_HERE);
        check(read.server == 513 && read.worker == 3 && read.generation == 0);
    }
    cid_codec_release(&codec);
}

TEST(a_restarted_server_knows_its_old_ids)
{
    struct cid_codec codec = {0}, again = {0};
    uint8_t id[CID_LENGTH], other[CID_LENGTH];
    struct cid_place read;

    check(make_some(&codec, id));
    check(make_some(&again, other));
    check(cid_read(&again, id, sizeof(id), &read) == CID_HERE);
    cid_codec_release(&codec);
    cid_codec_release(&again);
}

TEST(ids_of_other_workers_and_generations_are_told_apart)
{
    struct cid_codec codec = {0};
    uint8_t id[CID_LENGTH];
    struct cid_place read;

    check(make_some(&codec, id));
    codec.place.worker = 4;
    check(cid_read(&codec, id, sizeof(id), &read) == CID_WORKER && read.worker == 3);
    codec.place.generation = 1;
    check(cid_read(&codec, id, sizeof(id), &read) == CID_GENERATION);
    codec.place.server = 1;
    check(cid_read(&codec, id, sizeof(id), &read) == CID_FOREIGN);
    cid_codec_release(&codec);
}

TEST(any_changed_bit_beyond_byte_0_makes_an_id_foreign)
{
    struct cid_codec codec = {0};
    uint8_t id[CID_LENGTH];
    struct cid_place read;
    unsigned wrong = 0;

    check(make_some(&codec, id));
    for (unsigned bit = 8; bit < CID_LENGTH * 8; bit++) {
        id[bit / 8] ^= (uint8_t)(1u << bit % 8);
        wrong += cid_read(&codec, id, sizeof(id), &read) != CID_FOREIGN;
        id[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    check(wrong == 0);
    check(cid_read(&codec, id, CID_LENGTH - 1, &read) == CID_FOREIGN);
    cid_codec_release(&codec);
}

TEST(byte_0_spreads_over_all_rounds_of_the_sockets)
{
    struct cid_codec codec = {0};
    uint8_t id[CID_LENGTH];
    bool seen[256] = {false};
    unsigned kinds = 0;

    for (int i = 0; i < 5000; i++) {
        check(make_some(&codec, id));
        seen[id[0]] = true;
    }
    for (unsigned i = 0; i < 256; i++)
        kinds += seen[i];
    check(kinds == 256 / 5);
    cid_codec_release(&codec);
}

enum { MODEL = 300 };
struct model {
    uint8_t ids[MODEL][CID_MAX];
    size_t lengths[MODEL];
    int values[MODEL]; /* their addresses are what the table holds */
    bool in[MODEL];
};

static void model_fill(struct model *model)
{
    for (int i = 0; i < MODEL; i++) {
        model->lengths[i] = i % 3 ? CID_LENGTH : CID_FIRST_LENGTH;
        for (int j = 0; j < CID_MAX; j++)
            model->ids[i][j] = (uint8_t)rand();
    }
}

static bool model_agrees(const struct model *model, const struct cid_table *table)
{
    for (int i = 0; i < MODEL; i++)
        if (cid_table_find(table, model->ids[i], model->lengths[i]) !=
            (model->in[i] ? (const void *)&model->values[i % 10] : NULL))
            return false;
    return true;
}

TEST(the_table_agrees_with_a_simple_model)
{
    static struct model model;
    struct cid_table table;

    cid_table_init(&table, 99);
    model_fill(&model);
    for (int step = 0; step < 20000; step++) {
        int i = rand() % MODEL;
        int rc = 0;

        if (rand() % 3)
            rc = cid_table_add(&table, model.ids[i], model.lengths[i], &model.values[i % 10]);
        else
            cid_table_remove(&table, model.ids[i], model.lengths[i], &model.values[i % 10]);
        if (rc == 0)
            model.in[i] = cid_table_find(&table, model.ids[i], model.lengths[i]) != NULL;
        else
            check(rc == -EEXIST && model.in[i]);
        if (step % 100 == 0)
            check(model_agrees(&model, &table));
    }
    cid_table_release(&table);
}

TEST(a_table_without_memory_stays_as_it_was)
{
    struct cid_table table;
    uint8_t id[CID_LENGTH] = {1};

    cid_table_init(&table, 1);
    mem_fail_at(1);
    check(cid_table_add(&table, id, sizeof(id), &table) == -ENOMEM);
    mem_fail_at(0);
    check(!cid_table_find(&table, id, sizeof(id)));
    check(cid_table_add(&table, id, sizeof(id), &table) == 0);
    check(cid_table_find(&table, id, sizeof(id)) == &table);
    cid_table_release(&table);
}

TEST(a_set_gives_its_ids_on_or_leaves_with_them_and_touches_no_others)
{
    static struct model model;
    struct cid_table here, there;
    struct cid_set sets[10], taker;

    cid_table_init(&here, 1);
    cid_table_init(&there, 2);
    model_fill(&model);
    cid_set_init(&taker, &there, &model.values[4]);
    for (int i = 0; i < 10; i++)
        cid_set_init(&sets[i], &here, &model.values[i]);
    for (int i = 0; i < MODEL; i++) {
        check(cid_set_add(&sets[i % 10], model.ids[i], model.lengths[i]) == 0);
        model.in[i] = true;
    }
    check(cid_set_add(&sets[1], model.ids[0], model.lengths[0]) == -EEXIST);
    cid_set_remove(&sets[1], model.ids[0], model.lengths[0]); /* another's */
    cid_set_remove(&sets[0], model.ids[0], model.lengths[0]);
    model.in[0] = false;
    cid_set_take(&taker, &sets[4]);
    cid_set_release(&sets[7]);
    for (int i = 0; i < MODEL; i++)
        model.in[i] &= i % 10 != 4 && i % 10 != 7;
    check(model_agrees(&model, &here) && here.count == MODEL - 1 - 2 * MODEL / 10);
    check(there.count == MODEL / 10 &&
          cid_table_find(&there, model.ids[14], model.lengths[14]) == &model.values[4]);
    cid_set_release(&taker);
    for (int i = 0; i < 10; i++)
        cid_set_release(&sets[i]);
    check(!here.count && !there.count);
    cid_table_release(&here);
    cid_table_release(&there);
}

TEST(a_set_survives_any_failed_allocation)
{
    uint8_t id[CID_LENGTH] = {0};

    for (uint64_t n = 1;; n++) {
        struct cid_table here, there;
        struct cid_set set, taker;

        cid_table_init(&here, 1);
        cid_table_init(&there, 2);
        cid_set_init(&set, &here, &set);
        cid_set_init(&taker, &there, &taker);
        mem_fail_at(n);
        for (id[0] = 0; id[0] < 20; id[0]++)
            (void)!cid_set_add(&set, id, sizeof(id));
        check(here.count == set.count);
        cid_set_take(&taker, &set);
        check(!here.count && there.count == taker.count);
        cid_set_release(&taker);
        cid_set_release(&set);
        cid_table_release(&here);
        cid_table_release(&there);
        if (!mem_failed())
            break;
    }
    mem_fail_at(0);
}

enum { CROWD = 16384, CROWD_IDS = 4 };

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

TEST(the_end_of_one_of_many_owners_costs_no_more_than_its_beginning)
{
    static struct cid_set sets[CROWD];
    struct cid_table table;
    uint8_t id[CID_LENGTH];
    uint64_t begun = cpu_ns(), made, over;

    cid_table_init(&table, 3);
    for (int i = 0; i < CROWD; i++) {
        cid_set_init(&sets[i], &table, &sets[i]);
        for (int j = 0; j < CROWD_IDS; j++) {
            for (unsigned k = 0; k < sizeof(id); k++)
                id[k] = (uint8_t)rand();
            check(cid_set_add(&sets[i], id, sizeof(id)) == 0);
        }
    }
    made = cpu_ns();
    for (int i = 0; i < CROWD; i++)
        cid_set_release(&sets[i]);
    over = cpu_ns();
    check(!table.count && over - made < 3 * (made - begun));
    cid_table_release(&table);
}

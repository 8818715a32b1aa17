#include "core/list.h"

#include <stdint.h>
#include <string.h>

#include "tests/unit/test.h"

struct node {
    int value;
    struct list link;
};

static struct node *node_of(struct list *link)
{
    return link ? container_of(link, struct node, link) : NULL;
}

TEST(nodes_come_out_in_the_order_they_were_appended)
{
    struct list list;
    struct node nodes[3];

    list_init(&list);
    check(list_empty(&list) && !list_pop(&list));
    for (int i = 0; i < 3; i++) {
        nodes[i].value = i;
        list_append(&list, &nodes[i].link);
    }
    for (int i = 0; i < 3; i++)
        check(node_of(list_pop(&list))->value == i);
    check(list_empty(&list));
}

TEST(removing_a_node_that_is_in_no_list_is_harmless)
{
    struct list list;
    struct node node;

    list_init(&list);
    list_init(&node.link);
    list_remove(&node.link);
    list_append(&list, &node.link);
    list_remove(&node.link);
    list_remove(&node.link);
    check(list_empty(&list) && list_empty(&node.link));
}

TEST(taking_all_keeps_the_order_and_empties_the_other)
{
    struct list to, from;
    struct node nodes[4];

    list_init(&to);
    list_init(&from);
    list_take_all(&to, &from);
    check(list_empty(&to));
    for (int i = 0; i < 4; i++) {
        nodes[i].value = i;
        list_append(i < 2 ? &to : &from, &nodes[i].link);
    }
    list_take_all(&to, &from);
    check(list_empty(&from));
    for (int i = 0; i < 4; i++)
        check(node_of(list_pop(&to))->value == i);
    check(list_empty(&to));
}

/* ---- against a model: two arrays ---- */

enum { NODES = 20, LISTS = 2 };
static struct list lists[LISTS];
static struct node nodes[NODES];
static struct {
    int values[NODES];
    int count;
} models[LISTS];

static void model_remove(int value)
{
    for (int list = 0; list < LISTS; list++) {
        for (int i = 0; i < models[list].count; i++) {
            if (models[list].values[i] != value)
                continue;
            models[list].count--;
            memmove(&models[list].values[i], &models[list].values[i + 1],
                    sizeof(int) * (size_t)(models[list].count - i));
        }
    }
}

static void model_take_all(int to, int from)
{
    memcpy(&models[to].values[models[to].count], models[from].values,
           sizeof(int) * (size_t)models[from].count);
    models[to].count += models[from].count;
    models[from].count = 0;
}

static bool model_agrees(int list)
{
    struct list *link = lists[list].next;

    for (int i = 0; i < models[list].count; i++, link = link->next) {
        if (link == &lists[list] || node_of(link)->value != models[list].values[i])
            return false;
        if (link->next->previous != link)
            return false;
    }
    return link == &lists[list];
}

TEST(lists_agree_with_arrays)
{
    uint32_t random = 7;

    for (int i = 0; i < LISTS; i++)
        list_init(&lists[i]);
    for (int i = 0; i < NODES; i++) {
        nodes[i].value = i;
        list_init(&nodes[i].link);
    }
    for (int step = 0; step < 100000; step++) {
        int value, list;

        random = random * 1664525u + 1013904223u;
        value = (int)((random >> 8) % NODES);
        list = (int)((random >> 16) % LISTS);
        if (random >> 29 == 0) {
            list_take_all(&lists[list], &lists[1 - list]);
            model_take_all(list, 1 - list);
        } else {
            list_remove(&nodes[value].link);
            model_remove(value);
            if (random >> 29 > 2) {
                list_append(&lists[list], &nodes[value].link);
                models[list].values[models[list].count++] = value;
            }
        }
        check(model_agrees(0) && model_agrees(1));
    }
}

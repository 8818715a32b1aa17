#include "core/vectors.h"

#include "core/mem.h"

struct vectors *vectors_take(struct vectors_store *store)
{
    struct vectors *vectors = store->first;

    if (vectors) {
        store->first = vectors->next;
        store->count--;
    } else {
        vectors = mem_raw(sizeof(*vectors));
        if (!vectors)
            return NULL;
    }
    vectors->message = (struct msghdr){.msg_iov = vectors->pieces};
    return vectors;
}

void vectors_give(struct vectors_store *store, struct vectors *vectors)
{
    if (store->count == VECTORS_KEPT) {
        mem_free(vectors);
        return;
    }
    vectors->next = store->first;
    store->first = vectors;
    store->count++;
}

void vectors_store_release(struct vectors_store *store)
{
    struct vectors *vectors;

    while ((vectors = store->first)) {
        store->first = vectors->next;
        mem_free(vectors);
    }
    store->count = 0;
}

/* What a server says to packets of no connection.  Nothing here remembers a peer, except an
 * accepted one, and nothing answers with more bytes than came; noise is not answered at all. */
#include <ngtcp2/ngtcp2_crypto.h>
#include <string.h>

#include "quic/conn.h"
#include "quic/initial.h"

enum { RESET_MIN = 5 + NGTCP2_STATELESS_RESET_TOKENLEN, RESET_RANDOM_MAX = 24 };

static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};

static void endpoint_count(const struct quic_endpoint *endpoint, enum counter counter)
{
    counter_add(endpoint->worker->counters, counter, 1);
}

struct batch *stray_answer(struct quic_endpoint *endpoint, const struct stray *stray)
{
    struct batch *batch = batch_take(endpoint->socket, POOL_SMALL);

    if (!batch)
        return NULL;
    batch->peer = *stray->peer;
    if (endpoint->wildcard)
        batch->local = *stray->local;
    return batch;
}

static bool stray_send(struct batch *batch, ngtcp2_ssize length, const struct stray *stray)
{
    if (length <= 0 || (uint64_t)length > stray->length) {
        batch_cancel(batch);
        return false;
    }
    batch->length = batch->segment = (uint32_t)length;
    batch_send(batch);
    return true;
}

static bool endpoint_may_answer(struct quic_endpoint *endpoint, enum answer kind)
{
    return bucket_take(&endpoint->answers[kind], ANSWER_RATE, ANSWER_BURST,
                       endpoint->worker->now_ns);
}

void endpoint_negotiate_version(struct quic_endpoint *endpoint, const struct stray *stray)
{
    const ngtcp2_version_cid *ids = &stray->ids;
    struct batch *batch;
    uint8_t unused;
    ngtcp2_ssize length;

    if (!endpoint_may_answer(endpoint, ANSWER_VERSIONS))
        return;
    batch = stray_answer(endpoint, stray);
    if (!batch)
        return;
    endpoint->worker->os->random(endpoint->worker->os, &unused, sizeof(unused));
    length = ngtcp2_pkt_write_version_negotiation(batch->chunk->data, NGTCP2_MAX_UDP_PAYLOAD_SIZE,
                                                  unused, ids->scid, ids->scidlen, ids->dcid,
                                                  ids->dcidlen, versions, ARRAY_COUNT(versions));
    if (stray_send(batch, length, stray))
        endpoint_count(endpoint, COUNTER_VERSION_NEGOTIATIONS);
}

static ngtcp2_ssize reset_write(const struct quic_endpoint *endpoint, const struct stray *stray,
                                uint8_t *to)
{
    ngtcp2_stateless_reset_token token;
    uint8_t random[RESET_RANDOM_MAX];
    size_t room = stray->length - 1 - NGTCP2_STATELESS_RESET_TOKENLEN;
    ngtcp2_cid id;

    if (room > sizeof(random))
        room = sizeof(random);
    ngtcp2_cid_init(&id, stray->ids.dcid, stray->ids.dcidlen);
    if (token_of_reset(&endpoint->keys, &id, token.data) < 0)
        return 0;
    endpoint->worker->os->random(endpoint->worker->os, random, room);
    return ngtcp2_pkt_write_stateless_reset2(to, NGTCP2_MAX_UDP_PAYLOAD_SIZE, &token, random, room);
}

void endpoint_reset_unknown(struct quic_endpoint *endpoint, const struct stray *stray)
{
    struct cid_place place;
    struct batch *batch;

    if (stray->length <= RESET_MIN ||
        cid_read(&endpoint->codec, stray->ids.dcid, stray->ids.dcidlen, &place) != CID_HERE) {
        endpoint_count(endpoint, COUNTER_PACKETS_INVALID);
        return;
    }
    if (!endpoint_may_answer(endpoint, ANSWER_RESET)) {
        endpoint_count(endpoint, COUNTER_LIMIT_STATELESS_RESETS);
        return;
    }
    batch = stray_answer(endpoint, stray);
    if (batch && stray_send(batch, reset_write(endpoint, stray, batch->chunk->data), stray))
        endpoint_count(endpoint, COUNTER_STATELESS_RESETS);
}

/* ---- new clients ---- */

struct newcomer {
    const struct stray *stray;
    ngtcp2_pkt_hd initial;
    struct token_retry retry;
    bool proven; /* its address, by a Retry token */
};

/* However many come, the clients who are there already have the most of the worker's time. */
static void newcomer_retry(struct quic_endpoint *endpoint, struct newcomer *newcomer)
{
    const ngtcp2_pkt_hd *initial = &newcomer->initial;
    struct batch *batch;
    struct token_retry retry = newcomer->retry;
    uint8_t token[TOKEN_MAX];
    ngtcp2_cid given;
    ngtcp2_ssize length;

    if (!bucket_take(&endpoint->retries, RETRY_RATE, RETRY_BURST, endpoint->worker->now_ns)) {
        endpoint_count(endpoint, COUNTER_LIMIT_HANDSHAKES);
        return;
    }
    batch = stray_answer(endpoint, newcomer->stray);
    if (!batch)
        return;
    endpoint_make_id(endpoint, &given);
    retry.given = &given;
    retry.chosen = initial->dcid;
    length = token_make_retry(&endpoint->keys, &retry, token);
    if (length > 0)
        length = ngtcp2_crypto_write_retry(batch->chunk->data, NGTCP2_MAX_UDP_PAYLOAD_SIZE,
                                           initial->version, &initial->scid, &given, &initial->dcid,
                                           token, (size_t)length);
    if (stray_send(batch, length, newcomer->stray))
        endpoint_count(endpoint, COUNTER_RETRIES_SENT);
}

static void newcomer_refuse(struct quic_endpoint *endpoint, const struct newcomer *newcomer)
{
    const ngtcp2_pkt_hd *initial = &newcomer->initial;
    struct batch *batch;

    endpoint_count(endpoint, COUNTER_LIMIT_HANDSHAKES);
    if (!endpoint_may_answer(endpoint, ANSWER_REFUSAL))
        return;
    batch = stray_answer(endpoint, newcomer->stray);
    if (batch)
        (void)stray_send(batch,
                         ngtcp2_crypto_write_connection_close(
                             batch->chunk->data, NGTCP2_MAX_UDP_PAYLOAD_SIZE, initial->version,
                             &initial->scid, &initial->dcid, NGTCP2_CONNECTION_REFUSED, NULL, 0),
                         newcomer->stray);
}

static bool newcomer_read(const struct quic_endpoint *endpoint, const struct stray *stray,
                          struct newcomer *newcomer)
{
    struct os *os = endpoint->worker->os;

    *newcomer = (struct newcomer){.stray = stray};
    if (ngtcp2_accept(&newcomer->initial, stray->data, stray->length) ||
        !initial_opens(endpoint->worker->pools, stray->data, stray->length))
        return false;
    newcomer->retry = (struct token_retry){.peer = stray->peer,
                                           .version = newcomer->initial.version,
                                           .given = &newcomer->initial.dcid,
                                           .wall_ms = os->wall_ms(os)};
    newcomer->proven = token_check_retry(&endpoint->keys, &newcomer->retry, newcomer->initial.token,
                                         newcomer->initial.tokenlen);
    return true;
}

static struct quic_connection *newcomer_admit(struct quic_endpoint *endpoint,
                                              const struct newcomer *newcomer)
{
    const struct quic_acceptor *acceptor = &endpoint->acceptor;
    const struct connection_birth birth = {.endpoint = endpoint,
                                           .config = &acceptor->config,
                                           .tls = acceptor->tls,
                                           .peer = *newcomer->stray->peer,
                                           .local = *newcomer->stray->local,
                                           .initial = &newcomer->initial,
                                           .original =
                                               newcomer->proven ? &newcomer->retry.chosen : NULL};
    struct quic_connection *connection = connection_new(&birth);

    if (!connection)
        return NULL;
    if (acceptor->accept(acceptor->context, connection))
        return connection;
    connection_abandon(connection);
    newcomer_refuse(endpoint, newcomer);
    return NULL;
}

/* Whoever begins handshakes and does not go on takes nobody's place for long. */
static bool endpoint_makes_room(struct quic_endpoint *endpoint)
{
    struct quic_connection *oldest;

    if (endpoint->half_open < HALF_OPEN_LIMIT)
        return true;
    oldest = container_of(endpoint->handshaking.next, struct quic_connection, link);
    if (endpoint->worker->now_ns - oldest->born_ns < HALF_OPEN_TIME_MS * NGTCP2_MILLISECONDS)
        return false;
    endpoint_count(endpoint, COUNTER_LIMIT_HANDSHAKES);
    connection_fail(oldest, NGTCP2_ERR_HANDSHAKE_TIMEOUT);
    return true;
}

struct quic_connection *endpoint_accept(struct quic_endpoint *endpoint, const struct stray *stray)
{
    struct newcomer newcomer;
    bool crowded = endpoint->acceptor.config.always_retry || endpoint->half_open >= HALF_OPEN_MAX;

    if (!newcomer_read(endpoint, stray, &newcomer)) {
        endpoint_count(endpoint, COUNTER_PACKETS_INVALID);
        return NULL;
    }
    if (endpoint->refusing) {
        newcomer_refuse(endpoint, &newcomer);
        return NULL;
    }
    /* First, so that forged sources spend nobody's allowance. */
    if (crowded && !newcomer.proven) {
        newcomer_retry(endpoint, &newcomer);
        return NULL;
    }
    if (!prefix_limit_take(endpoint->handshakes, stray->peer, HANDSHAKE_RATE, HANDSHAKE_BURST,
                           endpoint->worker->now_ns)) {
        endpoint_count(endpoint, COUNTER_LIMIT_HANDSHAKES);
        return NULL;
    }
    if (!endpoint_makes_room(endpoint)) {
        newcomer_refuse(endpoint, &newcomer);
        return NULL;
    }
    return newcomer_admit(endpoint, &newcomer);
}

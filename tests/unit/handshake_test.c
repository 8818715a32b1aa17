#include "quic/handshake.h"

#include "core/identity.h"
#include "quic/protect.h"
#include "tests/unit/certs.h"
#include "tests/unit/quic_pair.h"
#include "tests/unit/test.h"

static const struct tls_hooks system_hooks;
static struct certs certs;
static char error[256];

/* One folder of certificates for all tests of this program. */
__attribute__((constructor)) static void library_start(void)
{
    struct cert_request expired;

    must(tls_global_init(&system_hooks) == 0 && protect_choose(error, sizeof(error)) == 0);
    must(certs_open(&certs) && certs_ca(&certs, "ca") && certs_ca(&certs, "foreign"));
    must(certs_leaf(&certs, CERT_SERVER, "server", "ca", "tunnel.example", NULL));
    must(certs_leaf(&certs, CERT_SERVER, "address", "ca", "192.0.2.1", NULL));
    must(certs_leaf(&certs, CERT_CLIENT, "client", "ca", NULL, "spiffe://example/pod"));
    must(certs_leaf(&certs, CERT_CLIENT, "stranger", "foreign", NULL, "spiffe://example/pod"));
    must(certs_leaf(&certs, CERT_CLIENT, "nameless", "ca", NULL, NULL));
    expired = certs_request(&certs, CERT_CLIENT, "self", "ca");
    expired.self_signed = true;
    expired.uri = "spiffe://example/self";
    must(certs_make(&certs, &expired) == 0);
}

__attribute__((destructor)) static void library_stop(void)
{
    certs_close(&certs);
    tls_global_release();
}

static struct tls_context *server_context(const char *name, const char *ca)
{
    struct tls_files files = {certs_path(&certs, name, "crt"), certs_path(&certs, name, "key"),
                              certs_path(&certs, ca, "crt")};
    struct tls_context *context = tls_server_new(&files, TLS_CLIENT_REQUIRED, error, sizeof(error));

    if (!context)
        fprintf(stderr, "%s\n", error);
    return context;
}

static struct tls_context *client_context(const char *name, const char *ca)
{
    struct tls_files files = {.ca = certs_path(&certs, ca, "crt")};
    struct tls_context *context;

    if (name) {
        files.cert = certs_path(&certs, name, "crt");
        files.key = certs_path(&certs, name, "key");
    }
    context = tls_client_new(&files, error, sizeof(error));
    if (!context)
        fprintf(stderr, "%s\n", error);
    return context;
}

static struct pair pair_of(const char *server, const char *client, const char *client_ca,
                           const char *server_name)
{
    return (struct pair){
        .server_tls = server_context(server, "ca"),
        .client_tls = client_context(client, client_ca),
        .client_alpn = "qmux/2",
        .server_alpn = "qmux/2",
        .server_name = server_name,
        .now = 1000000000,
    };
}

static void pair_end(struct pair *pair)
{
    pair_close(pair);
    tls_context_free(&pair->client_tls);
    tls_context_free(&pair->server_tls);
}

TEST(both_ends_complete_and_know_each_other)
{
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");

    pair_run(&pair);
    check(pair.client.completed && pair.server.completed);
    check(pair.client.rv == 0 && pair.server.rv == 0);
    check(strcmp(identity_name(handshake_identity(&pair.server.handshake)),
                 "spiffe://example/pod") == 0);
    check(strcmp(identity_name(handshake_identity(&pair.client.handshake)), "tunnel.example") == 0);
    pair_end(&pair);
}

TEST(an_address_can_be_the_required_name)
{
    struct pair pair = pair_of("address", "client", "ca", "192.0.2.1");

    pair_run(&pair);
    check(pair.client.completed && pair.server.completed);
    check(!handshake_identity(&pair.client.handshake));
    pair_end(&pair);
}

/* What both ends say of a handshake that must fail: at `failed` with reason and words, at the other
 * with the reason that the close code tells and the same words. */
static bool refused_by(struct pair_end *failed, struct pair_end *other, enum reason reason,
                       enum reason other_reason, const char *words)
{
    const char *text;
    enum reason found = handshake_reason(&failed->handshake, &text);
    size_t length = strlen(text);

    if (found != reason || !strstr(text, words))
        fprintf(stderr, "%s: %s\n", reason_name(found), text);
    return found == reason && strstr(text, words) && other->closed_by_peer &&
           handshake_reason_of_code(other->peer_error.error_code) == other_reason &&
           other->peer_error.reasonlen == length &&
           memcmp(other->peer_error.reason, text, length) == 0;
}

static bool client_refused(const char *cert, const char *words)
{
    struct pair pair = pair_of("server", cert, "ca", "tunnel.example");
    bool refused;

    pair_run(&pair);
    refused = !pair.server.completed &&
              refused_by(&pair.server, &pair.client, REASON_CERTIFICATE, REASON_CERTIFICATE, words);
    pair_end(&pair);
    return refused;
}

static bool server_refused(const char *ca, const char *name, enum reason reason, const char *words)
{
    struct pair pair = pair_of("server", "client", ca, name);
    bool refused;

    pair_run(&pair);
    refused = !pair.client.completed && !pair.server.completed &&
              refused_by(&pair.client, &pair.server, reason, REASON_CERTIFICATE, words);
    pair_end(&pair);
    return refused;
}

TEST(a_client_of_a_foreign_ca_is_refused_on_both_sides)
{
    check(client_refused("stranger", "the client's certificate, for spiffe://example/pod, is not "
                                     "signed by a CA"));
}

TEST(a_self_signed_client_is_refused_on_both_sides)
{
    check(client_refused("self", "the client's certificate, for spiffe://example/self, is "));
}

TEST(a_client_without_certificate_is_refused_on_both_sides)
{
    struct pair pair = pair_of("server", NULL, "ca", "tunnel.example");

    pair_run(&pair);
    check(!pair.server.completed);
    check(refused_by(&pair.server, &pair.client, REASON_CERTIFICATE, REASON_CERTIFICATE,
                     "the client's certificate was not shown"));
    check(pair.client.peer_error.error_code == 0x174);
    pair_end(&pair);
}

TEST(a_client_whose_certificate_names_nobody_is_refused)
{
    check(client_refused("nameless", "no usable DNS or URI name"));
}

TEST(a_server_of_a_foreign_ca_is_refused_on_both_sides)
{
    check(server_refused("foreign", "tunnel.example", REASON_CERTIFICATE,
                         "the server's certificate, for tunnel.example, is not signed by a CA"));
}

TEST(a_server_with_another_name_is_refused_on_both_sides)
{
    check(server_refused("ca", "other.example", REASON_SERVER_NAME,
                         "the server's certificate is not for other.example"));
}

TEST(the_common_name_is_no_name)
{
    struct pair pair = pair_of("server", "client", "ca", "server");

    pair_run(&pair);
    check(!pair.client.completed);
    check(handshake_reason(&pair.client.handshake, NULL) == REASON_SERVER_NAME);
    pair_end(&pair);
}

TEST(a_client_certificate_does_not_make_a_server)
{
    struct pair pair = pair_of("client", "client", "ca", "tunnel.example");

    pair_run(&pair);
    check(!pair.client.completed);
    check(refused_by(&pair.client, &pair.server, REASON_CERTIFICATE, REASON_CERTIFICATE,
                     "is not for this use"));
    pair_end(&pair);
}

TEST(another_protocol_is_refused_with_code_0x178)
{
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");

    pair.client_alpn = "h3";
    pair_run(&pair);
    check(!pair.client.completed && !pair.server.completed);
    check(refused_by(&pair.server, &pair.client, REASON_NO_ALPN, REASON_NO_ALPN, "protocols"));
    check(pair.client.peer_error.error_code == 0x178);
    pair_end(&pair);
}

TEST(a_peer_without_protocol_is_refused_with_code_0x178)
{
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");

    pair.client_alpn = NULL;
    pair_run(&pair);
    check(!pair.server.completed);
    check(refused_by(&pair.server, &pair.client, REASON_NO_ALPN, REASON_NO_ALPN,
                     "the peer does not speak qmux/2"));
    check(pair.client.peer_error.error_code == 0x178);
    pair_end(&pair);
    pair = pair_of("server", "client", "ca", "tunnel.example");
    pair.server_alpn = NULL;
    pair_run(&pair);
    check(!pair.client.completed && !pair.server.completed);
    check(refused_by(&pair.client, &pair.server, REASON_NO_ALPN, REASON_NO_ALPN,
                     "the peer does not speak qmux/2"));
    pair_end(&pair);
}

TEST(the_first_flight_fits_one_packet)
{
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");
    uint8_t packet[1200];

    check(pair_client_open(&pair) == 0);
    check(ngtcp2_conn_write_pkt(pair.client.conn, NULL, NULL, packet, sizeof(packet), pair.now) ==
          1200);
    check(ngtcp2_conn_write_pkt(pair.client.conn, NULL, NULL, packet, sizeof(packet), pair.now) ==
          0);
    pair_end(&pair);
}

/* Some bytes on a stream, and everything that follows from them. */
static void exchange(struct pair *pair, int64_t stream)
{
    uint8_t packet[PAIR_PACKET_SIZE], bytes[100] = {1};
    ngtcp2_ssize length =
        ngtcp2_conn_write_stream(pair->client.conn, NULL, NULL, packet, sizeof(packet), NULL, 0,
                                 stream, bytes, sizeof(bytes), pair->now);

    if (length < 0)
        pair->client.rv = (int)length;
    else
        pair_read(pair, &pair->server, packet, (size_t)length);
    for (int turn = 0; turn < 4; turn++) {
        pair->now += 100000000;
        pair_flush(pair, &pair->server, &pair->client);
        pair_flush(pair, &pair->client, &pair->server);
    }
}

TEST(keys_and_identity_outlive_the_tls_session)
{
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");
    int64_t stream;

    pair_run(&pair);
    handshake_shrink(&pair.server.handshake);
    handshake_shrink(&pair.client.handshake);
    check(ngtcp2_conn_open_bidi_stream(pair.client.conn, &stream, NULL) == 0);
    for (int update = 0; update < 5; update++) {
        exchange(&pair, stream);
        check(pair.client.rv == 0 && pair.server.rv == 0);
        check(ngtcp2_conn_initiate_key_update(pair.client.conn, pair.now) == 0);
        exchange(&pair, stream);
        pair.now += 3000000000;
    }
    check(pair.client.rv == 0 && pair.server.rv == 0);
    check(strcmp(identity_name(handshake_identity(&pair.server.handshake)),
                 "spiffe://example/pod") == 0);
    pair_end(&pair);
}

/* Expired by the clock: the context was loaded while all was valid, the handshake comes later. */
static int64_t later(void *context)
{
    return time(NULL) + *(int64_t *)context;
}

TEST(an_expired_certificate_is_refused_on_both_sides)
{
    int64_t offset = 7200;
    const struct tls_hooks hooks = {.unix_time = later, .context = &offset};
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");

    check(tls_global_init(&hooks) == 0);
    pair_run(&pair);
    check(tls_global_init(&system_hooks) == 0);
    check(!pair.client.completed && !pair.server.completed);
    check(refused_by(&pair.client, &pair.server, REASON_CERTIFICATE, REASON_CERTIFICATE,
                     "has expired"));
    pair_end(&pair);
}

/* ---- determinism ---- */

static uint64_t generator;

static void seeded(void *context, void *to, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        generator = generator * 6364136223846793005ULL + 1442695040888963407ULL;
        ((uint8_t *)to)[i] = (uint8_t)(generator >> 56);
    }
}

static int64_t still(void *context)
{
    return *(int64_t *)context;
}

static uint64_t trace_of(uint64_t seed)
{
    int64_t now = time(NULL);
    const struct tls_hooks hooks = {still, seeded, &now};
    struct pair pair;
    uint64_t trace = 0;

    generator = seed;
    if (tls_global_init(&hooks) != 0)
        return 0;
    pair = pair_of("server", "client", "ca", "tunnel.example");
    pair_run(&pair);
    if (pair.client.completed && pair.server.completed)
        trace = pair.trace;
    pair_end(&pair);
    return trace;
}

TEST(the_same_seed_gives_the_same_flights_byte_by_byte)
{
    uint64_t first = trace_of(7), again = trace_of(7), other = trace_of(8);

    check(tls_global_init(&system_hooks) == 0);
    check(first != 0 && first == again && other != 0 && first != other);
}

/* ---- CRYPTO bytes ---- */

/* Hands the handshake's CRYPTO bytes on in pieces of this size. */
static size_t piece;
static ngtcp2_callbacks whole;

static int recv_crypto_in_pieces(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset,
                                 const uint8_t *data, size_t length, void *user_data)
{
    int rv = 0;

    for (size_t at = 0; at < length && rv == 0; at += piece)
        rv = whole.recv_crypto_data(conn, level, offset + at, data + at,
                                    length - at < piece ? length - at : piece, user_data);
    return rv;
}

TEST(messages_may_be_cut_anywhere)
{
    handshake_callbacks(&whole);
    for (piece = 1; piece <= 1500; piece += piece < 64 ? 1 : 97) {
        struct pair pair = pair_of("server", "client", "ca", "tunnel.example");

        pair.recv_crypto_data = recv_crypto_in_pieces;
        pair_run(&pair);
        check(pair.client.completed && pair.server.completed);
        check(pair.client.rv == 0 && pair.server.rv == 0);
        pair_end(&pair);
    }
}

/* ---- failures of memory ---- */

TEST(a_handshake_survives_any_failed_allocation_and_leaks_nothing)
{
    struct pair pair = pair_of("server", "client", "ca", "tunnel.example");
    const struct pair fresh = pair;
    bool met;

    mem_count(true);
    for (uint64_t n = 1;; n++) {
        pair = fresh;
        mem_fail_at(n);
        pair_run(&pair);
        met = mem_failed();
        mem_fail_at(0);
        pair_close(&pair);
        check(mem_live() == 0);
        if (!met)
            break;
    }
    check(pair.client.completed && pair.server.completed);
    mem_count(false);
    tls_context_free(&pair.client_tls);
    tls_context_free(&pair.server_tls);
}

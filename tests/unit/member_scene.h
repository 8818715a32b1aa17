/* tests/unit/member_scene.h - a tunnel's server over a QUIC in memory and with a clock of the
 * test's own; clients made of bytes; and who opens connections on them.  Owner: the test; one scene
 * at a time. */
#ifndef TESTS_UNIT_MEMBER_SCENE_H
#define TESTS_UNIT_MEMBER_SCENE_H

#include "balancer/balancer.h"
#include "relay/tunnel_server.h"
#include "relay/tunnel_wire.h"
#include "tests/unit/certs.h"
#include "tests/unit/fake_quic.h"
#include "tests/unit/hand_worker.h"
#include "tests/unit/test.h"

struct scene {
    struct hand_worker hand;
    struct certs certs;
    struct tls_settings tls;
    struct tunnel_settings tunnel;
    struct addr listen;
    char *allow;
    struct identity identity;
    struct identity_name name;
    struct tunnel_share share;
    struct tunnel_server *server;
    bool idle;
    char error[256];
};
extern struct scene scene;
bool scene_open(enum tunnel_replay replay);
bool scene_close(void);
/* Of the tunnel's pool. */
uint32_t members(void);
struct member *member_at(uint32_t index);

/* A client made of bytes: what it is to say is written by the test. */
struct raw_client {
    struct quic_connection *quic; /* NULL once closed */
    struct stream *control, *opened;
    uint32_t opened_bytes;
    struct wire_message heard; /* the last message */
    struct quic_closing closing;
    bool stream_closed;
    struct list link;
};
void raw_dial(struct raw_client *raw);
void raw_write(struct stream *stream, const void *data, size_t length);
void raw_register_slot(struct raw_client *raw, uint8_t instance, uint16_t version, uint8_t slot);
void raw_register(struct raw_client *raw, uint8_t instance, uint16_t version);
void raw_answer(struct raw_client *raw, const char *bytes);

/* A session's side. */
struct user {
    struct open_request request;
    struct stream *stream;
    uint64_t drained;
    int failed, confirmed;
    bool may_replay;
    enum reason reason;
};
extern const struct open_events user_events;
void user_open(struct user *user); /* over the pool's first member, which must not refuse */

#endif

/* tests/unit/fake_quic.h - quic/quic.h in memory: pairs of connections on one worker, without
 * packets, so that claims about tunnels need neither sockets nor handshakes.  A test program that
 * includes this is linked with it, and it stands before the real engine.
 *
 * What is written arrives, and is acknowledged, when the connection's task runs; events come from
 * there only.  A connection that is cut neither hears nor is heard. */
#ifndef TESTS_UNIT_FAKE_QUIC_H
#define TESTS_UNIT_FAKE_QUIC_H

#include "core/identity.h"
#include "quic/quic.h"

/* Who the next client to connect is; NULL: nobody.  Borrowed while its connections live. */
extern const struct identity *fake_identity;
/* The largest datagram that the path takes. */
extern uint32_t fake_datagram_room;

/* Cuts both ends of a connection off from each other, or joins them again. */
void fake_quic_cut(struct quic_connection *connection, bool cut);
/* The newest connection's two ends; NULL when gone. */
struct quic_connection *fake_quic_client(void);
struct quic_connection *fake_quic_server(void);
uint32_t fake_quic_connections(void); /* ends that are not closed yet */
uint32_t fake_quic_dials(void);       /* calls of quic_connect so far */

#endif

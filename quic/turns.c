/* Whose turn it is to send: who stands where, and how far each has come. */
#include "quic/quic_end.h"

/* A request, an answer, a message of the tunnel itself does not wait for what many others have in
 * bulk; who goes on stands behind them after a turn's bytes. */
void quic_end_queue(struct quic_end *end)
{
    struct quic_connection *connection = end->connection;

    end->fresh = !end->unsent || end->turn_bytes < QUIC_END_TURN;
    if (!end->fresh)
        end->turn_bytes = 0;
    if (!end->unsent)
        list_append(connection->fresh.next, &end->ready_link);
    else
        list_append(end->fresh ? &connection->fresh : &connection->ready, &end->ready_link);
}

/* Those who wait behind have a fifth at the least. */
void quic_end_count_turn(struct quic_end *end, uint32_t length)
{
    struct quic_connection *connection = end->connection;
    uint32_t back = QUIC_END_FRESH_SHARE * length;

    end->turn_bytes += length;
    if (list_empty(&connection->ready))
        connection->fresh_lead = 0;
    else if (end->fresh)
        connection->fresh_lead += length;
    else
        connection->fresh_lead -= back < connection->fresh_lead ? back : connection->fresh_lead;
}

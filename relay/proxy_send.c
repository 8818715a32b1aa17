#include "relay/proxy_send.h"

#include "relay/proxy_header.h"

bool proxy_send(struct worker *worker, struct stream *stream, enum send_proxy version,
                const struct addr *source, const struct addr *destination)
{
    uint8_t header[PROXY_HEADER_MAX];
    struct piece *piece;
    size_t length;

    if (version == SEND_PROXY_NO)
        return true;
    if (version == SEND_PROXY_V1)
        length = proxy_header_v1(source, destination, header);
    else
        length = proxy_header_v2(source, destination, false, header);
    piece = piece_copy(worker->pools, header, (uint32_t)length);
    if (!piece)
        return false;
    stream->preamble += length;
    stream_write(stream, piece);
    return true;
}

/* What a stream of QUIC is asked and told beside what every stream is. */
#include "quic/quic_end.h"

bool quic_stream_acknowledged(const struct stream *stream)
{
    return container_of(stream, const struct quic_end, stream)->acknowledged;
}

void quic_stream_set_code(struct stream *stream, uint64_t code)
{
    quic_end_of(stream)->code = code;
}

uint64_t quic_stream_peer_code(const struct stream *stream)
{
    return container_of(stream, const struct quic_end, stream)->peer_code;
}

#include "quic/initial.h"

#include <string.h>

#include "core/buf.h"
#include "quic/keys.h"

enum { SAMPLE_AT = 4 /* behind the begin of the packet number, however long that is */ };

struct sealed {
    ngtcp2_pkt_hd header;
    const uint8_t *data;
    size_t number_at; /* where the packet number begins, behind all else of the header */
    size_t length;    /* of the packet, header and all */
};

static bool sealed_read(struct sealed *sealed, const uint8_t *data, size_t length)
{
    ngtcp2_ssize at = ngtcp2_pkt_decode_hd_long(&sealed->header, data, length);

    if (at < 0 || sealed->header.len > length - (size_t)at ||
        sealed->header.len < SAMPLE_AT + PROTECT_SAMPLE_SIZE)
        return false;
    sealed->data = data;
    sealed->number_at = (size_t)at;
    sealed->length = (size_t)at + sealed->header.len;
    return true;
}

/* Copies the header, unmasked, to where it is read in clear, and mixes the number into the nonce.
 * Returns its length. */
static size_t sealed_unmask(const struct sealed *sealed, const uint8_t mask[PROTECT_MASK_SIZE],
                            uint8_t *header, uint8_t nonce[PROTECT_NONCE_SIZE])
{
    uint8_t first = sealed->data[0] ^ (mask[0] & 0x0f);
    size_t number_length = (first & 3u) + 1, length = sealed->number_at + number_length;

    memcpy(header, sealed->data, length);
    header[0] = first;
    for (size_t i = 0; i < number_length; i++) {
        header[sealed->number_at + i] ^= mask[1 + i];
        nonce[PROTECT_NONCE_SIZE - number_length + i] ^= header[sealed->number_at + i];
    }
    return length;
}

/* `clear` has room for the whole packet. */
static bool sealed_open(const struct sealed *sealed, struct protect_key *key,
                        struct protect_mask_key *mask_key, uint8_t *nonce, uint8_t *clear)
{
    uint8_t mask[PROTECT_MASK_SIZE];
    size_t header;

    protect_chosen()->mask(mask_key, sealed->data + sealed->number_at + SAMPLE_AT, mask);
    header = sealed_unmask(sealed, mask, clear, nonce);
    return protect_chosen()->open(key, &(struct protect_packet){.nonce = nonce,
                                                                .aad = clear,
                                                                .aad_length = header,
                                                                .in = sealed->data + header,
                                                                .length = sealed->length - header,
                                                                .out = clear + header});
}

static bool sealed_opens(const struct sealed *sealed, uint8_t *clear)
{
    const struct protect *protect = protect_chosen();
    uint32_t version = sealed->header.version;
    struct protect_mask_key *mask_key;
    struct protect_key *key;
    struct packet_keys keys;
    uint8_t secret[32];
    bool opens;

    if (keys_initial_secrets(version, &sealed->header.dcid, secret, NULL) != 0 ||
        keys_derive(&keys, version, PROTECT_AES_128_GCM, secret) != 0)
        return false;
    key = protect->key_new(PROTECT_AES_128_GCM, keys.key);
    mask_key = protect->mask_key_new(PROTECT_AES_128_GCM, keys.mask);
    opens = key && mask_key && sealed_open(sealed, key, mask_key, keys.nonce, clear);
    protect->key_free(key);
    protect->mask_key_free(mask_key);
    return opens;
}

bool initial_opens(struct pools *pools, const uint8_t *data, size_t length)
{
    struct sealed sealed;
    struct chunk *chunk;
    bool opens;

    if (!sealed_read(&sealed, data, length))
        return false;
    chunk = chunk_take(pools, sealed.length <= POOL_SMALL_SIZE ? POOL_SMALL : POOL_LARGE);
    opens = chunk && sealed.length <= chunk->size && sealed_opens(&sealed, chunk->data);
    if (chunk)
        chunk_drop(chunk);
    return opens;
}

#include "core/tls.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include "core/aes.h"
#include "core/identity.h"
#include "core/key_file.h"
#include "core/mem.h"

struct tls_context {
    WOLFSSL_CTX *ctx;
    bool has_key;
    uint8_t root[32]; /* derived from the private key; tls_secret derives from it */
};

/* Where a sentence goes. */
struct complaint {
    char *text;
    size_t size;
};

static const char suites[] = "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384";

/* ---- the library ---- */

static struct tls_hooks installed;
static bool library_ready;

static time_t hook_time(time_t *to)
{
    time_t now = (time_t)installed.unix_time(installed.context);

    if (to)
        *to = now;
    return now;
}

static int hook_seed(OS_Seed *os, uint8_t *seed, word32 size)
{
    installed.random(installed.context, seed, size);
    return 0;
}

/* Tables that wolfSSL fills at first use are not made for threads: use them once before there are.
 */
static int touch_globals(void)
{
    uint8_t digest[WC_SHA384_DIGEST_SIZE], key[16] = {0}, byte;
    struct aes_key *aes = aes_key_new(key);
    bool touched = aes && wc_Sha256Hash(key, sizeof(key), digest) == 0 &&
                   wc_Sha384Hash(key, sizeof(key), digest) == 0 &&
                   wolfSSL_RAND_bytes(&byte, 1) == WOLFSSL_SUCCESS;

    aes_key_free(&aes);
    return touched ? 0 : -EIO;
}

int tls_global_init(const struct tls_hooks *hooks)
{
    if (!library_ready) {
        if (wolfSSL_SetAllocators(mem_raw, mem_free, mem_resize) != 0 ||
            wolfSSL_Init() != WOLFSSL_SUCCESS)
            return -EIO;
        library_ready = true;
    }
    installed = *hooks;
    wc_SetTimeCb(installed.unix_time ? hook_time : NULL);
    wc_SetSeed_Cb(installed.random ? hook_seed : WC_GENERATE_SEED_DEFAULT);
    wolfSSL_RAND_Cleanup(); /* the next use seeds it anew, from these hooks */
    return touch_globals();
}

void tls_global_release(void)
{
    if (!library_ready)
        return;
    wolfSSL_Cleanup();
    wc_SetTimeCb(NULL);
    library_ready = false;
}

const char *tls_version(void)
{
    return "wolfSSL " LIBWOLFSSL_VERSION_STRING;
}

/* ---- what a file must be ---- */

static int64_t now_seconds(void)
{
    return installed.unix_time ? installed.unix_time(installed.context) : (int64_t)time(NULL);
}

static int check_dates(const struct certificate_facts *facts, const char *path,
                       const struct complaint *complaint)
{
    int64_t now = now_seconds();
    time_t limit = (time_t)(now < facts->not_before ? facts->not_before : facts->not_after);
    struct tm calendar;
    char date[32];

    if (now >= facts->not_before && now <= facts->not_after)
        return 0;
    gmtime_r(&limit, &calendar);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &calendar);
    snprintf(complaint->text, complaint->size, "%s: %s %s", path,
             now < facts->not_before ? "not valid before" : "expired on", date);
    return -EINVAL;
}

/* The certificates of a PEM file in order: each within its dates and issued by the one after it. */
static int check_chain(const struct key_file *file, const char *path,
                       const struct complaint *complaint)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    const char *at = (const char *)file->data;
    struct certificate_facts facts, before = {0};

    for (unsigned number = 1; (at = strstr(at, begin)) != NULL; number++, at += sizeof(begin)) {
        DerBuffer *der = NULL;
        long left = (long)(file->length - (size_t)(at - (const char *)file->data));
        int rc = wc_PemToDer((const uint8_t *)at, left, CERT_TYPE, &der, NULL, NULL, NULL);

        rc = rc == 0 ? certificate_facts(der->buffer, der->length, &facts) : -EINVAL;
        wc_FreeDer(&der);
        if (rc != 0) {
            snprintf(complaint->text, complaint->size, "%s: certificate %u cannot be read", path,
                     number);
            return rc;
        }
        if (check_dates(&facts, path, complaint) != 0)
            return -EINVAL;
        if (number > 1 && memcmp(before.issuer, facts.subject, sizeof(facts.subject)) != 0) {
            snprintf(complaint->text, complaint->size,
                     "%s: certificate %u is not the issuer of certificate %u", path, number,
                     number - 1);
            return -EINVAL;
        }
        before = facts;
    }
    return 0;
}

static int complain(const struct complaint *complaint, const char *path, const char *what)
{
    snprintf(complaint->text, complaint->size, "%s: %s", path, what);
    return -EINVAL;
}

/* ---- contexts ---- */

static int use_certificate(struct tls_context *context, const char *path,
                           const struct complaint *complaint)
{
    struct key_file file;
    int rc = key_file_read(path, false, &file, complaint->text, complaint->size);

    if (rc != 0)
        return rc;
    if (wolfSSL_CTX_use_certificate_chain_buffer(context->ctx, file.data, (long)file.length) !=
        WOLFSSL_SUCCESS)
        rc = complain(complaint, path, "not a certificate in PEM");
    else
        rc = check_chain(&file, path, complaint);
    key_file_release(&file);
    return rc;
}

static int derive_root(struct tls_context *context, const struct key_file *pem)
{
    uint8_t *der = mem_raw(pem->length);
    int length, rc = -EINVAL;

    if (!der)
        return -ENOMEM;
    length = wc_KeyPemToDer(pem->data, (int)pem->length, der, (int)pem->length, NULL);
    if (length > 0)
        rc = derive_key(der, (size_t)length, "qmux-uring", "private key", context->root,
                        sizeof(context->root));
    wipe(der, pem->length);
    mem_free(der);
    context->has_key = rc == 0;
    return rc;
}

static int use_key(struct tls_context *context, const struct tls_files *files,
                   const struct complaint *complaint)
{
    struct key_file file;
    int rc = key_file_read(files->key, true, &file, complaint->text, complaint->size);

    if (rc != 0)
        return rc;
    if (wolfSSL_CTX_use_PrivateKey_buffer(context->ctx, file.data, (long)file.length,
                                          WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS ||
        derive_root(context, &file) != 0)
        rc = complain(complaint, files->key, "not an unencrypted private key in PEM");
    else if (wolfSSL_CTX_check_private_key(context->ctx) != WOLFSSL_SUCCESS) {
        snprintf(complaint->text, complaint->size, "%s: not the key of %s", files->key,
                 files->cert);
        rc = -EINVAL;
    }
    key_file_release(&file);
    return rc;
}

static int use_ca(struct tls_context *context, const char *path, const struct complaint *complaint)
{
    struct key_file file;
    int rc = key_file_read(path, false, &file, complaint->text, complaint->size);

    if (rc != 0)
        return rc;
    switch (wolfSSL_CTX_load_verify_buffer(context->ctx, file.data, (long)file.length,
                                           WOLFSSL_FILETYPE_PEM)) {
    case WOLFSSL_SUCCESS:
        break;
    case ASN_AFTER_DATE_E:
        rc = complain(complaint, path, "a CA certificate in it has expired");
        break;
    case ASN_BEFORE_DATE_E:
        rc = complain(complaint, path, "a CA certificate in it is not valid yet");
        break;
    case NOT_CA_ERROR:
        rc = complain(complaint, path, "a certificate in it is not a CA's");
        break;
    default:
        rc = complain(complaint, path, "no CA certificates in PEM");
    }
    key_file_release(&file);
    return rc;
}

static int use_files(struct tls_context *context, const struct tls_files *files,
                     const struct complaint *complaint)
{
    int rc = 0;

    if (!files->cert != !files->key)
        return complain(complaint, files->cert ? files->cert : files->key,
                        "a certificate and its key go together");
    if (files->cert)
        rc = use_certificate(context, files->cert, complaint);
    if (rc == 0 && files->key)
        rc = use_key(context, files, complaint);
    if (rc == 0 && files->ca)
        rc = use_ca(context, files->ca, complaint);
    return rc;
}

/* Every handshake is a full one: no tickets, no cache. */
static bool set_policy(WOLFSSL_CTX *ctx, bool server)
{
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1};

    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    return wolfSSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_cipher_list(ctx, suites) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_groups(ctx, groups, ARRAY_COUNT(groups)) == WOLFSSL_SUCCESS &&
           (!server || wolfSSL_CTX_no_ticket_TLSv13(ctx) == 0);
}

static struct tls_context *context_new(bool server, const struct tls_files *files, int verify,
                                       const struct complaint *complaint)
{
    struct tls_context *context = mem_new(sizeof(*context));

    snprintf(complaint->text, complaint->size, "TLS: out of memory");
    if (!context)
        return NULL;
    context->ctx =
        wolfSSL_CTX_new(server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method());
    if (!context->ctx || !set_policy(context->ctx, server) ||
        use_files(context, files, complaint) != 0)
        tls_context_free(&context);
    else
        wolfSSL_CTX_set_verify(context->ctx, verify, NULL);
    return context;
}

struct tls_context *tls_server_new(const struct tls_files *files, enum tls_client_auth client_auth,
                                   char *error, size_t error_size)
{
    static const int verify[] = {
        [TLS_CLIENT_NONE] = WOLFSSL_VERIFY_NONE,
        [TLS_CLIENT_OPTIONAL] = WOLFSSL_VERIFY_PEER,
        [TLS_CLIENT_REQUIRED] = WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    struct complaint complaint = {error, error_size};

    if (!files->cert || !files->key) {
        snprintf(error, error_size, "TLS: a server needs a certificate and a key");
        return NULL;
    }
    return context_new(true, files, verify[client_auth], &complaint);
}

struct tls_context *tls_client_new(const struct tls_files *files, char *error, size_t error_size)
{
    struct complaint complaint = {error, error_size};

    return context_new(false, files, WOLFSSL_VERIFY_PEER, &complaint);
}

void tls_context_free(struct tls_context **context)
{
    if (!*context)
        return;
    wolfSSL_CTX_free((*context)->ctx);
    wipe(*context, sizeof(**context));
    mem_free(*context);
    *context = NULL;
}

struct WOLFSSL_CTX *tls_native(const struct tls_context *context)
{
    return context->ctx;
}

int tls_secret(const struct tls_context *context, const char *label, uint8_t secret[32])
{
    if (!context->has_key)
        return -ENOENT;
    return derive_key(context->root, sizeof(context->root), "qmux-uring secret", label, secret, 32);
}

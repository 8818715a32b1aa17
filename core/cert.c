#include "core/cert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

#include "core/aes.h"
#include "core/der.h"
#include "core/key_file.h"
#include "core/mem.h"

enum { DER_SIZE = 16384, NAMES_SIZE = 6144, KEY_DER_SIZE = 256, PEM_SIZE = 24576 };

/* Everything one making needs; too large for a stack. */
struct maker {
    const struct cert_request *request;
    char *error;
    size_t error_size;
    WC_RNG rng;
    ecc_key key, ca_key;
    uint8_t ca_der[DER_SIZE];
    int ca_der_length;
    Cert cert;
    uint8_t der[DER_SIZE], key_der[KEY_DER_SIZE];
    char cert_pem[PEM_SIZE], key_pem[2048];
    int cert_pem_length, key_pem_length;
};

static const struct use {
    const char *key_usage, *extended_key_usage;
} uses[] = {
    [CERT_CA] = {"keyCertSign,cRLSign", NULL        },
    [CERT_SERVER] = {"digitalSignature",    "serverAuth"},
    [CERT_CLIENT] = {"digitalSignature",    "clientAuth"},
};

static int maker_error(struct maker *maker, int rc, const char *what)
{
    snprintf(maker->error, maker->error_size, "%s: %s", maker->request->cert, what);
    return rc;
}

static bool signed_by_itself(const struct cert_request *request)
{
    return request->use == CERT_CA || request->self_signed;
}

/* The body grows by a SAN, which wolfSSL writes only when built to. */
static int maker_add_names(struct maker *maker)
{
    const struct cert_request *request = maker->request;
    uint8_t list[NAMES_SIZE];
    struct der names = {list, 0, sizeof(list), 0};
    size_t length = (size_t)maker->cert.bodySz;
    int rc;

    for (uint32_t i = 0; i < request->dns_count; i++)
        der_add_host(&names, request->dns[i]);
    if (request->uri)
        der_add_uri(&names, request->uri);
    if (names.length == 0 && !names.failed)
        return 0;
    rc = names.failed ? names.failed : der_insert_names(maker->der, &length, DER_SIZE, &names);
    maker->cert.bodySz = (int)length;
    return rc == 0 ? 0 : maker_error(maker, rc, "its names could not be set; are they too long?");
}

/* ---- the signer ---- */

static int ca_key_load(struct maker *maker, const struct key_file *pem)
{
    uint8_t der[KEY_DER_SIZE];
    word32 index = 0;
    int length = wc_KeyPemToDer(pem->data, (int)pem->length, der, sizeof(der), NULL);
    int rc = length > 0 ? wc_EccPrivateKeyDecode(der, &index, &maker->ca_key, (word32)length) : -1;

    wipe(der, sizeof(der));
    return rc == 0 ? 0 : -EINVAL;
}

/* A key that is not the certificate's would make certificates that nobody accepts. */
static bool ca_pair_matches(const struct key_file *cert, const struct key_file *key)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    bool matches = ctx &&
                   wolfSSL_CTX_use_certificate_buffer(ctx, cert->data, (long)cert->length,
                                                      WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
                   wolfSSL_CTX_use_PrivateKey_buffer(ctx, key->data, (long)key->length,
                                                     WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
                   wolfSSL_CTX_check_private_key(ctx) == WOLFSSL_SUCCESS;

    wolfSSL_CTX_free(ctx);
    return matches;
}

static int ca_use(struct maker *maker, const struct key_file *cert, const struct key_file *key)
{
    const struct cert_request *request = maker->request;

    maker->ca_der_length = wc_CertPemToDer(cert->data, (int)cert->length, maker->ca_der,
                                           sizeof(maker->ca_der), CERT_TYPE);
    if (maker->ca_der_length <= 0) {
        snprintf(maker->error, maker->error_size, "%s: not a PEM certificate", request->ca_cert);
        return -EINVAL;
    }
    if (ca_key_load(maker, key) != 0) {
        snprintf(maker->error, maker->error_size, "%s: not an ECDSA key in PEM", request->ca_key);
        return -EINVAL;
    }
    if (!ca_pair_matches(cert, key)) {
        snprintf(maker->error, maker->error_size, "%s: not the key of %s", request->ca_key,
                 request->ca_cert);
        return -EINVAL;
    }
    return 0;
}

static int ca_load(struct maker *maker)
{
    const struct cert_request *request = maker->request;
    struct key_file cert, key;
    int rc = key_file_read(request->ca_cert, false, &cert, maker->error, maker->error_size);

    if (rc != 0)
        return rc;
    rc = key_file_read(request->ca_key, true, &key, maker->error, maker->error_size);
    if (rc == 0)
        rc = ca_use(maker, &cert, &key);
    key_file_release(&key);
    key_file_release(&cert);
    return rc;
}

/* ---- the certificate ---- */

static int maker_set_subject(struct maker *maker)
{
    const struct cert_request *request = maker->request;
    const struct use *use = &uses[request->use];
    Cert *cert = &maker->cert;

    if (wc_InitCert(cert) != 0)
        return maker_error(maker, -ENOMEM, "out of memory");
    if (strlen(request->common_name) >= sizeof(cert->subject.commonName))
        return maker_error(maker, -EINVAL, "the common name is too long");
    memcpy(cert->subject.commonName, request->common_name, strlen(request->common_name) + 1);
    cert->sigType = CTC_SHA256wECDSA;
    cert->isCA = request->use == CERT_CA;
    cert->selfSigned = signed_by_itself(request);
    cert->beforeDateSz = der_date(cert->beforeDate, request->not_before);
    cert->afterDateSz = der_date(cert->afterDate, request->not_after);
    if (wc_SetKeyUsage(cert, use->key_usage) != 0 ||
        (use->extended_key_usage && wc_SetExtKeyUsage(cert, use->extended_key_usage) != 0))
        return maker_error(maker, -EINVAL, "its usage could not be set");
    return 0;
}

static int maker_set_keys(struct maker *maker)
{
    Cert *cert = &maker->cert;
    int rc = wc_SetSubjectKeyIdFromPublicKey_ex(cert, ECC_TYPE, &maker->key);

    if (rc == 0 && signed_by_itself(maker->request))
        rc = wc_SetAuthKeyIdFromPublicKey_ex(cert, ECC_TYPE, &maker->key);
    if (rc == 0 && !signed_by_itself(maker->request)) {
        rc = wc_SetIssuerBuffer(cert, maker->ca_der, maker->ca_der_length);
        if (rc == 0)
            rc = wc_SetAuthKeyIdFromCert(cert, maker->ca_der, maker->ca_der_length);
    }
    return rc == 0 ? 0 : maker_error(maker, -EINVAL, "its key identifiers could not be set");
}

static int maker_sign(struct maker *maker)
{
    ecc_key *signer = signed_by_itself(maker->request) ? &maker->key : &maker->ca_key;
    int length = wc_SignCert_ex(maker->cert.bodySz, maker->cert.sigType, maker->der,
                                sizeof(maker->der), ECC_TYPE, signer, &maker->rng);

    if (length > 0)
        maker->cert_pem_length = wc_DerToPem(maker->der, (word32)length, (uint8_t *)maker->cert_pem,
                                             sizeof(maker->cert_pem), CERT_TYPE);
    return maker->cert_pem_length > 0 ? 0 : maker_error(maker, -EINVAL, "it could not be signed");
}

static int maker_make(struct maker *maker)
{
    int rc;

    if (wc_MakeCert_ex(&maker->cert, maker->der, sizeof(maker->der), ECC_TYPE, &maker->key,
                       &maker->rng) <= 0)
        return maker_error(maker, -EINVAL, "it could not be made");
    rc = maker_add_names(maker);
    return rc == 0 ? maker_sign(maker) : rc;
}

static int maker_encode_key(struct maker *maker)
{
    int length = wc_EccKeyToDer(&maker->key, maker->key_der, sizeof(maker->key_der));

    if (length > 0)
        maker->key_pem_length =
            wc_DerToPem(maker->key_der, (word32)length, (uint8_t *)maker->key_pem,
                        sizeof(maker->key_pem), ECC_PRIVATEKEY_TYPE);
    return maker->key_pem_length > 0 ? 0 : maker_error(maker, -EINVAL, "its key cannot be encoded");
}

static int maker_write(struct maker *maker)
{
    const struct cert_request *request = maker->request;
    int rc = key_file_write(request->key, true, maker->key_pem, (size_t)maker->key_pem_length,
                            request->force, maker->error, maker->error_size);

    if (rc != 0)
        return rc;
    rc = key_file_write(request->cert, false, maker->cert_pem, (size_t)maker->cert_pem_length,
                        request->force, maker->error, maker->error_size);
    if (rc != 0 && !request->force)
        unlink(request->key);
    return rc;
}

static int maker_run(struct maker *maker)
{
    int rc = signed_by_itself(maker->request) ? 0 : ca_load(maker);

    if (rc == 0 && wc_ecc_make_key_ex(&maker->rng, 32, &maker->key, ECC_SECP256R1) != 0)
        rc = maker_error(maker, -EIO, "its key could not be made");
    if (rc == 0)
        rc = maker_set_subject(maker);
    if (rc == 0)
        rc = maker_set_keys(maker);
    if (rc == 0)
        rc = maker_make(maker);
    if (rc == 0)
        rc = maker_encode_key(maker);
    if (rc == 0)
        rc = maker_write(maker);
    return rc;
}

static int refuse_existing(const struct cert_request *request, char *error, size_t error_size)
{
    const char *paths[] = {request->cert, request->key};

    for (size_t i = 0; i < ARRAY_COUNT(paths) && !request->force; i++)
        if (access(paths[i], F_OK) == 0) {
            snprintf(error, error_size, "%s: exists already", paths[i]);
            return -EEXIST;
        }
    return 0;
}

int cert_make(const struct cert_request *request, char *error, size_t error_size)
{
    struct maker *maker;
    int rc = refuse_existing(request, error, error_size);

    if (rc != 0)
        return rc;
    maker = mem_new(sizeof(*maker));
    if (!maker) {
        snprintf(error, error_size, "out of memory");
        return -ENOMEM;
    }
    maker->request = request;
    maker->error = error;
    maker->error_size = error_size;
    if (wc_InitRng(&maker->rng) != 0) {
        rc = maker_error(maker, -EIO, "no random numbers");
        goto free_maker;
    }
    rc = wc_ecc_init(&maker->key) == 0 && wc_ecc_init(&maker->ca_key) == 0 ? maker_run(maker)
                                                                           : -ENOMEM;
    wc_ecc_free(&maker->ca_key);
    wc_ecc_free(&maker->key);
    wc_FreeRng(&maker->rng);
free_maker:
    wipe(maker, sizeof(*maker));
    mem_free(maker);
    return rc;
}

#include "core/cert.h"

#include <errno.h>
#include <sys/stat.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#include "core/identity.h"
#include "core/key_file.h"
#include "core/mem.h"
#include "core/tls.h"
#include "tests/unit/certs.h"
#include "tests/unit/test.h"

static const struct tls_hooks system_hooks;

__attribute__((constructor)) static void library_start(void)
{
    must(tls_global_init(&system_hooks) == 0);
}

static int der_of(struct certs *certs, const char *name, uint8_t *der, size_t size)
{
    struct key_file file;
    int length;

    if (key_file_read(certs_path(certs, name, "crt"), false, &file, certs->error,
                      sizeof(certs->error)) != 0)
        return -1;
    length = wc_CertPemToDer(file.data, (int)file.length, der, (int)size, CERT_TYPE);
    key_file_release(&file);
    return length;
}

/* What wolfSSL's own verification says of a certificate against a CA. */
static int verify(struct certs *certs, const char *name, const char *ca)
{
    WOLFSSL_CERT_MANAGER *manager = wolfSSL_CertManagerNew();
    int rc = wolfSSL_CertManagerLoadCA(manager, certs_path(certs, ca, "crt"), NULL);

    if (rc == WOLFSSL_SUCCESS)
        rc = wolfSSL_CertManagerVerify(manager, certs_path(certs, name, "crt"),
                                       WOLFSSL_FILETYPE_PEM);
    wolfSSL_CertManagerFree(manager);
    return rc;
}

TEST(a_ca_signs_servers_and_clients_that_verify)
{
    struct certs certs;

    check(certs_open(&certs) && certs_ca(&certs, "ca") && certs_ca(&certs, "other"));
    check(certs_leaf(&certs, CERT_SERVER, "server", "ca", "tunnel.example", NULL));
    check(certs_leaf(&certs, CERT_CLIENT, "client", "ca", "pod.example", "spiffe://a/b"));
    check(verify(&certs, "server", "ca") == WOLFSSL_SUCCESS);
    check(verify(&certs, "client", "ca") == WOLFSSL_SUCCESS);
    check(verify(&certs, "client", "other") != WOLFSSL_SUCCESS);
    certs_close(&certs);
}

TEST(keys_are_closed_to_others_and_certificates_are_not)
{
    struct certs certs;
    struct stat status;

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    check(stat(certs_path(&certs, "ca", "key"), &status) == 0 && (status.st_mode & 07777) == 0600);
    check(stat(certs_path(&certs, "ca", "crt"), &status) == 0 && (status.st_mode & 07777) == 0644);
    certs_close(&certs);
}

TEST(an_existing_file_is_left_alone_unless_forced)
{
    struct certs certs;
    struct cert_request request;
    uint8_t before[2048], after[2048];
    char error[256];
    int length;

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    length = der_of(&certs, "ca", before, sizeof(before));
    request = certs_request(&certs, CERT_CA, "ca", "ca");
    check(cert_make(&request, error, sizeof(error)) == -EEXIST);
    check(strstr(error, "exists"));
    check(der_of(&certs, "ca", after, sizeof(after)) == length);
    check(memcmp(before, after, (size_t)length) == 0);
    request.force = true;
    check(cert_make(&request, error, sizeof(error)) == 0);
    check(der_of(&certs, "ca", after, sizeof(after)) > 0);
    check(memcmp(before, after, (size_t)length) != 0);
    certs_close(&certs);
}

TEST(dates_are_those_asked_for_past_2050_too)
{
    struct certs certs;
    struct cert_request request;
    struct certificate_facts facts;
    uint8_t der[2048];
    int length;

    check(certs_open(&certs));
    request = certs_request(&certs, CERT_CA, "ca", "ca");
    request.not_before = 946684800; /* 2000-01-01 */
    request.not_after = 2840140800; /* 2060-01-01 */
    check(certs_make(&certs, &request) == 0);
    length = der_of(&certs, "ca", der, sizeof(der));
    check(certificate_facts(der, (size_t)length, &facts) == 0);
    check(facts.not_before == 946684800 && facts.not_after == 2840140800);
    certs_close(&certs);
}

TEST(an_expired_certificate_can_be_made_and_does_not_verify)
{
    struct certs certs;
    struct cert_request request;

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    request = certs_request(&certs, CERT_CLIENT, "old", "ca");
    request.not_after = time(NULL) - 60;
    request.uri = "spiffe://a/old";
    check(certs_make(&certs, &request) == 0);
    check(verify(&certs, "old", "ca") == ASN_AFTER_DATE_E);
    certs_close(&certs);
}

TEST(a_self_signed_certificate_needs_no_ca)
{
    struct certs certs;
    struct cert_request request;

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    request = certs_request(&certs, CERT_CLIENT, "self", "none");
    request.uri = "spiffe://a/self";
    request.self_signed = true;
    check(certs_make(&certs, &request) == 0);
    check(verify(&certs, "self", "ca") != WOLFSSL_SUCCESS);
    certs_close(&certs);
}

TEST(all_kinds_of_names_arrive_in_the_san_however_many)
{
    struct certs certs;
    struct cert_request request;
    const char *names[40] = {"tunnel.example", "192.0.2.7", "2001:db8::7", "*.wild.example"};
    char text[40][64];
    uint8_t der[8192];
    size_t length;

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    for (size_t i = 4; i < 40; i++) {
        snprintf(text[i], sizeof(text[i]), "a-rather-long-name-of-host-number-%zu.example", i);
        names[i] = text[i];
    }
    for (uint32_t count = 1; count <= 40; count++) {
        request = certs_request(&certs, CERT_SERVER, "server", "ca");
        request.force = true;
        request.dns = names;
        request.dns_count = count;
        request.uri = "spiffe://example/server";
        check(certs_make(&certs, &request) == 0);
        length = (size_t)der_of(&certs, "server", der, sizeof(der));
        check(certificate_is_for(der, length,
                                 names[count - 1][0] == '*' ? "x.wild.example" : names[count - 1]));
        check(verify(&certs, "server", "ca") == WOLFSSL_SUCCESS);
    }
    certs_close(&certs);
}

TEST(a_ca_key_that_is_not_the_certificates_is_refused)
{
    struct certs certs;
    struct cert_request request;
    char error[256];

    check(certs_open(&certs) && certs_ca(&certs, "ca") && certs_ca(&certs, "other"));
    request = certs_request(&certs, CERT_CLIENT, "client", "ca");
    request.ca_key = certs_path(&certs, "other", "key");
    check(cert_make(&request, error, sizeof(error)) == -EINVAL);
    check(strstr(error, "not the key of"));
    check(access(request.cert, F_OK) != 0 && access(request.key, F_OK) != 0);
    certs_close(&certs);
}

TEST(a_ca_key_that_others_can_read_is_refused)
{
    struct certs certs;
    struct cert_request request;
    char error[256];

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    request = certs_request(&certs, CERT_CLIENT, "client", "ca");
    check(chmod(request.ca_key, 0644) == 0);
    check(cert_make(&request, error, sizeof(error)) == -EPERM);
    certs_close(&certs);
}

TEST(making_survives_any_failed_allocation_and_leaves_nothing_behind)
{
    struct certs certs;
    struct cert_request request;
    const char *name = "client.example";
    char error[256];
    int rc;

    check(certs_open(&certs) && certs_ca(&certs, "ca"));
    request = certs_request(&certs, CERT_CLIENT, "client", "ca");
    request.dns = &name;
    request.dns_count = 1;
    mem_count(true);
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n);
        rc = cert_make(&request, error, sizeof(error));
        if (!mem_failed())
            break;
        check(mem_live() == 0);
        if (rc == 0) {
            unlink(request.cert);
            unlink(request.key);
        }
        check(access(request.cert, F_OK) != 0 && access(request.key, F_OK) != 0);
    }
    mem_fail_at(0);
    check(rc == 0 && mem_live() == 0);
    mem_count(false);
    certs_close(&certs);
}

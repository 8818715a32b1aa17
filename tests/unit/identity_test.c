#include "core/identity.h"

#include <errno.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

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

struct der {
    uint8_t data[8192];
    size_t length;
};

static bool made(struct der *der, const char *const *dns, uint32_t count, const char *uri)
{
    struct certs certs;
    struct cert_request request;
    struct key_file file = {0};
    int length = -1;

    if (!certs_open(&certs))
        return false;
    request = certs_request(&certs, CERT_CLIENT, "the common name", "none");
    request.self_signed = true;
    request.dns = dns;
    request.dns_count = count;
    request.uri = uri;
    if (certs_make(&certs, &request) == 0 &&
        key_file_read(request.cert, false, &file, certs.error, sizeof(certs.error)) == 0)
        length =
            wc_CertPemToDer(file.data, (int)file.length, der->data, sizeof(der->data), CERT_TYPE);
    key_file_release(&file);
    certs_close(&certs);
    der->length = length > 0 ? (size_t)length : 0;
    return length > 0;
}

static struct identity *identity_of(const struct der *der, int *error)
{
    return identity_of_certificate(der->data, der->length, error);
}

TEST(names_are_those_of_the_san_and_not_the_common_name)
{
    static const char *const dns[] = {"Pod-7.Example", "192.0.2.1"};
    struct identity *identity;
    struct der der;
    int error;

    check(made(&der, dns, 2, "spiffe://Example/Pod"));
    identity = identity_of(&der, &error);
    check(identity && identity->count == 2);
    check(strcmp(identity_name(identity), "pod-7.example") == 0 && !identity->names[0].uri);
    check(strcmp(identity->names[1].text, "spiffe://Example/Pod") == 0 && identity->names[1].uri);
    check(identity->expires > time(NULL) && identity->expires <= time(NULL) + 3600);
    identity_free(&identity);
    check(!identity && strcmp(identity_name(NULL), "-") == 0);
}

TEST(a_certificate_without_names_is_nobody)
{
    static const char *const address[] = {"192.0.2.1"};
    struct der der;
    int error;

    check(made(&der, NULL, 0, NULL));
    check(!identity_of(&der, &error) && error == -EINVAL);
    check(made(&der, address, 1, NULL));
    check(!identity_of(&der, &error) && error == -EINVAL);
}

TEST(names_with_control_bytes_or_blanks_or_nul_are_refused)
{
    static const char *const bad[] = {"pod\n.example", "pod .example", "pod\x7f.example",
                                      "pod\x01.example", "pod\xc3\xa9.example"};
    static const char *const good[] = {"podX.example"};
    struct der der;
    uint8_t *name;
    int error;

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        check(made(&der, &bad[i], 1, NULL));
        check(!identity_of(&der, &error) && error == -EINVAL);
    }
    check(made(&der, good, 1, NULL));
    name = memmem(der.data, der.length, "podX.example", 12);
    check(name);
    name[3] = '\0';
    check(!identity_of(&der, &error) && error == -EINVAL);
}

TEST(names_past_the_sixteenth_are_left_out)
{
    const char *names[20];
    char text[20][24];
    struct identity *identity;
    struct der der;
    int error;

    for (int i = 0; i < 20; i++) {
        snprintf(text[i], sizeof(text[i]), "n%d.example", i);
        names[i] = text[i];
    }
    check(made(&der, names, 20, NULL));
    identity = identity_of(&der, &error);
    check(identity && identity->count == IDENTITY_NAMES_MAX);
    identity_free(&identity);
}

TEST(a_cut_certificate_is_refused_at_every_length)
{
    static const char *const dns[] = {"pod.example"};
    struct der der;
    int error;

    check(made(&der, dns, 1, "spiffe://a/b"));
    for (size_t length = 0; length < der.length; length++) {
        uint8_t *exact = mem_raw(length ? length : 1);
        struct identity *identity;

        memcpy(exact, der.data, length);
        identity = identity_of_certificate(exact, length, &error);
        mem_free(exact);
        check(!identity && error == -EINVAL);
    }
}

static bool matches(bool uri, const char *name, const char *pattern)
{
    struct identity_name one = {.uri = uri};
    struct identity identity = {.count = 1, .names = &one};

    strcpy(one.text, name);
    return identity_match(&identity, pattern) == one.text;
}

TEST(a_star_stands_for_one_or_more_characters_of_one_part)
{
    check(matches(false, "pod.example", "pod.example"));
    check(matches(false, "pod.example", "POD.Example"));
    check(matches(false, "pod-7.example", "pod-*.example"));
    check(matches(false, "pod-7.example", "*.example"));
    check(matches(false, "a.b", "*.*"));
    check(matches(false, "aXbXc.d", "a*c.d") && matches(false, "abcbc.d", "a*bc.d"));
    check(!matches(false, "pod-.example", "pod-*.example"));
    check(!matches(false, "a.pod.example", "*.example"));
    check(!matches(false, ".example", "*.example"));
    check(!matches(false, "pod.example", "pod.exampl") && !matches(false, "pod", "pod*"));
    check(!matches(false, "pod.example", "") && !matches(false, "pod", "podx"));
    check(matches(true, "spiffe://a.b/pod-7", "spiffe://a.b/*"));
    check(matches(true, "spiffe://a.b/x.y", "spiffe://*/x.*"));
    check(!matches(true, "spiffe://a.b/x/y", "spiffe://a.b/*"));
    check(!matches(true, "spiffe://a.b/Pod", "spiffe://a.b/pod"));
    check(!identity_match(NULL, "*"));
}

TEST(a_server_certificate_is_for_its_names_only)
{
    static const char *const dns[] = {"tunnel.example", "*.wild.example", "*.tld", "192.0.2.1",
                                      "2001:db8::1"};
    struct der der;

    check(made(&der, dns, 5, NULL));
    check(certificate_is_for(der.data, der.length, "Tunnel.Example"));
    check(certificate_is_for(der.data, der.length, "a.wild.example"));
    check(certificate_is_for(der.data, der.length, "192.0.2.1"));
    check(certificate_is_for(der.data, der.length, "2001:db8:0::1"));
    check(!certificate_is_for(der.data, der.length, "a.b.wild.example"));
    check(!certificate_is_for(der.data, der.length, "wild.example"));
    check(!certificate_is_for(der.data, der.length, "a.tld"));
    check(!certificate_is_for(der.data, der.length, "192.0.2.2"));
    check(!certificate_is_for(der.data, der.length, "the common name"));
    check(!certificate_is_for(der.data, der.length, "tunnel.example.org"));
    check(!certificate_is_for(der.data, der.length, "tunnel.exampl"));
}

/* wolfSSL does without some allocations and calls others a malformed certificate. */
TEST(reading_survives_any_failed_allocation)
{
    static const char *const dns[] = {"pod.example"};
    struct identity *identity;
    struct der der;
    int error;

    check(made(&der, dns, 1, "spiffe://a/b"));
    mem_count(true);
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n);
        identity = identity_of(&der, &error);
        if (!mem_failed())
            break;
        check(identity ? identity->count == 2 : error != 0);
        identity_free(&identity);
        check(mem_live() == 0);
    }
    mem_fail_at(0);
    identity_free(&identity);
    check(mem_live() == 0);
    mem_count(false);
}

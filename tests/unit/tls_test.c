#include "core/tls.h"

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/key_file.h"
#include "core/mem.h"
#include "tests/unit/certs.h"
#include "tests/unit/test.h"

static const struct tls_hooks system_hooks;
static struct certs certs;
static char error[256];

__attribute__((constructor)) static void library_start(void)
{
    must(tls_global_init(&system_hooks) == 0);
    must(certs_open(&certs) && certs_ca(&certs, "ca"));
    must(certs_leaf(&certs, CERT_SERVER, "server", "ca", "tunnel.example", NULL));
    must(certs_leaf(&certs, CERT_SERVER, "other", "ca", "tunnel.example", NULL));
}

__attribute__((destructor)) static void library_stop(void)
{
    certs_close(&certs);
}

static struct tls_files files_of(const char *name)
{
    return (struct tls_files){certs_path(&certs, name, "crt"), certs_path(&certs, name, "key"),
                              certs_path(&certs, "ca", "crt")};
}

/* Whether these files are refused with these words, as a server's and as a client's. */
static bool refused(const struct tls_files *files, const char *words)
{
    struct tls_context *server = tls_server_new(files, TLS_CLIENT_REQUIRED, error, sizeof(error));
    bool right = !server && strstr(error, words);
    struct tls_context *client;

    if (!right)
        fprintf(stderr, "%s\n", server ? "not refused" : error);
    client = tls_client_new(files, error, sizeof(error));
    right = right && !client && strstr(error, words);
    tls_context_free(&server);
    tls_context_free(&client);
    return right;
}

static bool accepted(const struct tls_files *files)
{
    struct tls_context *context = tls_server_new(files, TLS_CLIENT_REQUIRED, error, sizeof(error));
    bool right = context != NULL;

    if (!right)
        fprintf(stderr, "%s\n", error);
    tls_context_free(&context);
    return right;
}

TEST(good_files_make_contexts_and_clients_may_have_no_certificate)
{
    struct tls_files files = files_of("server"), none = {.ca = files.ca};
    struct tls_context *client;

    check(accepted(&files));
    client = tls_client_new(&none, error, sizeof(error));
    check(client && tls_native(client));
    tls_context_free(&client);
    check(!client);
    check(!tls_server_new(&none, TLS_CLIENT_NONE, error, sizeof(error)));
}

TEST(a_key_that_others_or_a_group_could_use_is_refused)
{
    static const mode_t bad[] = {0604, 0602, 0601, 0620, 0660, 0644};
    struct tls_files files = files_of("server");

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        check(chmod(files.key, bad[i]) == 0);
        check(refused(&files, "server.key: "));
    }
    check(chmod(files.key, 0640) == 0); /* readable by a group that is ours */
    check(accepted(&files));
    check(chmod(files.key, 0400) == 0);
    check(accepted(&files));
    check(chmod(files.key, 0600) == 0);
}

TEST(a_key_of_another_group_or_user_is_refused)
{
    struct tls_files files = files_of("server");

    if (geteuid() != 0) /* only root gives files away */
        return;
    check(chmod(files.key, 0640) == 0 && chown(files.key, 0, 54321) == 0);
    check(refused(&files, "a group that is not ours"));
    check(chmod(files.key, 0600) == 0 && chown(files.key, 54321, 0) == 0);
    check(refused(&files, "belongs to another user"));
    check(chown(files.key, 0, 0) == 0);
}

/* An access list that lets its owner and one more user read.  False: not on this file system. */
static bool give_to_reader(const char *path, uint32_t reader)
{
    const struct {
        uint32_t version;
        struct {
            uint16_t tag, rights;
            uint32_t id;
        } entries[5];
    } list = {
        2, {{0x01, 4, ~0u}, {0x02, 4, reader}, {0x04, 0, ~0u}, {0x10, 4, ~0u}, {0x20, 0, ~0u}}
    };

    return setxattr(path, "system.posix_acl_access", &list, sizeof(list), 0) == 0;
}

TEST(a_key_that_root_lets_us_alone_read_is_taken)
{
    struct tls_files files = files_of("server");
    gid_t groups[256];
    int count = getgroups(ARRAY_COUNT(groups), groups);
    bool taken;

    if (geteuid() != 0 || count < 0 || !give_to_reader(files.key, 54321))
        return;
    must(chmod(certs.folder, 0711) == 0);
    must(setgroups(0, NULL) == 0 && setegid(54321) == 0 && seteuid(54321) == 0);
    taken = accepted(&files);
    must(seteuid(0) == 0 && setegid(0) == 0 && setgroups((size_t)count, groups) == 0);
    must(chmod(certs.folder, 0700) == 0 && removexattr(files.key, "system.posix_acl_access") == 0);
    must(chmod(files.key, 0600) == 0);
    check(taken);
}

TEST(links_are_followed_to_what_is_checked)
{
    struct tls_files files = files_of("server");
    const char *link = certs_path(&certs, "link", "key");

    check(symlink(files.key, link) == 0);
    files.key = link;
    check(accepted(&files));
    check(chmod(link, 0644) == 0);
    check(refused(&files, "link.key: others may access it"));
    check(chmod(link, 0600) == 0);
}

TEST(what_is_no_file_is_refused_without_waiting)
{
    struct tls_files files = files_of("server");

    files.key = certs_path(&certs, "pipe", "key");
    check(mkfifo(files.key, 0600) == 0);
    check(refused(&files, "not a regular file"));
    files.key = certs.folder;
    check(refused(&files, "not a regular file"));
    files.key = certs_path(&certs, "nowhere", "key");
    check(refused(&files, "No such file"));
}

TEST(a_key_of_another_certificate_is_refused)
{
    struct tls_files files = files_of("server");

    files.key = certs_path(&certs, "other", "key");
    check(refused(&files, "other.key: not the key of"));
}

TEST(garbage_is_refused_naming_the_file)
{
    struct tls_files files = files_of("server"), good = files;
    const char *garbage = certs_path(&certs, "garbage", "pem");

    check(key_file_write(garbage, true, "garbage\n", 8, true, error, sizeof(error)) == 0);
    files.cert = garbage;
    check(refused(&files, "garbage.pem: not a certificate"));
    files = good;
    files.key = garbage;
    check(refused(&files, "garbage.pem: not an unencrypted private key"));
    files = good;
    files.ca = garbage;
    check(refused(&files, "garbage.pem: no CA certificates"));
    files = good;
    files.key = NULL;
    check(!tls_client_new(&files, error, sizeof(error)) && strstr(error, "go together"));
}

TEST(certificates_outside_their_dates_are_refused_with_the_date)
{
    struct cert_request request = certs_request(&certs, CERT_SERVER, "dated", "ca");
    struct tls_files files = files_of("dated");

    request.not_before = 946684800;
    request.not_after = 978307200;
    check(certs_make(&certs, &request) == 0);
    check(refused(&files, "dated.crt: expired on 2001-01-01"));
    request.force = true;
    request.not_before = 4102444800;
    request.not_after = 4102444801;
    check(certs_make(&certs, &request) == 0);
    check(refused(&files, "dated.crt: not valid before 2100-01-01"));
}

TEST(a_chain_in_the_wrong_order_is_refused)
{
    struct tls_files files = files_of("server");
    struct key_file leaf, ca;
    char both[8192];
    int length;

    check(key_file_read(files.cert, false, &leaf, error, sizeof(error)) == 0);
    check(key_file_read(files.ca, false, &ca, error, sizeof(error)) == 0);
    length = snprintf(both, sizeof(both), "%s%s", (char *)leaf.data, (char *)ca.data);
    files.cert = certs_path(&certs, "chain", "crt");
    check(key_file_write(files.cert, false, both, (size_t)length, true, error, sizeof(error)) == 0);
    check(accepted(&files));
    length = snprintf(both, sizeof(both), "%s%s", (char *)leaf.data, (char *)leaf.data);
    check(key_file_write(files.cert, false, both, (size_t)length, true, error, sizeof(error)) == 0);
    check(refused(&files, "chain.crt: certificate 2 is not the issuer of certificate 1"));
    key_file_release(&leaf);
    key_file_release(&ca);
}

TEST(secrets_last_as_long_as_the_key_and_differ_by_label)
{
    struct tls_files files = files_of("server"), none = {.ca = files.ca};
    struct tls_context *context = tls_server_new(&files, TLS_CLIENT_NONE, error, sizeof(error));
    uint8_t first[32], again[32], other[32];

    check(context && tls_secret(context, "ids", first) == 0);
    check(tls_secret(context, "tokens", other) == 0 && memcmp(first, other, 32) != 0);
    tls_context_free(&context);
    context = tls_server_new(&files, TLS_CLIENT_NONE, error, sizeof(error));
    check(context && tls_secret(context, "ids", again) == 0 && memcmp(first, again, 32) == 0);
    tls_context_free(&context);
    files = files_of("other");
    context = tls_server_new(&files, TLS_CLIENT_NONE, error, sizeof(error));
    check(context && tls_secret(context, "ids", other) == 0 && memcmp(first, other, 32) != 0);
    tls_context_free(&context);
    context = tls_client_new(&none, error, sizeof(error));
    check(context && tls_secret(context, "ids", other) == -ENOENT);
    tls_context_free(&context);
}

TEST(loading_survives_any_failed_allocation)
{
    struct tls_files files = files_of("server");
    struct tls_context *context;
    bool met = true;

    mem_count(true);
    for (uint64_t n = 1; met; n++) {
        mem_fail_at(n);
        context = tls_server_new(&files, TLS_CLIENT_REQUIRED, error, sizeof(error));
        met = mem_failed();
        mem_fail_at(0);
        check(context || met);
        tls_context_free(&context);
        check(mem_live() == 0);
    }
    mem_count(false);
}

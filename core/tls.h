/* core/tls.h - TLS contexts: certificate, key, CA and policy, loaded once and then read-only.
 *
 * Owner: whoever made it; it must outlive every connection made from it.  Thread: made on any, used
 * by many.  TLS 1.3 only; AES-128-GCM and AES-256-GCM; X25519 and P-256 (the ClientHello fits one
 * packet).  No session tickets, no cache: every handshake is a full one.
 * quic/handshake.* takes the native handle; outside of core only quic sees wolfSSL. */
#ifndef CORE_TLS_H
#define CORE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

struct tls_files {
    const char *cert; /* may be NULL for clients that show none */
    const char *key;
    const char *ca; /* NULL: nobody's certificate is accepted */
};

struct tls_context;
struct WOLFSSL_CTX;

/* Checks everything a later handshake would trip over: files, safety of the key (core/key_file.h),
 * key matches certificate, every certificate within its dates and issued by the next one of the
 * file.  NULL: error is a sentence that names the file. */
struct tls_context *tls_server_new(const struct tls_files *files, enum tls_client_auth client_auth,
                                   char *error, size_t error_size) MUST_CHECK;
struct tls_context *tls_client_new(const struct tls_files *files, char *error,
                                   size_t error_size) MUST_CHECK;
void tls_context_free(struct tls_context **context);
struct WOLFSSL_CTX *tls_native(const struct tls_context *context);
/* 32 bytes derived from the private key and a label: the same after a restart, useless for the key.
 * 0, or -ENOENT when the context has no key. */
int tls_secret(const struct tls_context *context, const char *label, uint8_t secret[32]) MUST_CHECK;

/* What wolfSSL takes from outside.  NULL members: the system's. */
struct tls_hooks {
    int64_t (*unix_time)(void *context);
    void (*random)(void *context, void *to, size_t length);
    void *context;
};
/* Once, before threads start: library init, hooks, allocator (core/mem), first-use globals touched.
 * May be called again with other hooks by tests: the process-wide generator is then seeded anew, so
 * that the same hooks give the same handshakes byte by byte.  0 or -EIO. */
int tls_global_init(const struct tls_hooks *hooks) MUST_CHECK;
void tls_global_release(void);
const char *tls_version(void); /* "wolfSSL 5.9.2" */

#endif

#include "core/resolve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/unit/clock.h"
#include "tests/unit/name_server.h"
#include "tests/unit/test.h"

/* ---- a worker that is only a mailbox ---- */

static pthread_mutex_t mailbox_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mail *mailbox;
static struct worker asker;

void worker_post(struct worker *worker, struct mail *mail)
{
    pthread_mutex_lock(&mailbox_lock);
    mail->next = mailbox;
    mailbox = mail;
    pthread_mutex_unlock(&mailbox_lock);
}

static void mailbox_run(void)
{
    struct mail *mail, *next;

    pthread_mutex_lock(&mailbox_lock);
    mail = mailbox;
    mailbox = NULL;
    pthread_mutex_unlock(&mailbox_lock);
    for (; mail; mail = next) {
        next = mail->next;
        mail->run(mail);
    }
}

/* ---- asking ---- */

static struct resolver *resolver;
static uint32_t answered;

static void note_answer(struct resolve_request *request)
{
    answered++;
}

static bool begin(const struct resolver_options *more)
{
    struct resolver_options options = more ? *more : (struct resolver_options){0};
    int error;

    if (!name_server_open())
        return false;
    options.resolv_conf = resolv_conf;
    if (!options.hosts_file)
        options.hosts_file = "/dev/null";
    resolver = resolver_open_with(&options, &error);
    answered = 0;
    return resolver;
}

static void end(void)
{
    resolver_close(&resolver);
    mailbox_run();
    name_server_close();
}

static void ask_srv(struct resolve_request *request, const char *name)
{
    *request = (struct resolve_request){.srv = true, .worker = &asker, .done = note_answer};
    snprintf(request->host, sizeof(request->host), "%s", name);
    resolve_ask(resolver, request);
}

static void ask(struct resolve_request *request, const char *host)
{
    *request = (struct resolve_request){.port = 443, .worker = &asker, .done = note_answer};
    snprintf(request->host, sizeof(request->host), "%s", host);
    resolve_ask(resolver, request);
}

/* What the control thread does, and the name server's turn. */
static void turn(void)
{
    struct pollfd fds[RESOLVER_FDS + 1];
    int timeout_ms = 5000;
    uint32_t count = resolver_poll(resolver, fds, RESOLVER_FDS, &timeout_ms);

    fds[count] = (struct pollfd){.fd = name_server.fd, .events = POLLIN};
    if (poll(fds, count + 1, timeout_ms) > 0 && fds[count].revents)
        name_server_serve();
    resolver_ready(resolver, fds, count);
    mailbox_run();
}

static void wait_for(uint32_t count)
{
    while (answered < count)
        turn();
}

static bool has_addr(const struct resolve_request *request, const char *text)
{
    struct addr addr;

    if (addr_parse(&addr, text))
        return false;
    for (uint32_t i = 0; i < request->count; i++) {
        if (addr_equal(&request->addrs[i], &addr))
            return true;
    }
    return false;
}

TEST(a_name_is_answered_with_its_address_port_and_ttl)
{
    struct resolve_request request;

    check(begin(NULL));
    ask(&request, "one.test");
    wait_for(1);
    check(request.error == 0 && request.count == 1 && request.ttl_s == 30);
    check(has_addr(&request, "192.0.2.1:443"));
    end();
}

TEST(a_name_with_only_ipv6_is_answered)
{
    struct resolve_request request;

    check(begin(NULL));
    ask(&request, "six.test");
    wait_for(1);
    check(request.error == 0 && request.count == 1 && request.ttl_s == 40);
    check(has_addr(&request, "[2001:db8::1]:443"));
    end();
}

TEST(all_addresses_of_both_families_come_with_the_shortest_ttl)
{
    struct resolve_request request;

    check(begin(NULL));
    ask(&request, "many.test");
    wait_for(1);
    check(request.error == 0 && request.count == 5 && request.ttl_s == 98);
    check(has_addr(&request, "192.0.2.1:443") && has_addr(&request, "192.0.2.3:443"));
    check(has_addr(&request, "[2001:db8::1]:443") && has_addr(&request, "[2001:db8::2]:443"));
    end();
}

TEST(more_addresses_than_a_request_holds_are_left_out)
{
    struct resolve_request request;

    check(begin(NULL));
    ask(&request, "lots.test");
    wait_for(1);
    check(request.error == 0 && request.count == RESOLVE_MAX);
    end();
}

TEST(a_name_that_does_not_exist_or_has_no_address_is_enoent)
{
    struct resolve_request unknown, empty;

    check(begin(NULL));
    ask(&unknown, "unknown.test");
    ask(&empty, "empty.test");
    wait_for(2);
    check(unknown.error == -ENOENT && unknown.count == 0);
    check(empty.error == -ENOENT && empty.count == 0);
    end();
}

TEST(a_server_that_fails_or_refuses_is_eagain)
{
    struct resolve_request fail, refused;

    check(begin(&(struct resolver_options){.try_ms = 250}));
    ask(&fail, "fail.test");
    ask(&refused, "refused.test");
    wait_for(2);
    check(fail.error == -EAGAIN && refused.error == -EAGAIN);
    end();
}

TEST(a_silent_server_is_etimedout_at_the_limit_and_not_before_a_second_try)
{
    struct resolve_request request;
    uint64_t began = monotonic_ms();

    check(begin(&(struct resolver_options){.try_ms = 250, .limit_ms = 700}));
    ask(&request, "silent.test.");
    wait_for(1);
    check(request.error == -ETIMEDOUT && request.count == 0);
    check(monotonic_ms() - began >= 250 && monotonic_ms() - began < 2000);
    check(name_server.queries > 2); /* A and AAAA, each again */
    end();
}

TEST(what_is_not_dns_is_not_believed)
{
    struct resolve_request request;

    check(begin(&(struct resolver_options){.try_ms = 250, .limit_ms = 600}));
    ask(&request, "nonsense.test.");
    wait_for(1);
    check((request.error == -ETIMEDOUT || request.error == -EAGAIN) && request.count == 0);
    end();
}

TEST(the_limit_holds_whatever_the_tries_would_take)
{
    struct resolve_request request;
    uint64_t began = monotonic_ms();

    check(begin(&(struct resolver_options){.try_ms = 60000, .limit_ms = 100}));
    ask(&request, "silent.test.");
    wait_for(1);
    check(request.error == -ETIMEDOUT && monotonic_ms() - began < 2000);
    ask(&request, "one.test"); /* the resolver goes on; the late answer harms nobody */
    wait_for(2);
    check(request.error == 0);
    end();
}

TEST(a_numeric_host_is_answered_without_a_query_by_mail)
{
    struct resolve_request four, six;

    check(begin(NULL));
    ask(&four, "192.0.2.7");
    ask(&six, "2001:db8::7");
    check(answered == 0);
    mailbox_run();
    check(answered == 2 && name_server.queries == 0);
    check(four.error == 0 && has_addr(&four, "192.0.2.7:443") && four.ttl_s == UINT32_MAX);
    check(six.error == 0 && has_addr(&six, "[2001:db8::7]:443"));
    end();
}

TEST(names_in_the_hosts_file_are_answered_without_a_query)
{
    char path[] = "/tmp/resolve_test.XXXXXX";
    struct resolve_request request;
    int fd = mkstemp(path);

    check(fd >= 0 && dprintf(fd, "192.0.2.99 origin.internal origin\n") > 0);
    check(begin(&(struct resolver_options){.hosts_file = path}));
    ask(&request, "origin.internal");
    wait_for(1);
    check(request.error == 0 && has_addr(&request, "192.0.2.99:443") && name_server.queries == 0);
    check(request.ttl_s == 0);
    end();
    close(fd);
    unlink(path);
}

TEST(srv_records_come_whole_with_the_shortest_ttl)
{
    struct resolve_request request;
    const struct srv_record *second;

    check(begin(NULL));
    ask_srv(&request, "_web._tcp.test");
    wait_for(1);
    check(request.error == 0 && request.count == 3 && request.ttl_s == 48);
    second = &request.records[1];
    check(!strcmp(second->host, "h02.test") && second->port == 8002);
    check(second->priority == 2 && second->weight == 20);
    mem_free(request.records);
    end();
}

TEST(any_number_of_srv_records_is_taken)
{
    struct resolve_request request;

    check(begin(NULL));
    ask_srv(&request, "_all._tcp.test");
    wait_for(1);
    check(request.error == 0 && request.count == 40);
    check(!strcmp(request.records[39].host, "h40.test"));
    mem_free(request.records);
    end();
}

TEST(no_srv_record_and_one_that_names_nobody_are_enoent)
{
    struct resolve_request none, nobody, unknown;

    check(begin(NULL));
    ask_srv(&none, "one.test");
    ask_srv(&nobody, "_no._tcp.test");
    ask_srv(&unknown, "_unknown._tcp.test");
    wait_for(3);
    check(none.error == -ENOENT && !none.records && none.count == 0);
    check(nobody.error == -ENOENT && !nobody.records && nobody.count == 0);
    check(unknown.error == -ENOENT && !unknown.records);
    end();
}

TEST(who_gives_up_is_answered_at_once)
{
    struct resolve_request given_up, other;
    uint64_t began = monotonic_ms();

    check(begin(NULL));
    ask(&given_up, "silent.test.");
    ask_srv(&other, "silent.test.");
    turn();
    resolve_give_up(&given_up);
    wait_for(1);
    check(given_up.error == -EAGAIN && monotonic_ms() - began < 1000);
    resolve_give_up(&other);
    wait_for(2);
    check(other.error == -EAGAIN);
    end();
}

TEST(an_answer_is_kept_for_a_moment_only)
{
    const struct timespec pause = {.tv_sec = 2, .tv_nsec = 10000000};
    struct resolve_request request;
    uint32_t queries;

    check(begin(NULL));
    ask(&request, "one.test.");
    wait_for(1);
    queries = name_server.queries;
    nanosleep(&pause, NULL); /* c-ares has no other clock */
    ask(&request, "one.test.");
    wait_for(2);
    check(request.error == 0 && name_server.queries > queries);
    end();
}

TEST(closing_answers_what_is_open)
{
    struct resolve_request asked, started;

    check(begin(NULL));
    ask(&started, "silent.test.");
    turn();
    ask(&asked, "silent.test.");
    resolver_close(&resolver);
    check(!resolver);
    mailbox_run();
    check(answered == 2 && asked.error == -EAGAIN && started.error == -EAGAIN);
    name_server_close();
}

TEST(an_idle_resolver_asks_for_no_wake_up)
{
    struct pollfd fds[RESOLVER_FDS];
    int timeout_ms = -1;

    check(begin(NULL));
    check(resolver_poll(resolver, fds, RESOLVER_FDS, &timeout_ms) == 1 && timeout_ms == -1);
    end();
}

TEST(a_changed_resolv_conf_leads_to_the_new_server)
{
    struct resolve_request request;

    check(begin(NULL));
    ask(&request, "one.test");
    wait_for(1);
    check(request.error == 0 && name_server.queries > 0);
    name_server_close();
    check(name_server_open()); /* writes the file anew */
    do { /* it is read in the background: the first may still go to the old server */
        ask(&request, "six.test");
        wait_for(answered + 1);
    } while (request.error);
    check(request.count == 1 && name_server.queries > 0);
    end();
}

enum { ASKERS = 4, ASKS = 50 };
static struct resolve_request many[ASKERS][ASKS];

static void *ask_many(void *argument)
{
    struct resolve_request *requests = argument;

    for (int i = 0; i < ASKS; i++)
        ask(&requests[i], i % 2 ? "one.test" : "192.0.2.1");
    return NULL;
}

TEST(many_threads_may_ask_at_once)
{
    pthread_t threads[ASKERS];

    check(begin(NULL));
    for (int i = 0; i < ASKERS; i++)
        check(pthread_create(&threads[i], NULL, ask_many, many[i]) == 0);
    wait_for(ASKERS * ASKS);
    for (int i = 0; i < ASKERS; i++) {
        pthread_join(threads[i], NULL);
        for (int j = 0; j < ASKS; j++)
            check(many[i][j].error == 0 && has_addr(&many[i][j], "192.0.2.1:443"));
    }
    end();
}

TEST(any_single_failed_allocation_is_an_answer_or_a_refusal_to_open)
{
    for (uint64_t n = 1;; n++) {
        struct resolve_request request = {.error = 1};
        bool opened, failed;

        mem_count(true);
        mem_fail_at(n);
        opened = begin(&(struct resolver_options){.try_ms = 250, .limit_ms = 500});
        if (opened) {
            ask(&request, "one.test.");
            wait_for(1);
            check(request.error == 0 ? request.count == 1 : request.count == 0);
            end();
        } else {
            name_server_close();
        }
        failed = mem_failed();
        mem_fail_at(0);
        check(mem_live() == 0);
        mem_count(false);
        if (!failed)
            break;
    }
}

/* What admin is made of: text that grows, JSON, the HTTP reader, reports and accounts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/http_request.h"
#include "cli/json.h"
#include "cli/relay_thread.h"
#include "cli/report.h"
#include "core/account.h"
#include "core/mem.h"
#include "tests/unit/test.h"

/* ---- HTTP ---- */

static int read_http(const char *text, struct http_request *request)
{
    return http_request_read(text, strlen(text), request);
}

TEST(a_request_is_read_only_when_all_of_its_head_is_there)
{
    const char *text = "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\nmore";
    int whole = (int)strlen(text) - 4;
    struct http_request request;

    for (int length = 0; length < whole; length++)
        check(http_request_read(text, (size_t)length, &request) == 0);
    check(read_http(text, &request) == whole);
    check(strcmp(request.path, "/metrics") == 0 && !request.head && request.close);
    check(read_http("HEAD / HTTP/1.1\r\n\r\n", &request) > 0 && request.head && !request.close);
    check(read_http("GET / HTTP/1.0\r\n\r\n", &request) > 0 && request.close);
}

TEST(what_is_not_plain_http_is_refused)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"POST / HTTP/1.1\r\n\r\n",                              -405},
        {"GET / HTTP/2.0\r\n\r\n",                               -505},
        {"GET / HTCPCP\r\n\r\n",                                 -400},
        {"GET  / HTTP/1.1\r\n\r\n",                              -400},
        {"GET http://x/ HTTP/1.1\r\n\r\n",                       -400},
        {"GET /\x01 HTTP/1.1\r\n\r\n",                           -400},
        {"\r\n\r\n",                                             -400},
        {"GET / HTTP/1.1\n\n",                                   -400},
        {"GET / HTTP/1.1\r\nname : x\r\n\r\n",                   -400},
        {"GET / HTTP/1.1\r\n folded\r\n\r\n",                    -400},
        {"GET / HTTP/1.1\r\nx: a\rb\r\n\r\n",                    -400},
        {"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",          -413},
        {"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", -413},
    };
    struct http_request request;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check(read_http(rows[i].text, &request) == rows[i].status);
}

TEST(a_head_without_an_end_is_refused_at_its_limit)
{
    static char text[HTTP_REQUEST_MAX + 1] = "GET / HTTP/1.1\r\nx: ";
    struct http_request request;

    memset(text + strlen(text), 'a', sizeof text - 1 - strlen(text));
    check(http_request_read(text, HTTP_REQUEST_MAX - 1, &request) == 0);
    check(http_request_read(text, HTTP_REQUEST_MAX, &request) == -431);
}

/* ---- JSON ---- */

TEST(json_is_read_as_a_tree)
{
    char text[] = " {\"a\": [1, 22.5, {\"b\": \"\\u00e9\\n\\\"\"}], \"c\": true, \"d\": {}} ";
    struct json_document document;
    const struct json *root, *a;

    check(json_read(&document, text) == 0);
    root = document.nodes;
    a = json_get(root, "a");
    check(root->type == JSON_OBJECT && a->first->next->next && !a->first->next->next->next);
    check(strtoul(a->first->text, NULL, 10) == 1);
    check(strcmp(json_text(a->first->next->next, "b"), "\xc3\xa9\n\"") == 0);
    check(json_get(root, "c")->type == JSON_TRUE && json_get(root, "e")->type == JSON_NULL);
    check(!json_get(json_get(NULL, "x"), "y")->first && json_number(root, "c") == 0);
    json_free(&document);
}

TEST(broken_json_is_refused)
{
    static const char *const rows[] = {
        "",    "{",          "[1,]", "{\"a\"}", "{\"a\":}",  "\"a",    "[1 2]",
        "nul", "{a:1}",      "1 2",  "\"\\x\"", "\"\\u12\"", "\"\n\"", "[[[[[[[[[[[[[[[[[[]]]]",
        ",",   "\"\\u0000\""};

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct json_document document;
        char text[64];

        snprintf(text, sizeof text, "%s", rows[i]);
        check(json_read(&document, text) == -EINVAL);
    }
}

/* ---- reports ---- */

static void add_client(struct status *status, const char *name)
{
    struct status_client *client = status_add_client(status);

    must(client);
    snprintf(client->identity, sizeof client->identity, "%s", name);
    client->streams = 1;
    client->rtt_ns = 1500000;
}

static void add_tunnel(struct status *status)
{
    struct status_backend *tunnel = status_add_backend(status);

    must(tunnel);
    snprintf(tunnel->name, sizeof tunnel->name, "pods");
    tunnel->tunnel = true;
}

static uint32_t count_text(const char *text, const char *wanted)
{
    uint32_t count = 0;

    for (; (text = strstr(text, wanted)); text++)
        count++;
    return count;
}

TEST(metrics_name_a_thousand_clients_and_sum_up_the_rest)
{
    struct status status = {0};
    struct report report = {.status = &status, .state = "running"};
    struct writer out = {0};
    char name[32];

    add_tunnel(&status);
    for (int i = 0; i < METRICS_CLIENTS_MAX + 7; i++) {
        snprintf(name, sizeof name, "pod-%05d", i);
        add_client(&status, name);
        add_client(&status, name); /* a second connection is no second row */
    }
    report_metrics(&out, &report);
    check(!out.failed);
    check(count_text(out.text, "qmux_client_streams{") == METRICS_CLIENTS_MAX + 1);
    check(strstr(out.text, "qmux_client_streams{tunnel=\"pods\",client=\"pod-00999\"} 2\n"));
    check(!strstr(out.text, "pod-01000"));
    check(strstr(out.text, "qmux_client_streams{tunnel=\"pods\",client=\"other\"} 14\n"));
    check(strstr(out.text, "qmux_client_round_trip_seconds{tunnel=\"pods\",client=\"pod-00000\"} "
                           "0.001500000\n"));
    writer_release(&out);
    status_release(&status);
}

TEST(a_report_is_json_whatever_peers_call_themselves)
{
    struct status status = {0};
    struct report report = {.status = &status, .state = "running"};
    struct writer out = {0};
    struct json_document document;
    const struct json *client;

    add_tunnel(&status);
    add_client(&status, "pod");
    snprintf(status.clients[0].label, sizeof status.clients[0].label, "\"\\\x01\xff\x7f</script>");
    report_json(&out, &report);
    check(!out.failed && !strchr(out.text, '\n'));
    check(json_read(&document, out.text) == 0);
    client = json_get(json_get(document.nodes, "tunnels")->first, "clients")->first;
    check(strcmp(json_text(client, "id"), "\"\\\x01\xc3\xbf\x7f</script>") == 0);
    json_free(&document);
    writer_release(&out);
    status_release(&status);
}

TEST(a_report_survives_any_failed_allocation)
{
    struct status status = {0};
    struct report report = {.status = &status, .state = "running"};

    add_tunnel(&status);
    for (int i = 0; i < 100; i++)
        add_client(&status, "pod");
    for (uint64_t n = 1;; n++) {
        struct writer out = {0};
        bool met;

        mem_fail_at(n);
        report_metrics(&out, &report);
        met = mem_failed();
        mem_fail_at(0);
        check(out.failed == met);
        writer_release(&out);
        if (!met)
            break;
    }
    status_release(&status);
}

/* ---- several workers ---- */

static void add_worker(struct status *status, uint32_t active, enum member_state state)
{
    struct status_listener *listener = status_add_listener(status);
    struct status_backend *backend = status_add_backend(status);
    struct status_member *member = status_add_member(status);

    must(listener && backend && member);
    snprintf(listener->name, sizeof listener->name, "web");
    listener->connections = active;
    traffic_add(&listener->traffic, active * 10, active * 20);
    snprintf(backend->name, sizeof backend->name, "api");
    snprintf(member->name, sizeof member->name, "a");
    member->active = active;
    member->state = state;
}

TEST(pictures_of_several_workers_add_up)
{
    struct status all = {0}, one = {0}, two = {0};

    add_worker(&one, 3, MEMBER_SUSPECT);
    add_worker(&two, 4, MEMBER_FIT);
    one.members[0].ejected = two.members[0].ejected = true;
    add_client(&two, "pod");
    check(status_merge(&all, &one) == 0 && status_merge(&all, &two) == 0);
    check(all.listener_count == 1 && all.listeners[0].connections == 7);
    check(all.listeners[0].traffic.in == 70 && all.listeners[0].traffic.out == 140);
    check(all.backend_count == 1 && all.member_count == 1 && all.members[0].active == 7);
    check(all.members[0].state == MEMBER_FIT && all.client_count == 1);
    check(all.members[0].ejected && !status_member_fit(&all.members[0]));
    status_release(&all);
    status_release(&one);
    status_release(&two);
}

TEST(a_merge_survives_any_failed_allocation)
{
    struct status from = {0};

    add_worker(&from, 1, MEMBER_FIT);
    add_client(&from, "pod");
    check(status_add_server(&from));
    for (uint64_t n = 1;; n++) {
        struct status all = {0};
        bool met;
        int rc;

        mem_fail_at(n);
        rc = status_merge(&all, &from);
        met = mem_failed();
        mem_fail_at(0);
        status_release(&all);
        check(rc == (met ? -ENOMEM : 0));
        if (!met)
            break;
    }
    status_release(&from);
}

/* ---- accounts ---- */

static char accounts_file[] = "/tmp/qmux-accounts-XXXXXX";

static bool write_accounts(const char *text)
{
    int fd = mkstemp(accounts_file);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

TEST(users_and_groups_are_found_by_name_and_number)
{
    struct account account;

    check(write_accounts("root:x:0:0:root:/root:/bin/sh\nbroken\nrelay:x:990:991::/:/bin/false\n"
                         "huge:x:99999999999:1::/:\n"));
    check(account_find(ACCOUNT_USER, accounts_file, "relay", &account) == 0);
    check(account.given && account.id == 990 && account.group == 991);
    check(account_find(ACCOUNT_USER, accounts_file, "990", &account) == 0 && account.group == 991);
    check(account_find(ACCOUNT_USER, accounts_file, "12345", &account) == 0);
    check(account.id == 12345 && account.group == 12345);
    check(account_find(ACCOUNT_GROUP, accounts_file, "root", &account) == 0 && account.id == 0);
    check(account_find(ACCOUNT_USER, accounts_file, "rela", &account) == -ENOENT);
    check(account_find(ACCOUNT_USER, accounts_file, "huge", &account) == -ENOENT);
    check(account_find(ACCOUNT_USER, accounts_file, "4294967295", &account) == -ENOENT);
    check(account_find(ACCOUNT_USER, "/nowhere/at/all", "relay", &account) == -ENOENT);
    unlink(accounts_file);
}

/* ---- the watchdog ---- */

static void beat_arrives(struct mail *mail)
{
    atomic_store(&container_of(mail, struct relay_thread, beat_mail)->beating, false);
}

TEST(a_worker_that_takes_no_turn_is_not_said_to_move)
{
    static struct relay_thread thread;
    struct mail *mail;

    pthread_mutex_init(&thread.post_lock, NULL);
    thread.beat_mail.run = beat_arrives;
    check(relay_thread_moves(&thread) && relay_thread_moves(&thread)); /* it has not begun */
    thread.takes_mail = true;
    check(relay_thread_moves(&thread));
    check(!relay_thread_moves(&thread) && !relay_thread_moves(&thread));
    mail = atomic_exchange(&thread.worker.mailbox, NULL);
    check(mail == &thread.beat_mail && !mail->next);
    mail->run(mail);
    check(relay_thread_moves(&thread) && !relay_thread_moves(&thread));
    pthread_mutex_destroy(&thread.post_lock);
}

TEST(a_picture_is_asked_for_once_until_it_is_taken)
{
    static struct relay_thread thread;
    struct status picture;
    int error;

    pthread_mutex_init(&thread.post_lock, NULL);
    check(!relay_thread_ask_picture(&thread)); /* nobody is there to take it */
    thread.takes_mail = true;
    check(relay_thread_ask_picture(&thread) && !relay_thread_ask_picture(&thread));
    check(!relay_thread_take_picture(&thread, &picture, &error));
    atomic_store(&thread.pictured, true);
    check(relay_thread_take_picture(&thread, &picture, &error));
    check(!relay_thread_take_picture(&thread, &picture, &error));
    check(relay_thread_ask_picture(&thread));
    pthread_mutex_destroy(&thread.post_lock);
}

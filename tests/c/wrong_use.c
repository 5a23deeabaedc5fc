/* What nobody should do, and what happens then. */
#include "client.h"

#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Latin-1: an e with an acute accent, and then nothing that UTF-8 would need behind it. */
static const char not_utf8[] = "caf\xe9";

void before_anything(void)
{
    qk_queue *queue = NULL;
    int something[4] = {1, 2, 3, 4};
    CHECK(strcmp(qk_errmsg(NULL), "") == 0);
    every_function(NULL, MISUSE);
    CHECK(contains(qk_errmsg(NULL), "NULL"));
    every_function((qk_queue *)(void *)something, MISUSE);
    every_function((qk_queue *)(void *)((char *)something + 1), MISUSE);
    CHECK(qk_close((qk_queue *)(void *)something) == MISUSE);
    CHECK(qk_close(NULL) == OK);
    CHECK(qk_phase(NULL) == NULL);
    CHECK(qk_phase((qk_queue *)(void *)something) == NULL);
    qk_free(NULL);

    CHECK(qk_bind(NULL) == MISUSE);
    CHECK(qk_wrap(NULL, &queue) == MISUSE);
    CHECK(qk_wrap(NULL, NULL) == MISUSE);
    CHECK(qk_open(NULL, &queue) == MISUSE);
    CHECK(qk_open(NULL, NULL) == MISUSE);
    CHECK(qk_open("queue.db", NULL) == MISUSE);
    CHECK(qk_open("", &queue) == ERROR);
    CHECK(qk_open(not_utf8, &queue) == ERROR);
    CHECK(contains(qk_errmsg(NULL), "UTF-8"));
    CHECK(qk_open("/nonexistent/queue.db", &queue) == CANTOPEN);
    CHECK(contains(qk_errmsg(NULL), "/nonexistent/queue.db"));
    CHECK(qk_open("file:/nonexistent/queue.db?mode=memory", &queue) == CANTOPEN);
    CHECK(queue == NULL);
}

static void bad_arguments(qk_queue *queue)
{
    char *text = untouched_text;
    int64_t number = untouched_number;
    int code;

    /* NULL where something is required, and as out-parameter. */
    CHECK(qk_restore(queue, NULL, NULL, NULL, NULL, NULL, &text) == ERROR);
    CHECK(qk_verify(queue, NULL, NULL, NULL, NULL, NULL, &text) == ERROR);
    CHECK(qk_delete_backup(queue, NULL, NULL, &text) == ERROR);
    CHECK(qk_rotate(queue, NULL, NULL, &number) == ERROR);
    CHECK(qk_rotation(queue, NULL, NULL, &text) == ERROR);
    CHECK(qk_requeue_stale(queue, QK_DEFAULT, &number) == ERROR);
    CHECK(qk_requeue_stale(queue, -1, &number) == ERROR);
    CHECK(qk_stale(queue, -1, &text) == ERROR);
    CHECK(qk_requeue(queue, NULL, NULL, &text) == ERROR);
    CHECK(qk_requeue(queue, "{}", NULL, &text) == ERROR);
    CHECK(qk_set(queue, NULL, NULL, &text) == ERROR);
    CHECK(qk_optimize(queue, 2, NULL, NULL, &text) == ERROR);
    CHECK(qk_integrity(queue, NULL, -1, &text) == ERROR);
    CHECK(qk_stats(queue, NULL) == OK);
    CHECK(qk_settings(queue, NULL) == OK);
    CHECK(qk_depth(queue, NULL) == OK);
    CHECK(qk_stale(queue, 60, NULL) == OK);
    CHECK(qk_leases(queue, NULL) == OK);
    CHECK(qk_backup(queue, NULL, NULL, NULL, NULL, NULL) == OK);
    CHECK(qk_backups(queue, NULL, NULL) == OK);
    CHECK(qk_rotation(queue, "1", NULL, NULL) == OK);
    CHECK(qk_rotate(queue, "1", NULL, NULL) == OK);
    CHECK(qk_delete_backup(queue, "latest", NULL, NULL) == OK);

    /* Texts that are not UTF-8, one at a time. */
    CHECK(qk_backup(queue, not_utf8, NULL, NULL, NULL, &text) == ERROR);
    CHECK(contains(qk_errmsg(queue), "UTF-8"));
    CHECK(qk_backup(queue, NULL, not_utf8, NULL, NULL, &text) == ERROR);
    CHECK(qk_restore(queue, not_utf8, NULL, NULL, NULL, NULL, &text) == ERROR);
    CHECK(qk_restore(queue, "latest", not_utf8, NULL, NULL, NULL, &text) == ERROR);
    CHECK(qk_restore(queue, "latest", NULL, not_utf8, NULL, NULL, &text) == ERROR);
    CHECK(qk_verify(queue, not_utf8, NULL, NULL, NULL, NULL, &text) == ERROR);
    CHECK(qk_verify(queue, "latest", not_utf8, NULL, NULL, NULL, &text) == ERROR);
    CHECK(qk_verify(queue, "latest", NULL, not_utf8, NULL, NULL, &text) == ERROR);
    CHECK(qk_delete_backup(queue, not_utf8, NULL, &text) == ERROR);
    CHECK(qk_delete_backup(queue, "latest", not_utf8, &text) == ERROR);
    CHECK(qk_backups(queue, not_utf8, &text) == ERROR);
    CHECK(qk_rotate(queue, not_utf8, NULL, &number) == ERROR);
    CHECK(qk_rotate(queue, "1", not_utf8, &number) == ERROR);
    CHECK(qk_rotation(queue, not_utf8, NULL, &text) == ERROR);
    CHECK(qk_rotation(queue, "1", not_utf8, &text) == ERROR);
    CHECK(qk_checkpoint(queue, not_utf8, &text) == ERROR);
    CHECK(qk_analyze(queue, not_utf8, &text) == ERROR);
    CHECK(qk_integrity(queue, not_utf8, QK_DEFAULT, &text) == ERROR);
    CHECK(qk_set(queue, not_utf8, NULL, &text) == ERROR);
    CHECK(qk_set(queue, "keep", not_utf8, &text) == ERROR);
    CHECK(qk_run_due(queue, not_utf8, &text) == ERROR);
    CHECK(qk_record(queue, not_utf8, "step", "ok", NULL, NULL, &number) == ERROR);
    CHECK(qk_record(queue, "job", "step", NULL, NULL, NULL, &number) == ERROR);
    CHECK(qk_record(queue, "daily", "step", "ok", NULL, NULL, &number) == ERROR);
    CHECK(qk_record(queue, "job", "step", "ok", not_utf8, NULL, &number) == ERROR);
    CHECK(contains(qk_errmsg(queue), "UTF-8"));

    /* A failure in words, with the path. */
    code = qk_backup(queue, "/nonexistent/backup.db", NULL, NULL, NULL, &text);
    CHECK((code & 0xff) == CANTOPEN);
    CHECK(contains(qk_errmsg(queue), "/nonexistent"));
    CHECK(text == untouched_text);
    CHECK(number == untouched_number);
}

static int cancel(void *context, uint64_t pages_done, uint64_t pages_total)
{
    (void)pages_done;
    (void)pages_total;
    ++*(int *)context;
    return 1;
}

static void cancelling(qk_queue *queue, const char *directory)
{
    char *text = untouched_text;
    char file[4096];
    int asked = 0;
    snprintf(file, sizeof file, "%s/cancelled.db", directory);
    CHECK(qk_backup(queue, file, NULL, cancel, &asked, &text) == INTERRUPT);
    CHECK(asked == 1);
    CHECK(access(file, F_OK) != 0);
    CHECK(qk_backup(queue, file, NULL, NULL, NULL, NULL) == OK);
    CHECK(qk_verify(queue, file, "quick", NULL, cancel, &asked, &text) == INTERRUPT);
    CHECK(qk_restore(queue, file, NULL, NULL, cancel, &asked, &text) == INTERRUPT);
    CHECK(asked == 3);
    CHECK(text == untouched_text);
    CHECK(contains(qk_errmsg(queue), "interrupted"));
    CHECK(qk_delete_backup(queue, file, NULL, NULL) == OK);
}

struct two {
    qk_queue *same;
    qk_queue *other;
    int asked;
};

static int reenter(void *context, uint64_t pages_done, uint64_t pages_total)
{
    struct two *two = (struct two *)context;
    (void)pages_done;
    (void)pages_total;
    if (two->asked++ == 0) {
        CHECK(qk_stats(two->same, NULL) == MISUSE);
        CHECK(contains(qk_errmsg(NULL), "callback"));
        CHECK(qk_close(two->same) == MISUSE);
        CHECK(qk_stats(two->other, NULL) == OK);
    }
    return 0;
}

static void reentering(qk_queue *queue, const char *database)
{
    struct two two = {queue, NULL, 0};
    CHECK(qk_open(database, &two.other) == OK);
    CHECK(two.other != queue);
    CHECK(qk_backup(queue, NULL, NULL, reenter, &two, NULL) == OK);
    CHECK(two.asked > 0);
    CHECK(qk_close(two.other) == OK);
}

static void forking(qk_queue *queue, const char *database)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        qk_queue *own = NULL;
        failures = 0;
        every_function(queue, MISUSE);
        CHECK(contains(qk_errmsg(queue), "fork"));
        CHECK(qk_close(queue) == OK);
        CHECK(qk_close(queue) == MISUSE);
        CHECK(qk_open(database, &own) == OK);
        CHECK(qk_stats(own, NULL) == OK);
        CHECK(qk_close(own) == OK);
        _exit(failures == 0 ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(qk_stats(queue, NULL) == OK);
}

static void *many_calls(void *context)
{
    qk_queue *queue = (qk_queue *)context;
    int number;
    for (number = 0; number < 50; number++) {
        char *text = NULL;
        CHECK(qk_stats(queue, &text) == OK);
        CHECK(contains(text, "page_count"));
        qk_free(text);
        CHECK(qk_verify(queue, "nothing", NULL, NULL, NULL, NULL, NULL) != OK);
        CHECK(contains(qk_errmsg(queue), "qk_"));
    }
    return NULL;
}

static void *open_gate_later(void *context)
{
    struct timespec moment = {0, 50000000};
    nanosleep(&moment, NULL);
    open_gate((struct gate *)context);
    return NULL;
}

/* Runs a backup in a thread, does something to its handle meanwhile, and returns the backup's code. */
static int meanwhile(qk_queue *queue, int (*act)(qk_queue *))
{
    struct gate gate;
    pthread_t opener;
    start_at_gate(&gate, queue, NULL, NULL);
    CHECK(pthread_create(&opener, NULL, open_gate_later, &gate) == 0);
    CHECK(act(queue) == OK);
    CHECK(pthread_join(opener, NULL) == 0);
    return end_of(&gate);
}

static int ask_for_stats(qk_queue *queue)
{
    return qk_stats(queue, NULL);
}

static void threads(qk_queue *queue, const char *database)
{
    pthread_t first, second;
    qk_queue *closing = NULL;
    CHECK(pthread_create(&first, NULL, many_calls, queue) == 0);
    CHECK(pthread_create(&second, NULL, many_calls, queue) == 0);
    CHECK(pthread_join(first, NULL) == 0);
    CHECK(pthread_join(second, NULL) == 0);

    CHECK(meanwhile(queue, ask_for_stats) == OK);
    CHECK(meanwhile(queue, qk_interrupt) == INTERRUPT);
    CHECK(qk_interrupt(queue) == OK);
    CHECK(qk_stats(queue, NULL) == OK);
    CHECK(qk_open(database, &closing) == OK);
    CHECK(meanwhile(closing, qk_close) == OK);
    closed(closing);
}

void wrong_use(qk_queue *queue, const char *database, const char *directory)
{
    bad_arguments(queue);
    cancelling(queue, directory);
    reentering(queue, database);
    forking(queue, database);
    threads(queue, database);
    CHECK(qk_rotate(queue, "{\"max_age_days\": 1000}", NULL, NULL) == OK);
}

void closed(qk_queue *queue)
{
    every_function(queue, MISUSE);
    CHECK(qk_close(queue) == MISUSE);
    CHECK(contains(qk_errmsg(queue), "closed"));
}

/*
 * Progress callbacks that call back: with the handle in use, with others, with others that another thread uses, and from a
 * callback's callback. Arguments: a queue database, an empty directory.
 */
#include "client.h"

#include <unistd.h>

static const char *database, *directory;

/* The handles of a callback, and how deep it is. */
struct nest {
    qk_queue *same;
    qk_queue *other;
    int depth;
    int called;
};

static int use_the_same(void *context, uint64_t pages_done, uint64_t pages_total)
{
    struct nest *nest = (struct nest *)context;
    (void)pages_done;
    (void)pages_total;
    CHECK(qk_phase(nest->same) != NULL);
    if (nest->called++ == 0) {
        every_operation(nest->same, MISUSE);
        CHECK(contains(qk_errmsg(NULL), "callback"));
        CHECK(qk_close(nest->same) == MISUSE);
    }
    return 0;
}

/* Every call that has a callback. */
static void the_same_handle(qk_queue *queue)
{
    struct nest nest = {NULL, NULL, 0, 0};
    char *made = NULL;
    char file[4096];
    nest.same = queue;
    snprintf(file, sizeof file, "%s/one.db", directory);
    CHECK(qk_backup(queue, file, NULL, use_the_same, &nest, &made) == OK);
    CHECK(contains(made, "one.db"));
    qk_free(made);
    CHECK(nest.called > 0);
    nest.called = 0;
    CHECK(qk_verify(queue, file, "full", NULL, use_the_same, &nest, NULL) == OK);
    CHECK(nest.called > 0);
    nest.called = 0;
    CHECK(qk_restore(queue, file, NULL, NULL, use_the_same, &nest, NULL) == OK);
    CHECK(nest.called > 0);
    CHECK(qk_vacuum(queue, use_the_same, &nest, NULL) == OK);
    CHECK(qk_optimize(queue, 1, use_the_same, &nest, NULL) == OK);
    CHECK(qk_stats(queue, NULL) == OK);
    CHECK(qk_phase(queue) == NULL);
}

static int use_another(void *context, uint64_t pages_done, uint64_t pages_total)
{
    struct nest *nest = (struct nest *)context;
    (void)pages_done;
    (void)pages_total;
    nest->called++;
    if (nest->depth++ == 0) {
        struct nest inner = {nest->same, nest->same, 1, 0};
        qk_queue *new_one = NULL;
        char *text = NULL;
        /* In the callback of the other handle's call, both are in use in this thread. */
        CHECK(qk_backup(nest->other, directory, NULL, use_the_same, &inner, &text) == OK);
        CHECK(inner.called > 0);
        CHECK(contains(text, "checksum"));
        qk_free(text);
        inner.same = nest->other;
        inner.called = 0;
        CHECK(qk_verify(nest->other, "latest", "full", NULL, use_the_same, &inner, NULL) != MISUSE);
        CHECK(qk_set(nest->other, "stale_secs", "90", NULL) == OK);
        CHECK(qk_open(database, &new_one) == OK);
        CHECK(qk_depth(new_one, NULL) == OK);
        CHECK(qk_close(new_one) == OK);
        CHECK(qk_close(nest->other) == OK);
        CHECK(qk_stats(nest->other, NULL) == MISUSE);
    }
    return 0;
}

static void another_handle(qk_queue *queue)
{
    struct nest nest = {NULL, NULL, 0, 0};
    nest.same = queue;
    CHECK(qk_open(database, &nest.other) == OK);
    CHECK(qk_backup(queue, directory, NULL, use_another, &nest, NULL) == OK);
    CHECK(nest.called > 0);
}

static int interrupt_itself(void *context, uint64_t pages_done, uint64_t pages_total)
{
    (void)pages_done;
    (void)pages_total;
    CHECK(qk_interrupt((qk_queue *)context) == OK);
    return 0;
}

static void interrupting_itself(qk_queue *queue)
{
    char file[4096];
    snprintf(file, sizeof file, "%s/never.db", directory);
    CHECK(qk_backup(queue, file, NULL, interrupt_itself, queue, NULL) == INTERRUPT);
    CHECK(access(file, F_OK) != 0);
    CHECK(qk_stats(queue, NULL) == OK);
}

/* In a callback: another thread uses the handle, and may be waiting for this one. */
static void use_busy(void *context)
{
    qk_queue *busy = (qk_queue *)context;
    every_operation(busy, BUSY);
    CHECK(contains(qk_errmsg(NULL), "callback"));
    CHECK(qk_close(busy) == BUSY);
    CHECK(strcmp(qk_phase(busy), "copying") == 0);
    CHECK(qk_interrupt(busy) == OK);
}

/* Two threads whose callbacks use each other's handles would wait for each other for ever. */
static void each_others_handles(qk_queue *queue)
{
    struct gate first, second;
    qk_queue *other = NULL;
    int code;
    CHECK(qk_open(database, &other) == OK);
    start_at_gate(&first, queue, NULL, NULL);
    start_at_gate(&second, other, use_busy, queue);
    open_gate(&second);
    CHECK(end_of(&second) == OK);
    open_gate(&first);
    code = end_of(&first);
    CHECK(code == OK || code == INTERRUPT);
    CHECK(qk_close(other) == OK);
}

int main(int count, char **arguments)
{
    qk_queue *queue = NULL;
    if (count != 3) {
        fprintf(stderr, "usage: callbacks DATABASE DIRECTORY\n");
        return 2;
    }
    database = arguments[1];
    directory = arguments[2];
    alarm(60);
    CHECK(qk_open(database, &queue) == OK);
    the_same_handle(queue);
    another_handle(queue);
    interrupting_itself(queue);
    each_others_handles(queue);
    CHECK(qk_close(queue) == OK);
    return tell_failures();
}

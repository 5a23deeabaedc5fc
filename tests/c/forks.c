/*
 * Forks: while other threads call, in the middle of a backup, in its callback, and of a child in its turn. Each child ends by
 * itself or by an alarm, never by a crash; the parent goes on. Arguments: a queue database, an empty directory, another queue
 * database.
 */
#include "client.h"

#include <sys/wait.h>
#include <unistd.h>

static const char *database, *directory, *another;

/* Runs `act` in a child; 0, or how the child ended. */
static int in_child(void (*act)(qk_queue *), qk_queue *queue)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        failures = 0;
        /* A child that hangs is ended. */
        alarm(20);
        act(queue);
        _exit(failures == 0 ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void refused(qk_queue *queue)
{
    CHECK(qk_stats(queue, NULL) == MISUSE);
    CHECK(contains(qk_errmsg(queue), "fork"));
    CHECK(qk_interrupt(queue) == MISUSE);
    CHECK(qk_close(queue) == OK);
    CHECK(qk_close(queue) == MISUSE);
}

#ifndef SANITIZED
static int over;

/* Looks up handles all the time, and now and then opens and closes one. */
static void *look_up(void *context)
{
    unsigned round;
    for (round = 0; !__sync_fetch_and_add(&over, 0); round++) {
        CHECK(qk_interrupt((qk_queue *)context) == OK);
        if (round % 2000 == 0) {
            qk_queue *queue = NULL;
            char *text = NULL;
            CHECK(qk_open(another, &queue) == OK);
            CHECK(qk_depth(queue, &text) == OK);
            qk_free(text);
            CHECK(qk_close(queue) == OK);
        }
    }
    return NULL;
}

static void refused_and_freed(qk_queue *queue)
{
    refused(queue);
    qk_free(NULL);
}

/* Whatever lock a thread of the parent's held at that moment, no child waits for it. */
static void while_others_call(qk_queue *queue)
{
    enum { THREADS = 3, CHILDREN = 200 };
    pthread_t threads[THREADS];
    int number, hung = 0;
    over = 0;
    for (number = 0; number < THREADS; number++) {
        CHECK(pthread_create(&threads[number], NULL, look_up, queue) == 0);
    }
    for (number = 0; number < CHILDREN && hung == 0; number++) {
        hung = in_child(refused_and_freed, queue);
    }
    CHECK(hung == 0);
    __sync_fetch_and_add(&over, 1);
    for (number = 0; number < THREADS; number++) {
        CHECK(pthread_join(threads[number], NULL) == 0);
    }
    CHECK(qk_stats(queue, NULL) == OK);
}
#endif

/*
 * SQLite's connection of the parent's call is in the child, too, with locks that only the parent has: a connection of the
 * child's to that file would believe in them, and go without.
 */
static void the_file_in_use(qk_queue *queue)
{
    qk_queue *own = NULL;
    refused(queue);
    CHECK(qk_open(database, &own) == MISUSE);
    CHECK(contains(qk_errmsg(NULL), "fork"));
    CHECK(contains(qk_errmsg(NULL), database));
    CHECK(own == NULL);
    CHECK(qk_open(another, &own) == OK);
    CHECK(qk_requeue_stale(own, 60, NULL) == OK);
    CHECK(qk_restore(own, "latest", database, NULL, NULL, NULL, NULL) != OK);
    CHECK(qk_close(own) == OK);
}

static void the_file_after(qk_queue *queue)
{
    qk_queue *own = NULL;
    refused(queue);
    CHECK(qk_open(database, &own) == OK);
    CHECK(qk_backup(own, directory, NULL, NULL, NULL, NULL) == OK);
    CHECK(qk_close(own) == OK);
}

static void in_the_middle_of_a_backup(qk_queue *queue)
{
    struct gate gate;
    start_at_gate(&gate, queue, NULL, NULL);
    CHECK(in_child(the_file_in_use, queue) == 0);
    open_gate(&gate);
    CHECK(end_of(&gate) == OK);
    CHECK(in_child(the_file_after, queue) == 0);
    CHECK(qk_verify(queue, "latest", "full", NULL, NULL, NULL, NULL) == OK);
}

static int fork_in_callback(void *context, uint64_t pages_done, uint64_t pages_total)
{
    (void)pages_done;
    (void)pages_total;
    CHECK(in_child(refused, (qk_queue *)context) == 0);
    return 0;
}

static void in_a_callback(qk_queue *queue)
{
    CHECK(qk_backup(queue, directory, NULL, fork_in_callback, queue, NULL) == OK);
    CHECK(qk_verify(queue, "latest", "full", NULL, NULL, NULL, NULL) == OK);
}

/* The handle is the child's, and the grandchild's no more than the parent's is. */
static void a_generation(qk_queue *of_parent)
{
    qk_queue *own = NULL;
    refused(of_parent);
    CHECK(qk_open(database, &own) == OK);
    CHECK(own != of_parent);
    CHECK(in_child(refused, own) == 0);
    CHECK(qk_stats(own, NULL) == OK);
    CHECK(qk_close(own) == OK);
}

static qk_queue *in_memory;

/* A connection that lasts is only forgotten in a child, and a text is freed in both. */
static char *text;

static void what_lasts(qk_queue *queue)
{
    refused(queue);
    CHECK(qk_integrity(in_memory, NULL, QK_DEFAULT, NULL) == MISUSE);
    CHECK(qk_close(in_memory) == OK);
    CHECK(contains(text, "page_count"));
    qk_free(text);
}

static void lasting(qk_queue *queue)
{
    CHECK(qk_open(":memory:", &in_memory) == OK);
    CHECK(qk_stats(queue, &text) == OK);
    CHECK(in_child(what_lasts, queue) == 0);
    CHECK(contains(text, "page_count"));
    qk_free(text);
    CHECK(qk_integrity(in_memory, NULL, QK_DEFAULT, NULL) == OK);
    CHECK(qk_close(in_memory) == OK);
}

int main(int count, char **arguments)
{
    qk_queue *queue = NULL;
    if (count != 4) {
        fprintf(stderr, "usage: forks DATABASE DIRECTORY ANOTHER\n");
        return 2;
    }
    database = arguments[1];
    directory = arguments[2];
    another = arguments[3];
    CHECK(qk_open(database, &queue) == OK);
    CHECK(in_child(a_generation, queue) == 0);
    lasting(queue);
#ifndef SANITIZED
    /* A sanitizer's allocator has locks of its own, which no fork waits for. */
    while_others_call(queue);
#endif
    in_the_middle_of_a_backup(queue);
    in_a_callback(queue);
    CHECK(qk_close(queue) == OK);
    return tell_failures();
}

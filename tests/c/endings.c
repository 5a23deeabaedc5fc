/*
 * Ends: of the process while a thread backs up, of a thread that is cancelled in a call or ends with messages of its own, and
 * of the program's interest in the library (dlclose). Each in a child of its own. Arguments: a queue database, an empty
 * directory, a copy of the library that the program is not linked with.
 */
#include "client.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *database, *directory, *copy;

static void run(const char *name, void (*act)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        failures = 0;
        alarm(30);
        act();
        exit(failures == 0 ? 0 : 1);
    }
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0) {
        fprintf(stderr, "%s ended with %#x\n", name, (unsigned)status);
        CHECK(status == 0);
    }
}

static qk_queue *open_it(void)
{
    qk_queue *queue = NULL;
    CHECK(qk_open(database, &queue) == OK);
    return queue;
}

static int tell(void *context, uint64_t pages_done, uint64_t pages_total)
{
    (void)pages_total;
    if (pages_done > 0) {
        __sync_fetch_and_or((int *)context, 1);
    }
    return 0;
}

struct endless {
    qk_queue *queue;
    int running;
};

/* Calls, and no cancellation point of its own but the one at the end. */
static void *back_up_for_ever(void *context)
{
    struct endless *endless = (struct endless *)context;
    for (;;) {
        CHECK(qk_backup(endless->queue, directory, NULL, tell, &endless->running, NULL) == OK);
        CHECK(qk_rotate(endless->queue, "2", directory, NULL) == OK);
        pthread_testcancel();
    }
    return NULL;
}

static void pause_for(long milliseconds)
{
    struct timespec moment = {0, 0};
    moment.tv_nsec = milliseconds * 1000000L;
    nanosleep(&moment, NULL);
}

static struct endless endless;

static pthread_t start(void)
{
    pthread_t thread;
    endless.queue = open_it();
    CHECK(pthread_create(&thread, NULL, back_up_for_ever, &endless) == 0);
    while (!__sync_fetch_and_or(&endless.running, 0)) {
        pause_for(1);
    }
    return thread;
}

/* The process ends with threads in the middle of calls. */
static void exit_while_a_thread_backs_up(void)
{
    start();
    pause_for(5);
}

static qk_queue *left_open;

static void close_at_exit(void)
{
    CHECK(qk_stats(left_open, NULL) == OK);
    CHECK(qk_backup(left_open, directory, NULL, NULL, NULL, NULL) == OK);
    CHECK(qk_verify(left_open, "nothing", NULL, NULL, NULL, NULL, NULL) != OK);
    CHECK(contains(qk_errmsg(left_open), "nothing") || qk_errmsg(left_open)[0] == '\0');
    CHECK(qk_close(left_open) == OK);
    if (failures != 0) {
        _exit(1);
    }
}

/* Handlers of exit() come when a thread's own data is gone, and may call all the same. */
static void calls_at_exit(void)
{
    left_open = open_it();
    CHECK(qk_verify(left_open, "nothing", NULL, NULL, NULL, NULL, NULL) != OK);
    CHECK(atexit(close_at_exit) == 0);
}

/* A thread that is cancelled ends after its call, not in the middle of it. */
static void cancelling_a_thread(void)
{
    int round;
    for (round = 0; round < 10; round++) {
        void *result = NULL;
        pthread_t thread;
        endless.running = 0;
        thread = start();
        pause_for(round);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        CHECK(result == PTHREAD_CANCELED);
        CHECK(qk_stats(endless.queue, NULL) == OK);
        CHECK(qk_close(endless.queue) == OK);
    }
}

static int wait_for_cancel(void *context, uint64_t pages_done, uint64_t pages_total)
{
    int *running = (int *)context;
    (void)pages_done, (void)pages_total;
    __sync_fetch_and_or(running, 1);
    while (__sync_fetch_and_or(running, 0) != 3) {
        pause_for(1);
    }
    return 0;
}

static void *back_up_cancellable_at_once(void *context)
{
    struct endless *endless = (struct endless *)context;
    int kind;
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &kind) == 0);
    CHECK(qk_backup(endless->queue, directory, NULL, wait_for_cancel, &endless->running, NULL) == OK);
    __sync_fetch_and_or(&endless->running, 4);
    while (failures == 0) {
        pthread_testcancel();
    }
    return NULL;
}

/* Also one that is to end wherever it is: in a call it is nowhere yet. */
static void cancelling_a_thread_at_once(void)
{
    void *result = NULL;
    pthread_t thread;
    endless.queue = open_it();
    endless.running = 0;
    CHECK(pthread_create(&thread, NULL, back_up_cancellable_at_once, &endless) == 0);
    while (__sync_fetch_and_or(&endless.running, 0) == 0) {
        pause_for(1);
    }
    CHECK(pthread_cancel(thread) == 0);
    __sync_fetch_and_or(&endless.running, 2);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(endless.running == 7);
    CHECK(qk_stats(endless.queue, NULL) == OK);
    CHECK(qk_close(endless.queue) == OK);
}

static void *fail(void *context)
{
    qk_queue *queue = (qk_queue *)context;
    const char *message;
    CHECK(qk_verify(queue, "nothing at all", NULL, NULL, NULL, NULL, NULL) != OK);
    message = qk_errmsg(NULL);
    CHECK(contains(message, "nothing at all"));
    CHECK(qk_stats(NULL, NULL) == MISUSE);
    /* A message stays until the next question of this thread. */
    CHECK(contains(message, "nothing at all"));
    CHECK(contains(qk_errmsg(NULL), "NULL"));
    return NULL;
}

static void threads_that_end(void)
{
    qk_queue *queue = open_it();
    int round;
    for (round = 0; round < 50; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, fail, queue) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(strcmp(qk_errmsg(NULL), "") == 0);
    CHECK(contains(qk_errmsg(queue), "nothing at all"));
    CHECK(qk_close(queue) == OK);
}

/* What a copy that was loaded and let go again has open goes on to work. */
static void unloading(void)
{
    int (*their_open)(const char *, qk_queue **);
    int (*their_backup)(qk_queue *, const char *, const char *, qk_progress, void *, char **);
    int (*their_close)(qk_queue *);
    qk_queue *theirs = NULL;
    int round, running = 0;
    for (round = 0; round < 3; round++) {
        void *found, *loaded = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
        if (loaded == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            CHECK(!"loaded");
            return;
        }
        memcpy(&their_open, (found = dlsym(loaded, "qk_open"), &found), sizeof found);
        memcpy(&their_backup, (found = dlsym(loaded, "qk_backup"), &found), sizeof found);
        memcpy(&their_close, (found = dlsym(loaded, "qk_close"), &found), sizeof found);
        CHECK(their_open(database, &theirs) == OK);
        CHECK(dlclose(loaded) == 0);
        CHECK(their_backup(theirs, directory, NULL, tell, &running, NULL) == OK);
        CHECK(their_close(theirs) == OK);
    }
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: endings DATABASE DIRECTORY COPY\n");
        return 2;
    }
    database = arguments[1];
    directory = arguments[2];
    copy = arguments[3];
    run("exit while a thread backs up", exit_while_a_thread_backs_up);
    run("calls at exit", calls_at_exit);
    run("cancelling a thread", cancelling_a_thread);
    run("cancelling a thread at once", cancelling_a_thread_at_once);
    run("threads that end", threads_that_end);
    run("unloading", unloading);
    return tell_failures();
}

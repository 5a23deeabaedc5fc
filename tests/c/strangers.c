/*
 * Handles and texts that are none, are no longer any, or belong to another copy of the library; and handles that many threads
 * close at once. Arguments: a queue database, an empty directory, the library, another copy of it.
 */
#include "client.h"

#include <dlfcn.h>
#include <unistd.h>

static const char *database;

/* Numbers beside those of handles, and pointers to all kinds of things. */
static void no_handles(qk_queue *queue)
{
    uintptr_t number = (uintptr_t)queue;
    char *text = NULL;
    int distance;
    for (distance = 1; distance < 64; distance++) {
        CHECK(qk_stats((qk_queue *)(number + (uintptr_t)distance), NULL) == MISUSE);
        CHECK(qk_stats((qk_queue *)(number - (uintptr_t)distance), NULL) == MISUSE);
    }
    every_function((qk_queue *)(uintptr_t)1, MISUSE);
    every_function((qk_queue *)UINTPTR_MAX, MISUSE);
    every_function((qk_queue *)(void *)stderr, MISUSE);
    CHECK(qk_settings(queue, &text) == OK);
    every_function((qk_queue *)(void *)text, MISUSE);
    CHECK(qk_close((qk_queue *)(void *)text) == MISUSE);
    CHECK(contains(text, "keep"));
    qk_free(text);
    CHECK(qk_stats(queue, NULL) == OK);
}

/* No value is given out twice, so a closed handle is never somebody else's. */
static void values_of_handles(void)
{
    enum { MANY = 100 };
    qk_queue *seen[MANY];
    int number, earlier;
    for (number = 0; number < MANY; number++) {
        CHECK(qk_open(":memory:", &seen[number]) == OK);
        CHECK(qk_close(seen[number]) == OK);
        for (earlier = 0; earlier < number; earlier++) {
            CHECK(seen[earlier] != seen[number]);
        }
        CHECK(qk_close(seen[number / 2]) == MISUSE);
    }
}

static void *close_it(void *context)
{
    return qk_close((qk_queue *)context) == OK ? context : NULL;
}

/* Of many that close a handle, one did. */
static void closing_at_once(void)
{
    enum { THREADS = 8, ROUNDS = 20 };
    pthread_t threads[THREADS];
    int round, number;
    for (round = 0; round < ROUNDS; round++) {
        qk_queue *queue = NULL;
        int closed_it = 0;
        CHECK(qk_open(database, &queue) == OK);
        for (number = 0; number < THREADS; number++) {
            CHECK(pthread_create(&threads[number], NULL, close_it, queue) == 0);
        }
        for (number = 0; number < THREADS; number++) {
            void *result = NULL;
            CHECK(pthread_join(threads[number], &result) == 0);
            closed_it += result != NULL;
        }
        CHECK(closed_it == 1);
    }
}

/* Whatever is freed that is no text of the library's is left alone, and said to be none. */
static void texts(qk_queue *queue)
{
    char own[] = "on the stack";
    char *text = NULL, *another = NULL;
    char *of_malloc = (char *)malloc(16);
    CHECK(of_malloc != NULL);
    strcpy(of_malloc, "of malloc");
    CHECK(qk_stats(queue, &text) == OK);
    CHECK(qk_depth(queue, &another) == OK);
    qk_free(text);
    CHECK(qk_stats(NULL, NULL) == MISUSE);
    CHECK(!contains(qk_errmsg(NULL), "qk_free"));
    qk_free(text);
    CHECK(contains(qk_errmsg(NULL), "qk_free"));
    qk_free(own);
    qk_free(of_malloc);
    qk_free(another + 1);
    qk_free((char *)(void *)queue);
    CHECK(strcmp(own, "on the stack") == 0);
    CHECK(strcmp(of_malloc, "of malloc") == 0);
    CHECK(contains(another, "queued"));
    free(of_malloc);
    /* Its owner may have written into it. */
    memset(another, 0, strlen(another));
    qk_free(another);
    CHECK(qk_stats(queue, &text) == OK);
    CHECK(contains(text, "page_count"));
    qk_free(text);
}

static void *function(void *copy, const char *name)
{
    void *found = dlsym(copy, name);
    CHECK(found != NULL);
    return found;
}

/* Two copies of the library know neither each other's handles nor each other's texts. */
static void another_copy(qk_queue *queue, const char *path)
{
    int (*their_open)(const char *, qk_queue **);
    int (*their_stats)(qk_queue *, char **);
    int (*their_close)(qk_queue *);
    void (*their_free)(char *);
    const char *(*their_errmsg)(qk_queue *);
    qk_queue *theirs = NULL;
    char *our_text = NULL, *their_text = NULL;
    void *found, *copy = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (copy == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        CHECK(!"loaded");
        return;
    }
    memcpy(&their_open, (found = function(copy, "qk_open"), &found), sizeof found);
    memcpy(&their_stats, (found = function(copy, "qk_stats"), &found), sizeof found);
    memcpy(&their_close, (found = function(copy, "qk_close"), &found), sizeof found);
    memcpy(&their_free, (found = function(copy, "qk_free"), &found), sizeof found);
    memcpy(&their_errmsg, (found = function(copy, "qk_errmsg"), &found), sizeof found);
    CHECK(their_open(database, &theirs) == OK);
    CHECK(theirs != queue);
    CHECK(their_stats(queue, NULL) == MISUSE);
    CHECK(their_close(queue) == MISUSE);
    CHECK(contains(their_errmsg(queue), "no open handle"));
    every_function(theirs, MISUSE);
    CHECK(qk_close(theirs) == MISUSE);
    CHECK(qk_stats(queue, &our_text) == OK);
    CHECK(their_stats(theirs, &their_text) == OK);
    their_free(our_text);
    qk_free(their_text);
    CHECK(contains(our_text, "page_count"));
    CHECK(contains(their_text, "page_count"));
    qk_free(our_text);
    their_free(their_text);
    CHECK(their_close(theirs) == OK);
    CHECK(dlclose(copy) == 0);
    /* It stays where it is. */
    CHECK(their_stats(theirs, NULL) == MISUSE);
}

int main(int count, char **arguments)
{
    qk_queue *queue = NULL;
    if (count != 5) {
        fprintf(stderr, "usage: strangers DATABASE DIRECTORY LIBRARY COPY\n");
        return 2;
    }
    database = arguments[1];
    alarm(60);
    CHECK(qk_open(database, &queue) == OK);
    no_handles(queue);
    values_of_handles();
    closing_at_once();
    texts(queue);
    another_copy(queue, arguments[4]);
    CHECK(qk_close(queue) == OK);
    every_function(queue, MISUSE);
    return tell_failures();
}

/*
 * Faults on purpose, which a sanitizer has to see if it watches the library. Argument: the database, then one of "read after
 * free", "write past the end", "leak" and "race".
 */
#include "client.h"

#include <time.h>

static char *text_of(const char *database)
{
    qk_queue *queue = NULL;
    char *text = NULL;
    if (qk_open(database, &queue) != OK || qk_stats(queue, &text) != OK || qk_close(queue) != OK) {
        fprintf(stderr, "%s\n", qk_errmsg(NULL));
        exit(2);
    }
    return text;
}

static void *read_it(void *context)
{
    return ((char *)context)[0] == '{' ? context : NULL;
}

static void *free_it(void *context)
{
    struct timespec moment = {0, 300000000};
    nanosleep(&moment, NULL);
    qk_free((char *)context);
    return NULL;
}

int main(int count, char **arguments)
{
    char *text;
    if (count != 3) {
        return 2;
    }
    text = text_of(arguments[1]);
    if (strcmp(arguments[2], "read after free") == 0) {
        qk_free(text);
        return text[0] == '{';
    }
    if (strcmp(arguments[2], "write past the end") == 0) {
        text[strlen(text) + 1] = 'x';
        return 0;
    }
    if (strcmp(arguments[2], "race") == 0) {
        pthread_t reader, writer;
        CHECK(pthread_create(&writer, NULL, free_it, text) == 0);
        CHECK(pthread_create(&reader, NULL, read_it, text) == 0);
        CHECK(pthread_join(reader, NULL) == 0);
        CHECK(pthread_join(writer, NULL) == 0);
        return 0;
    }
    text = NULL;
    return 0;
}

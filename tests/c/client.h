/* What the C programs share. */
#ifndef CLIENT_H
#define CLIENT_H

#define _POSIX_C_SOURCE 200809L

#include "queuekeeper.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SQLite's codes, which a client without sqlite3.h writes as numbers. */
enum {
    OK = 0,
    ERROR = 1,
    INTERNAL = 2,
    BUSY = 5,
    NOMEM = 7,
    INTERRUPT = 9,
    CORRUPT = 11,
    CANTOPEN = 14,
    MISUSE = 21,
    NOTADB = 26
};

#define CHECK(condition) check_at(__LINE__, __FILE__, (condition), #condition)

extern int failures;
void check_at(int line, const char *file, int holds, const char *what);
int contains(const char *text, const char *part);
/* Prints how many checks failed; the program's exit status. */
int tell_failures(void);

/* Out-parameters hold these until a call succeeds. */
extern char untouched_text[];
extern const int64_t untouched_number;

/* Calls every function that needs the handle's turn; each must answer with `code` and write nothing. */
void every_operation(qk_queue *queue, int code);
/* The same, and qk_interrupt. */
void every_function(qk_queue *queue, int code);

/* A backup in a thread of its own that waits in its progress callback until the gate is opened. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    pthread_t thread;
    qk_queue *queue;
    int running;
    int open;
    int code;
    /* Called in the callback, once the gate is open. */
    void (*then)(void *context);
    void *context;
};

/* Returns when the backup is in its callback. */
void start_at_gate(struct gate *gate, qk_queue *queue, void (*then)(void *context), void *context);
void open_gate(struct gate *gate);
/* Waits for the end of the backup; its code. */
int end_of(struct gate *gate);

/* Calls without any handle, and handles that cannot be opened. */
void before_anything(void);
/* Bad arguments, cancelling, reentering, forking and threads, on an open handle. */
void wrong_use(qk_queue *queue, const char *database, const char *directory);
/* Everything on a handle that was closed. */
void closed(qk_queue *queue);

#endif

/* What the files of the client share. */
#ifndef CLIENT_H
#define CLIENT_H

#define _POSIX_C_SOURCE 200809L

#include "queuekeeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SQLite's codes, which a client without sqlite3.h writes as numbers. */
enum { OK = 0, ERROR = 1, INTERRUPT = 9, CANTOPEN = 14, MISUSE = 21 };

#define CHECK(condition) check_at(__LINE__, __FILE__, (condition), #condition)

extern int failures;
void check_at(int line, const char *file, int holds, const char *what);
int contains(const char *text, const char *part);

/* Calls without any handle, and handles that cannot be opened. */
void before_anything(void);
/* Bad arguments, cancelling, reentering, forking and threads, on an open handle. */
void wrong_use(qk_queue *queue, const char *database, const char *directory);
/* Everything on a handle that was closed. */
void closed(qk_queue *queue);

#endif
